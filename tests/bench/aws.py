"""The simulated AWS of the benchmark: it notes every call, S3's included, and how many rows each one read.

python -m tests.bench.aws      prints `listening on http://127.0.0.1:PORT`, then serves until it is ended

GET /_bench/calls   [["DynamoDB_20120810.Query", 50], …] since the start or the last DELETE
DELETE /_bench/calls
"""

import io
import json
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from local import HOST, ROOT
from local.aws import SerializedApp
from local.processes import ProcessError, spawn, stop

_CALLS = "/_bench/calls"
_READY = "listening on "
_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_SHORT = {"TrentService": "KMS", "DynamoDB_20120810": "DynamoDB", "AmazonSSM": "SSM", "AmazonSQS": "SQS"}
_S3 = {"GET": "S3 GetObject", "PUT": "S3 PutObject", "DELETE": "S3 DeleteObject"}


class Calls(NamedTuple):
    """What was asked of AWS: `counts` by service and operation (`KMS Decrypt`), rows of tables read."""

    counts: Counter[str]
    rows: int


class Noted:
    """A WSGI application in front of the simulated AWS that keeps a list of calls."""

    def __init__(self, app: _App) -> None:
        self._app = app
        self._calls: list[tuple[str, int]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request; WSGI."""
        if environ.get("PATH_INFO") == _CALLS:
            return self._control(environ["REQUEST_METHOD"], start_response)
        name = _name(environ)
        body = b"".join(self._app(environ, start_response))
        self._calls.append((name, _rows(name, body)))
        return [body]

    def _control(self, method: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
        content = json.dumps(self._calls).encode()
        if method == "DELETE":
            self._calls.clear()
        start_response(
            "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        )
        return [content]


class BenchAws:
    """The simulated AWS as a child process, which ends with this one.

    Raises:
        ProcessError: it does not come up; the message names the log.
    """

    def __init__(self, log: Path) -> None:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "PYTHONUNBUFFERED": "1",
        }
        environment |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
        with log.open("a") as errors:
            command = [sys.executable, "-m", "tests.bench.aws"]
            self._process = spawn(command, environment=environment, folder=ROOT, stderr=errors)
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line.startswith(_READY):
            raise ProcessError(f"the simulated AWS does not start; see {log}")
        self.endpoint_url = line.removeprefix(_READY)

    def forget(self) -> None:
        """Start counting anew."""
        self._ask("DELETE")

    def calls(self) -> Calls:
        """What was asked of it since then."""
        found = self._ask("GET")
        return Calls(Counter(name for name, _ in found), sum(rows for _, rows in found))

    def stop(self) -> None:
        """End it."""
        stop(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, method: str) -> Any:
        request = urllib.request.Request(f"{self.endpoint_url}{_CALLS}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def main() -> None:
    """Serve until the process is ended."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log(self, *_: object) -> None:
            """Say nothing."""

    app = SerializedApp(Noted(DomainDispatcherApplication(create_backend_app)))
    server = make_server(HOST, 0, app, threaded=True, request_handler=Quiet)
    print(f"{_READY}http://{HOST}:{server.server_address[1]}", flush=True)
    server.serve_forever()


def _name(environ: dict[str, Any]) -> str:
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if not target:
        return _S3.get(environ["REQUEST_METHOD"], f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
    service, _, operation = target.rpartition(".")
    return f"{_SHORT.get(service, service)} {operation}"


def _rows(name: str, body: bytes) -> int:
    """How many rows one answer read, by DynamoDB's own count where it gives one."""
    if name not in ("DynamoDB Query", "DynamoDB Scan", "DynamoDB BatchGetItem", "DynamoDB GetItem"):
        return 0
    answer = json.load(io.BytesIO(body))
    if name == "DynamoDB GetItem":
        return int("Item" in answer)
    if name == "DynamoDB BatchGetItem":
        return sum(len(rows) for rows in answer.get("Responses", {}).values())
    return max(int(answer.get("ScannedCount", 0)), len(answer.get("Items", [])))


if __name__ == "__main__":
    main()
