"""The HTTP API on this machine: SAM CLI's local API Gateway in front of our function processes.

This is the one file that uses samcli's internals, which may change with any version (it is locked). SAM CLI
reads the routes, dispatches requests and turns answers into responses. What it does differently from a real
HTTP API is corrected here: unknown routes and methods are 404, routes with AWS_IAM need a signature, a
trailing slash matters, nothing is decoded or merged on its way into the event, and a failing function is a
500. Not simulated: throttling, access logs, the size limit of headers.
"""

import io
import json
import secrets
import socket
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from pathlib import Path
from typing import Any

from flask import Response
from flask import request as current_request
from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.local.apigw.exceptions import LambdaResponseParseException
from samcli.local.apigw.local_apigw_service import LocalApigwService
from werkzeug.serving import WSGIRequestHandler, make_server

from local import HOST, REGION
from local.event import http_event
from local.processes import ProcessError
from local.request import HttpRequest
from local.runtime import InvocationResult, RuntimePool, ThrottledError
from local.services import Services, allowed
from local.sigv4 import SignatureRefusedError, verify
from local.template import Route, TemplateError
from local.wire import RefusedError, wire_request

_REQUEST = "mooring.request"
_MAX_CONCURRENT = 64
_Environ = dict[str, Any]
Reporter = Callable[[str, InvocationResult], None]


def _failed() -> RefusedError:
    """What the API answers when a function raises, ends, runs out of time or answers nonsense."""
    return RefusedError(500, "Internal Server Error")


