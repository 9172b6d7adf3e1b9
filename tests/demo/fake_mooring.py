"""A tiny HTTP server in Mooring's place: answers list and disconnect calls, remembers what it was asked."""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class FakeMooring:
    """Answers everything with `status` and `body`.

    `calls` holds (method, path, headers) of each request, `seen` (path, headers) of each GET.
    """

    def __init__(self) -> None:
        self.status = 200
        self.body: bytes = b""
        self.calls: list[tuple[str, str, Mapping[str, str]]] = []
        self.show([])
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def seen(self) -> list[tuple[str, Mapping[str, str]]]:
        """Path and headers of each GET."""
        return [(path, headers) for method, path, headers in self.calls if method == "GET"]

    def show(self, connections: list[dict[str, Any]], following: str | None = None) -> None:
        """List these connections from now on."""
        self.body = json.dumps({"connections": connections, "next": following}).encode()

    def stop(self) -> None:
        """Stop answering; a second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.calls.append((self.command, self.path, dict(self.headers)))
                self.send_response(fake.status)
                self.send_header("Content-Length", str(len(fake.body)))
                self.end_headers()
                self.wfile.write(fake.body)

            def do_DELETE(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler


def connection(provider: str, account: str = "default", **changes: Any) -> dict[str, Any]:
    """One connection as the list call answers it."""
    return {
        "merchant_id": "m-1",
        "provider": provider,
        "account_id": account,
        "status": "active",
        "generation": 1,
        "version": 1,
        "scopes": [],
        "expires_at": None,
        "connected_at": 1_700_000_000,
        "updated_at": 1_700_000_000,
        "last_error": None,
        **changes,
    }
