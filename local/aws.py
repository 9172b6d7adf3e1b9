"""The simulated AWS: moto's server, made safe for concurrent callers, on one loopback port.

    python -m local.aws --port 4566      until Ctrl-C; port 0 takes a free one

It prints one line, `listening on http://127.0.0.1:PORT`, when it is ready. moto is not reliable when several
threads call it at once (conditional writes have been seen to succeed twice), so requests go one by one.
What it does not simulate: TTL never deletes, disabled keys still decrypt, ClientRequestToken is ignored.
"""

import argparse
import io
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from local import HOST, ROOT, aws_streams
from local.aws_controls import REPEATED, Controls
from local.processes import ProcessError, spawn

_READY = "listening on "
_START_SECONDS = 60
_LONGEST_PAUSE_SECONDS = 0.25
_LONGEST_POLL_SECONDS = 20
_Environ = dict[str, Any]
_App = Callable[[_Environ, Callable[..., Any]], Iterable[bytes]]


class SerializedApp:
    """A WSGI application that handles one request at a time.

    A long poll (SQS ReceiveMessage with WaitTimeSeconds) would keep everybody else waiting: it becomes short
    polls that let others in between, repeated after every call of SQS and at least four times a second until
    a message is there. A queue's own default wait is not applied; ask for it in the call.

    Args:
        app: the application behind the lock.
    """

    def __init__(self, app: _App) -> None:
        self._app = app
        self._turn = threading.Condition()

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request; WSGI."""
        if _from_a_browser(environ) or not _is_local(environ.get("HTTP_HOST", "")):
            start_response("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        wait_seconds = 0.0
        if environ.get("HTTP_X_AMZ_TARGET") == "AmazonSQS.ReceiveMessage":
            wait_seconds = _take_wait(environ)
        status, headers, body = self._run(environ, wait_seconds)
        start_response(status, headers)
        return [body]

    def _run(self, environ: _Environ, wait_seconds: float) -> tuple[str, list[tuple[str, str]], bytes]:
        deadline = time.monotonic() + wait_seconds
        sent = environ["wsgi.input"].read() if wait_seconds else b""
        repeated = False
        with self._turn:
            while True:
                # The application consumes its environ and its body; a repeated poll needs both again.
                again = {**environ, "wsgi.input": io.BytesIO(sent), REPEATED: repeated}
                answer = _collect(self._app, again if wait_seconds else environ)
                repeated = True
                left = deadline - time.monotonic()
                if left <= 0 or b'"Messages"' in answer[2] or not answer[0].startswith("200"):
                    break
                self._turn.wait(min(left, _LONGEST_PAUSE_SECONDS))
            if environ.get("HTTP_X_AMZ_TARGET", "").startswith("AmazonSQS.") and not wait_seconds:
                # Only these bring messages; waking every poll after every call would be half the work.
                self._turn.notify_all()
        return answer


class AwsProcess:
    """The simulated AWS as a child process, which ends with this one.

    Args:
        log_path: takes what it writes to standard error.

    Raises:
        ProcessError: it does not come up; the message names the log.
    """

    def __init__(self, log_path: Path) -> None:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log_path = log_path
        with log_path.open("a") as log:
            command = [sys.executable, "-m", "local.aws", "--port", "0"]
            self._process = spawn(command, environment=_environment(), folder=ROOT, stderr=log)
        self._timer = threading.Timer(_START_SECONDS, self._process.kill)
        self._timer.start()

    def endpoint_url(self) -> str:
        """Its address, when it is ready; waits for that.

        Raises:
            ProcessError: it ended instead.
        """
        assert self._process.stdout is not None  # noqa: S101 - spawn always makes the pipe
        line = self._process.stdout.readline().decode().strip()
        self._timer.cancel()
        if not line.startswith(_READY):
            raise ProcessError(f"the simulated AWS does not start; see {self._log_path}")
        return line.removeprefix(_READY)

    def stop(self) -> None:
        """End it; what it held is gone."""
        self._timer.cancel()
        # It has nothing to put away.
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; 0."""
    parser = argparse.ArgumentParser(prog="python -m local.aws", description="Serve the simulated AWS.")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    given = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    server = _server(given.port)
    print(f"{_READY}http://{HOST}:{server.server_address[1]}", flush=True)
    server.serve_forever()
    return 0


def _server(port: int) -> Any:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log(self, *_: object) -> None:
            """Say nothing: every request of every function would be a line."""

    aws_streams.install()
    app = SerializedApp(Controls(DomainDispatcherApplication(create_backend_app)))
    return make_server(HOST, port, app, threaded=True, request_handler=Quiet)


def _environment() -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # moto itself talks to no AWS; should it ever try, it finds no real credentials.
        "AWS_ACCESS_KEY_ID": "mooring-local",
        "AWS_SECRET_ACCESS_KEY": "mooring-local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": "/nonexistent",
    }


def _collect(app: _App, environ: _Environ) -> tuple[str, list[tuple[str, str]], bytes]:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], None]:
        started.append((status, headers))
        return lambda _: None

    chunks = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    return status, headers, body


def _take_wait(environ: _Environ) -> float:
    """Seconds that a ReceiveMessage wants to wait; the request is changed to wait for none."""
    source: IO[bytes] = environ["wsgi.input"]
    body = source.read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        asked = json.loads(body)
        wait_seconds = float(asked.get("WaitTimeSeconds") or 0)
    except (ValueError, AttributeError, TypeError):
        wait_seconds, asked = 0.0, None
    if asked is not None:
        asked["WaitTimeSeconds"] = 0
        body = json.dumps(asked).encode()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    return min(max(wait_seconds, 0.0), _LONGEST_POLL_SECONDS)


def _from_a_browser(environ: _Environ) -> bool:
    # moto lets every web page read its answers (CORS), and asks nobody for credentials.
    return "HTTP_ORIGIN" in environ or "HTTP_SEC_FETCH_SITE" in environ


def _is_local(host: str) -> bool:
    # A web page could also point a name of its own at 127.0.0.1.
    name = host.rpartition(":")[0] if ":" in host else host
    return name in {HOST, "localhost"} or name.endswith(".localhost")


if __name__ == "__main__":
    sys.exit(main())
