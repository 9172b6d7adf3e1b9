"""A whole world for flows: real links and rules, fakes behind the ports, and a browser with a cookie jar."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.flow import Flow, clear_cookie, decode_flow, state_hash
from mooring.core.link import verify_link
from mooring.core.ports import AuthorizationServer
from mooring.core.provider import Provider
from mooring.core.visit import Result, Visit
from mooring.flows.authorize import AuthorizePorts, authorize
from mooring.flows.callback import CallbackPorts, callback
from mooring.providers.authorization_request import authorization_url
from tests.core.signing import NOW, policy, signed
from tests.fakes.authorization_server import FakeAuthorizationServer
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlow, FakeFlows
from tests.fakes.recovery import FakeRecoveryQueue
from tests.fakes.revocations import FakeRevocations
from tests.fakes.sealer import FakeSealer
from tests.fakes.secrets import FakeSecrets
from tests.protocol.shapes import ALL

REF = "0123456789"
FUNCTION_SECONDS = 28


class Browser:
    """A cookie jar, and what its browser says about where a request comes from."""

    def __init__(self) -> None:
        self.jar: dict[str, str] = {}

    def take(self, cookies: Iterable[str]) -> None:
        """Keep or drop cookies as `Set-Cookie` says."""
        for cookie in cookies:
            pair, _, attributes = cookie.partition(";")
            name, _, value = pair.partition("=")
            if "Max-Age=0;" in attributes:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value

    def cookies(self) -> list[str]:
        """The cookies as an HTTP API event lists them."""
        return [f"{name}={value}" for name, value in self.jar.items()]

    def flows(self) -> list[Flow]:
        """The flows in the jar."""
        return [flow for flow in map(decode_flow, self.jar.values()) if flow is not None]


class World:
    """One deployment with its providers. `journal` has one word for each call of a port, in order."""

    def __init__(self, *providers: Provider, origins: tuple[str, ...] = ("https://app.example.com",)) -> None:
        self.journal: list[str] = []
        self.clock = FakeClock(NOW)
        self.flows = FakeFlows(self.journal)
        self.connections = FakeConnections(self.flows, self.journal)
        self.sealer = FakeSealer(self.journal)
        self.secrets = FakeSecrets(
            {provider.id: f"secret-of-{provider.id}" for provider in ALL}, self.journal
        )
        self.server = FakeAuthorizationServer(self.journal)
        self.recovery = FakeRecoveryQueue(self.journal)
        self.revocations = FakeRevocations(self.journal)
        self.policy = policy(origins)
        self._providers = {provider.id: provider for provider in (*ALL, *providers)}
        self._numbers = count(1)

    def provider(self, provider_id: str) -> Provider:
        """The catalog."""
        if provider_id not in self._providers:
            raise Failure(Reason.PROVIDER_UNKNOWN)
        return self._providers[provider_id]

    def random(self) -> str:
        """43 characters, different each time, and recognisable."""
        return f"random-{next(self._numbers):036d}"

    def callback_ports(self, server: AuthorizationServer | None = None) -> CallbackPorts:
        """The ports of `callback`."""
        return CallbackPorts(
            self.provider,
            self.policy,
            self.flows,
            self.connections,
            self.sealer,
            self.secrets,
            server or self.server,
            self.recovery,
            self.revocations,
            self.clock,
            lambda: 0.0,
        )

    def authorize(
        self, browser: Browser, link: str | None, provider: str = "acme", *, extra: str = "",
        method: str = "GET",
        headers: dict[str, str] | None = None,
    ) -> Result:  # fmt: skip
        """One request to `/authorize/{provider}`."""
        ports = AuthorizePorts(self.provider, self.policy, authorization_url, self.clock, self.random)
        query = ("" if link is None else urlencode({"link": link})) + extra
        result = authorize(Visit(method, provider, query, browser.cookies(), headers or {}), ports)
        browser.take(result.cookies)
        return result

    def start(self, browser: Browser, provider: str = "acme", **claims: Any) -> str:
        """A flow as far as the provider's door; returns its state."""
        result = self.authorize(browser, signed(provider=provider, **claims), provider)
        assert result.outcome == "redirected"
        flows = [flow for flow in browser.flows() if flow.provider == provider and not flow.account]
        return flows[-1].state

    def callback(
        self, browser: Browser, query: str, provider: str = "acme", *, method: str = "GET",
        headers: dict[str, str] | None = None, server: AuthorizationServer | None = None, ref: str = REF,
    ) -> Result:  # fmt: skip
        """One request to `/callback/{provider}`; a failure clears cookies as its page would."""
        visit = Visit(method, provider, query, browser.cookies(), headers or {})
        try:
            began = self.clock()
            result = callback(
                visit, self.callback_ports(server), ref, lambda: FUNCTION_SECONDS - (self.clock() - began)
            )
        except Failure as failure:
            browser.take(clear_cookie(name) for name in failure.clear_cookies)
            raise
        browser.take(result.cookies)
        return result

    def burned(self, state: str, **claims: Any) -> FakeFlow | None:
        """The row of a burned state."""
        link = verify_link(signed(**claims), self.policy, NOW)
        return self.flows.find(link, state_hash(state))

    def untouched(self) -> bool:
        """Whether no port was called at all: nothing burned, nothing asked, nothing written."""
        return not self.journal and not self.flows.flows and not self.connections.rows

    def nothing_connected(self) -> bool:
        """Whether no connection was written, pending or not, and nothing queued."""
        connections = self.connections
        return not (connections.rows or connections.stored or connections.pending or self.recovery.messages)


def refusal(request: Callable[[], object]) -> Failure:
    """The failure that a request ends with."""
    with pytest.raises(Failure) as refused:
        request()
    return refused.value


def sent(location: str | None) -> dict[str, str]:
    """The query parameters of an address, each at most once."""
    query = urlsplit(location or "").query
    assert all(len(values) == 1 for values in parse_qs(query).values())
    return dict(parse_qsl(query))