class Gateway:
    """Serves the routes of a template.

    Args:
        template: the SAM template.
        parameters: its parameters.
        routes: the routes of the translated template; they say which need a signature.
        pools: the processes of each function, by logical id.
        credentials: secret access key by access key id: who may sign, and may do anything.
        services: who may sign besides, and only for what their policies allow.
        listener: a bound loopback socket; taken over.
        report: told the logical id of a function and the result, after each invocation.

    Raises:
        TemplateError: SAM CLI finds other routes than the translated template has.
    """

    def __init__(
        self,
        template: Path,
        parameters: Mapping[str, str],
        *,
        routes: Sequence[Route],
        pools: Mapping[str, RuntimePool],
        credentials: Mapping[str, str],
        listener: socket.socket,
        report: Reporter,
        services: Services | None = None,
    ) -> None:
        self._calls = ThreadPoolExecutor(_MAX_CONCURRENT, thread_name_prefix="invoke")
        with listener:
            api = _read_api(template, parameters)
            _check_same_routes(api, routes)
            callers = _Callers(credentials, services or {})
            service = _Service(api, routes, pools, callers, report, self._calls)
            listener.listen(128)
            self._server = make_server(
                HOST,
                listener.getsockname()[1],
                _Front(service.wsgi_app()),
                threaded=True,
                request_handler=_Handler,
                fd=listener.fileno(),
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def base_url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._server.port}"

    def start(self) -> None:
        """Answer requests; before, they wait."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more requests; running ones are left to end."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._calls.shutdown(wait=False, cancel_futures=True)


class _Service(LocalApigwService):  # type: ignore[misc]
    """SAM CLI's service with a real HTTP API's manners."""

    def __init__(
        self,
        api: Any,
        routes: Sequence[Route],
        pools: Mapping[str, RuntimePool],
        callers: "_Callers",
        report: Reporter,
        calls: ThreadPoolExecutor,
    ) -> None:
        super().__init__(api=api, lambda_runner=_NoRunner(), port=0, host=HOST)
        self._routes = {(route.method, route.path): route for route in routes}
        self._pools = pools
        self._callers = callers
        self._report = report
        self._calls = calls

    def wsgi_app(self) -> Any:
        """The Flask application."""
        self.create()
        app = self._app
        # `/authorize/x/` is another path than `/authorize/x`, and `//` is not `/`.
        app.url_map.merge_slashes = False
        for rule in app.url_map.iter_rules():
            rule.strict_slashes = True
            rule.merge_slashes = False
        app.register_error_handler(RefusedError, lambda error: _answer(error.status, error.message))
        for status in (404, 405):
            app.register_error_handler(status, lambda _: _answer(404, "Not Found"))
        app.register_error_handler(500, lambda _: _answer(500, "Internal Server Error"))
        app.after_request(_add_request_id)
        app.logger.disabled = True
        return app

    def _request_handler(self, **path_parameters: str) -> Any:
        # In place of SAM CLI's own, which makes its event from decoded values (raw queries, repeated headers
        # and cookies are lost) and reports its use over the network.
        wire: HttpRequest = current_request.environ[_REQUEST]
        found = self._dict_of_routes.get(self._route_key(wire.method, current_request.endpoint))
        route = self._routes.get((wire.method, found.path)) if found else None
        if route is None:
            # HEAD: Flask lets it through wherever GET is routed.
            raise RefusedError(404, "Not Found")
        event = http_event(
            wire,
            route_key=f"{route.method} {route.path}",
            path_parameters=path_parameters,
            caller=self._callers.check(wire) if route.iam else None,
        )
        return self._respond(self._invoke(route, event))

    def _invoke(self, route: Route, event: dict[str, Any]) -> str:
        call = self._calls.submit(self._call, route.function, event)
        try:
            result = call.result(route.timeout_ms / 1000)
        except (TooLateError, ThrottledError):
            # The function goes on, as it does on AWS; nobody waits for its answer any more.
            raise RefusedError(503, "Service Unavailable") from None
        except ProcessError:
            raise _failed() from None
        if result.error is not None:
            raise _failed()
        return result.payload.decode("utf-8", "replace")

    def _call(self, function: str, event: dict[str, Any]) -> InvocationResult:
        result = self._pools[function].invoke(event)
        self._report(function, result)
        return result

    def _respond(self, payload: str) -> Any:
        try:
            status, headers, body = self._parse_v2_payload_format_lambda_output(payload, [], current_request)
        except (LambdaResponseParseException, ValueError, TypeError, AttributeError):
            raise _failed() from None
        return self.service_response(body, headers, status)


class _Callers:
    """Who may call the routes with AWS_IAM: whoever signs, and whose policy, if there is one, allows it."""

    def __init__(self, credentials: Mapping[str, str], services: Services) -> None:
        own = {each.access_key_id: each.secret_access_key for each in services.values()}
        self._credentials = {**credentials, **own}
        self._session_tokens = {each.access_key_id: each.session_token for each in services.values()}
        self._services = services

    def check(self, wire: HttpRequest) -> str:
        """The access key id of whoever signed."""
        try:
            caller = verify(
                wire, credentials=self._credentials, session_tokens=self._session_tokens, region=REGION
            )
        except SignatureRefusedError:
            raise RefusedError(403, "Forbidden") from None
        if not allowed(self._services, caller, wire):
            raise RefusedError(403, "Forbidden")
        return caller


class _NoRunner:
    """What SAM CLI would run functions with; only asked whether somebody debugs."""

    def is_debugging(self) -> bool:
        return False


class _Front:
    """WSGI in front of Flask: keeps the request as it came, and lets routes see the undecoded path."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            wire = wire_request(environ)
        except RefusedError as refused:
            answer = _add_request_id(_answer(refused.status, refused.message))
            return answer(environ, start_response)
        environ[_REQUEST] = wire
        environ["PATH_INFO"] = wire.path
        environ["QUERY_STRING"] = wire.query
        environ["wsgi.input"] = io.BytesIO(wire.body)
        return self._app(environ, start_response)


class _Handler(WSGIRequestHandler):
    """Hands the undecoded request on, and writes no log."""

    def make_environ(self) -> _Environ:
        environ = super().make_environ()
        environ["mooring.target"] = self.path
        environ["mooring.headers"] = tuple(self.headers.items())
        return environ

    def log(self, *_: object) -> None:
        """Say nothing: each invocation has its own line."""


def _answer(status: int, message: str) -> Response:
    return Response(json.dumps({"message": message}), status, content_type="application/json")


def _add_request_id(response: Response) -> Response:
    response.headers["apigw-requestid"] = secrets.token_urlsafe(11) + "="
    return response


def _read_api(template: Path, parameters: Mapping[str, str]) -> Any:
    with warnings.catch_warnings():
        # samcli still uses what its own translator calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        stacks, _ = SamLocalStackProvider.get_stacks(str(template), parameter_overrides=dict(parameters))
        return ApiProvider(stacks, cwd=str(template.parent)).api


def _check_same_routes(api: Any, routes: Sequence[Route]) -> None:
    served = {(method, route.path, route.function_name) for route in api.routes for method in route.methods}
    declared = {(route.method, route.path, route.function) for route in routes}
    if served != declared:
        odd = ", ".join(f"{method} {path}" for method, path, _ in sorted(served ^ declared))
        raise TemplateError(f"SAM CLI and SAM's translator disagree on the routes: {odd}")
