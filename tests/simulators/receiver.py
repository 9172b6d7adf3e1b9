"""Whoever is told of an uninstall: remembers every notice and answers as it is told."""

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import NamedTuple


class Received(NamedTuple):
    """One request. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Answers the statuses in `statuses` one after the other, and 200 when there are none left."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self._lock = Lock()
        self._received: list[Received] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def received(self) -> list[Received]:
        """Every request so far, oldest first."""
        with self._lock:
            return list(self._received)

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: Received) -> int:
        with self._lock:
            self._received.append(request)
            return self.statuses.pop(0) if self.statuses else 200

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver._take(Received(self.path, headers, body)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler


def wait_until(wish: Callable[[], bool], seconds: float = 8) -> None:
    """Return once `wish` holds.

    Raises:
        AssertionError: it does not within that time.
    """
    deadline = time.monotonic() + seconds
    while not wish():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
