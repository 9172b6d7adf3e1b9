"""Lambda's Invoke operation on this machine, so that `boto3.client("lambda").invoke(...)` runs our processes.

Synchronous, asynchronous and dry; signatures are checked, policies are not. Not like Lambda: an asynchronous
event that fails is not tried again, and a client context does not reach the function.
Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

from local import HOST, REGION
from local.callers import function_of
from local.invoker import Invoker, NoSuchFunctionError
from local.processes import ProcessError
from local.request import HttpRequest
from local.runtime import InvocationResult, ThrottledError
from local.sigv4 import SignatureRefusedError, verify
from local.simulators.server import LoopbackServer

_PREFIX, _SUFFIX = "/2015-03-31/functions/", "/invocations"
_CONTROL = "/_local/"
_NAMES = frozenset({HOST, "localhost"})
_MAX_BYTES = 6 * 1024 * 1024
_MAX_EVENT_BYTES = 1024 * 1024
_LOG_TAIL_BYTES = 4096
_EVENTS_AT_ONCE = 16

Note = Callable[[Mapping[str, Any]], None]
"""Told of each call that was let through, before the function runs."""
Control = Callable[[str, str], tuple[int, object]]
"""Given method and path below /_local/; returns status and answer."""


class _RefusedError(Exception):
    """An error answer of the service."""

    def __init__(self, status: int, code: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status, self.code, self.body = status, code, {"message": message, "Message": message, **more}


class LambdaApi:
    """Answers on a free loopback port from construction to `stop`.

    Args:
        invoker: runs the functions.
        credentials: secret access key by access key id: who may call.
        note: told of calls.
        control: answers what is asked under /_local/.
    """

    def __init__(
        self, invoker: Invoker, *, credentials: Mapping[str, str], note: Note, control: Control
    ) -> None:
        self._invoker = invoker
        self._credentials = credentials
        self._note = note
        self._control = control
        self._events = ThreadPoolExecutor(_EVENTS_AT_ONCE, thread_name_prefix="event")
        self._server = LoopbackServer(Request.application(self._respond))

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.url

    def stop(self) -> None:
        """Answer no more, and wait for asynchronous events; call it when the functions have ended."""
        self._server.stop()
        self._events.shutdown(wait=True, cancel_futures=True)

    def _respond(self, request: Request) -> Response:
        if request.host.partition(":")[0] not in _NAMES or {"Origin", "Sec-Fetch-Site"} & set(
            request.headers.keys()
        ):
            # A web page, maybe one that points a name of its own at this machine.
            return Response(status=403)
        if request.path.startswith(_CONTROL):
            status, answer = self._control(request.method, request.path.removeprefix(_CONTROL))
            return _json(status, answer)
        try:
            return self._invoke(request)
        except _RefusedError as refused:
            response = _json(refused.status, refused.body)
            response.headers["x-amzn-ErrorType"] = refused.code
            return response

    def _invoke(self, request: Request) -> Response:
        wire = _wire(request)
        function = _function(request.method, wire.path)
        caller = self._caller(wire)
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        self._note(_record(caller, function, kind))
        event = _event(wire.body, _MAX_BYTES if kind == "RequestResponse" else _MAX_EVENT_BYTES)
        try:
            self._invoker.pool(function)
        except NoSuchFunctionError:
            said = f"Function not found: {function}"
            raise _RefusedError(404, "ResourceNotFoundException", said, Type="User") from None
        if kind == "DryRun":
            return Response(status=204)
        if kind == "Event":
            self._events.submit(self._invoker.attempt, function, event)
            return Response(status=202)
        if kind != "RequestResponse":
            raise _RefusedError(400, "InvalidParameterValueException", "no such invocation type", Type="User")
        return _answer(self._run(function, event), tail=request.headers.get("X-Amz-Log-Type") == "Tail")

    def _caller(self, wire: HttpRequest) -> str:
        try:
            return verify(wire, credentials=self._credentials, region=REGION, service="lambda")
        except SignatureRefusedError as refused:
            raise _RefusedError(403, "InvalidSignatureException", str(refused)) from None

    def _run(self, function: str, event: bytes) -> InvocationResult:
        try:
            return self._invoker.invoke(function, event)
        except ThrottledError:
            said = {"Type": "User", "Reason": "ConcurrentInvocationLimitExceeded"}
            raise _RefusedError(429, "TooManyRequestsException", "Rate Exceeded.", **said) from None
        except ProcessError as error:
            raise _RefusedError(500, "ServiceException", str(error), Type="Service") from None


def _wire(request: Request) -> HttpRequest:
    # The signature covers the path as it was sent; WSGI's own is decoded.
    target = request.environ["REQUEST_URI"]
    return HttpRequest(request.method, target, tuple(request.headers.items()), request.get_data())


def _function(method: str, path: str) -> str:
    if method != "POST" or not path.startswith(_PREFIX) or not path.endswith(_SUFFIX):
        raise _RefusedError(404, "UnknownOperationException", "only Invoke is answered here")
    return unquote(path[len(_PREFIX) : -len(_SUFFIX)])


def _event(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _RefusedError(413, "RequestTooLargeException", f"more than {limit} bytes", Type="User")
    try:
        json.loads(body or b"{}")
    except ValueError:
        said = "Could not parse request body into json"
        raise _RefusedError(400, "InvalidRequestContentException", said, Type="User") from None
    return body or b"{}"


def _answer(result: InvocationResult, *, tail: bool) -> Response:
    payload = result.payload
    if result.error is not None and not payload.startswith(b"{"):
        # The emulator has plain words, or none, for a process that ended or was cut off.
        said = payload.decode("utf-8", "replace") or "the process ended"
        payload = json.dumps({"errorType": result.error, "errorMessage": said}).encode()
    response = Response(payload, 200, content_type="application/json")
    response.headers["X-Amz-Executed-Version"] = "$LATEST"
    if result.error is not None:
        response.headers["X-Amz-Function-Error"] = "Unhandled"
    if tail:
        log = "\n".join(result.log_lines).encode()[-_LOG_TAIL_BYTES:]
        response.headers["X-Amz-Log-Result"] = b64encode(log).decode()
    return response


def _record(caller: str, function: str, kind: str) -> dict[str, Any]:
    return {
        "caller": function_of(caller),
        "service": "lambda",
        "operation": "Invoke",
        "target": "Lambda.Invoke",
        "parameters": {"FunctionName": function, "InvocationType": kind},
        "left_out": ["Payload"],
        "polled": False,
    }


def _json(status: int, body: object) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
