"""The functions in one process: events in, responses out, real protocol code, a scripted provider."""

import io
import logging
from contextlib import redirect_stdout
from typing import Any

from mooring.core.ports import HttpFault, HttpResponse
from mooring.core.provider import Provider
from mooring.core.visit import Result, Visit
from mooring.entry import light_log
from mooring.entry.http_api import Browser as BrowserRoute
from mooring.entry.http_api import Response, respond
from mooring.entry.pages import Branding, Pages
from mooring.flows.authorize import AuthorizePorts, authorize
from mooring.flows.callback import callback
from mooring.providers.authorization_request import authorization_url
from mooring.providers.oauth2 import OAuth2
from tests.entry.events import event
from tests.fakes.http import FakeHttp
from tests.flows.world import FUNCTION_SECONDS, Browser, World
from tests.protocol.shapes import ALL

GOOD = HttpResponse(200, {}, b'{"access_token":"at-1","App_access_token":"at-1","status":"success"}')
NAMES = {provider.id: provider.name for provider in ALL}


class Stack:
    """One deployment behind its HTTP answers; `logs` has everything that was written to standard output."""

    def __init__(self, *answers: HttpResponse | HttpFault, origins: tuple[str, ...] = ("https://app.example.com",),
                 providers: tuple[Provider, ...] = ()) -> None:  # fmt: skip
        self.world = World(*providers, origins=origins)
        self.http = FakeHttp(*(answers or (GOOD,)))
        self.logs = ""
        self.pages = Pages(Branding("Shopfront"), NAMES)

    def get(self, path: str, query: str, browser: Browser, method: str = "GET", **changes: Any) -> Response:
        """One request of a browser, which keeps the cookies of the answer."""
        request = event(path, query, method, **{"cookies": browser.cookies(), **changes})
        out = io.StringIO()
        logger = logging.getLogger("mooring")
        before = (logger.handlers, logger.propagate, logger.level)
        try:
            with redirect_stdout(out):
                response = self._respond(path, request)
        finally:
            logger.handlers, logger.propagate = before[0], before[1]
            logger.setLevel(before[2])
        self.logs += out.getvalue()
        browser.take(response["cookies"])
        return response

    def _respond(self, path: str, request: dict[str, Any]) -> Response:
        light_log.start({})
        prefix = "/authorize/" if path.startswith("/authorize/") else "/callback/"
        emit = light_log.emitter({}, "Flow")
        route = BrowserRoute(prefix, NAMES.__contains__, self.pages.question, self.pages.failure, emit)
        return respond(request, self._authorize if prefix == "/authorize/" else self._callback, route)

    def _authorize(self, visit: Visit, _ref: str) -> Result:
        world = self.world
        ports = AuthorizePorts(world.provider, world.policy, authorization_url, world.clock, world.random)
        return authorize(visit, ports)

    def _callback(self, visit: Visit, ref: str) -> Result:
        ports = self.world.callback_ports(OAuth2(self.http))
        return callback(visit, ports, ref, lambda: float(FUNCTION_SECONDS))

    def started(self, browser: Browser, provider: str, link: str) -> str:
        """A flow as far as the provider; returns its state."""
        response = self.get(f"/authorize/{provider}", f"link={link}", browser)
        assert response["statusCode"] == 302
        return next(flow.state for flow in browser.flows() if flow.provider == provider)
