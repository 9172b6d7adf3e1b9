"""Test controls of the simulated AWS, under /_local/: make its calls fail, and tell which calls it saw.

    POST   /_local/faults   a list of {"target": "DynamoDB_20120810.UpdateItem", "status": 500, "code": "...",
                            "times": 2}; they are added to what is planned already
    DELETE /_local/faults   every call works again
    GET    /_local/calls    targets of all calls since the start or the last DELETE, oldest first
    DELETE /_local/calls

A target is what AWS's JSON protocols send in `X-Amz-Target`; a call that is made to fail changes nothing.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_PREFIX = "/_local/"


@dataclass
class Fault:
    """The next `times` calls of `target` are answered with `status` and the error `code`."""

    target: str
    status: int
    code: str
    times: int = 1


class Controls:
    """A WSGI application in front of the simulated AWS.

    Args:
        app: the simulated AWS.
    """

    def __init__(self, app: _App) -> None:
        self._app = app
        self._lock = Lock()
        self._faults: list[Fault] = []
        self._calls: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request; WSGI."""
        path: str = environ.get("PATH_INFO", "")
        if path.startswith(_PREFIX):
            return self._control(environ, path.removeprefix(_PREFIX), start_response)
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        fault = self._seen(target)
        if fault is None:
            return self._app(environ, start_response)
        body = {"__type": fault.code, "message": "made to fail"}
        return _answer(start_response, fault.status, body, "application/x-amz-json-1.0")

    def _seen(self, target: str) -> Fault | None:
        """Note a call; the fault that it has to show, used up by this."""
        with self._lock:
            if target:
                self._calls.append(target)
            fault = next(
                (fault for fault in self._faults if fault.target == target and fault.times > 0), None
            )
            if fault:
                fault.times -= 1
            return fault

    def _control(
        self, environ: dict[str, Any], name: str, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        actions: Mapping[tuple[str, str], Callable[[], Any]] = {
            ("POST", "faults"): lambda: self._plan(_body(environ)),
            ("DELETE", "faults"): self._faults.clear,
            ("GET", "calls"): lambda: list(self._calls),
            ("DELETE", "calls"): self._calls.clear,
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

    def _plan(self, wishes: object) -> None:
        if not isinstance(wishes, list):
            raise TypeError("the body must be a list of faults")
        self._faults += [Fault(**wish) for wish in wishes]


def _body(environ: dict[str, Any]) -> object:
    return json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _answer(
    start_response: Callable[..., Any], status: int, body: object, kind: str = "application/json"
) -> Iterable[bytes]:
    content = json.dumps(body).encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
    start_response(f"{status} Simulated", headers)
    return [content]
