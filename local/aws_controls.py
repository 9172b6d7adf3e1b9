"""Test controls of the simulated AWS, under /_local/: make its calls fail, and tell which calls it saw.

    POST   /_local/faults   a list of {"target": "DynamoDB_20120810.UpdateItem", "status": 500, "code": "...",
                            "times": 2, "function": "refresh"}, for every caller without "function"; they are
                            added to what is planned already
    DELETE /_local/faults   every call works again
    GET    /_local/calls    targets of all calls since the start or the last DELETE, oldest first;
                            ?function=callback for one function's
    DELETE /_local/calls
    GET    /_local/requests   the same calls and those in other protocols, each with its caller and what a
                              policy decides on; ?function=refresh for one function's
    POST   /_local/requests   add a call that was made elsewhere (the Lambda API's)
    DELETE /_local/requests

A target is what AWS's JSON protocols send in `X-Amz-Target`; a call that is made to fail changes nothing.
Polls of queues on behalf of functions are no calls; among the requests, each shape of them stands once.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import parse_qs

from local.aws_requests import Requests, caller_of

REPEATED = "mooring.repeated"
"""Set in the environ of a request that was seen before: a long poll that looks again."""

_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_PREFIX = "/_local/"
#: Calls that are remembered; the oldest go first, so that a stack can run for weeks.
_REMEMBERED = 100_000


@dataclass
class Fault:
    """The next `times` calls of `target` by `function` (None: anybody) get `status` and the error `code`."""

    target: str
    status: int
    code: str
    times: int = 1
    function: str | None = None

    def hits(self, target: str, caller: str | None) -> bool:
        """Whether it has to show in this call."""
        return self.times > 0 and self.target == target and self.function in (None, caller)


class Controls:
    """A WSGI application in front of the simulated AWS.

    Args:
        app: the simulated AWS.
    """

    def __init__(self, app: _App) -> None:
        self._app = app
        self._lock = Lock()
        self._faults: list[Fault] = []
        self._calls: deque[tuple[str | None, str]] = deque(maxlen=_REMEMBERED)
        self._requests = Requests()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request; WSGI."""
        path: str = environ.get("PATH_INFO", "")
        if path.startswith(_PREFIX):
            return self._control(environ, path.removeprefix(_PREFIX), start_response)
        fault = self._seen(environ)
        if fault is None:
            return self._app(environ, start_response)
        body = {"__type": fault.code, "message": "made to fail"}
        return _answer(start_response, fault.status, body, "application/x-amz-json-1.0")

    def _seen(self, environ: dict[str, Any]) -> Fault | None:
        """Note a call; the fault that it has to show, used up by this."""
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        with self._lock:
            if not environ.get(REPEATED):
                self._count(self._requests.note(environ))
            caller = caller_of(environ)
            fault = next((fault for fault in self._faults if fault.hits(target, caller)), None)
            if fault:
                fault.times -= 1
            return fault

    def _control(
        self, environ: dict[str, Any], name: str, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        actions: Mapping[tuple[str, str], Callable[[], Any]] = {
            ("POST", "faults"): lambda: self._plan(_body(environ)),
            ("DELETE", "faults"): self._faults.clear,
            ("GET", "calls"): lambda: self._calls_of(_function(environ)),
            ("DELETE", "calls"): self._calls.clear,
            ("GET", "requests"): lambda: self._requests.of(_function(environ)),
            ("POST", "requests"): lambda: self._count(self._requests.add(_body(environ))),
            ("DELETE", "requests"): self._requests.clear,
        }
        action = actions.get((environ["REQUEST_METHOD"], name))
        if action is None:
            return _answer(start_response, 404, {"error": f"there is no /_local/{name} with this method"})
        try:
            with self._lock:
                result = action()
        except (ValueError, TypeError) as error:
            return _answer(start_response, 400, {"error": str(error)})
        return _answer(start_response, 200, result)

    def _count(self, record: Mapping[str, Any]) -> None:
        if record["target"] and not record.get("polled"):
            self._calls.append((record.get("caller"), record["target"]))

    def _calls_of(self, function: str | None) -> list[str]:
        return [target for caller, target in self._calls if function in (None, caller)]

    def _plan(self, wishes: object) -> None:
        if not isinstance(wishes, list):
            raise TypeError("the body must be a list of faults")
        self._faults += [Fault(**wish) for wish in wishes]


def _function(environ: dict[str, Any]) -> str | None:
    asked = parse_qs(str(environ.get("QUERY_STRING", ""))).get("function")
    return asked[0] if asked else None


def _body(environ: dict[str, Any]) -> object:
    return json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _answer(
    start_response: Callable[..., Any], status: int, body: object, kind: str = "application/json"
) -> Iterable[bytes]:
    content = json.dumps(body).encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
    start_response(f"{status} Simulated", headers)
    return [content]
