"""A token endpoint on a socket that counts: each refresh token works once, and a used one ends the grant."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs

SECONDS = 0.02
"""So long a refresh takes, for others to come in between."""


class CountingProvider:
    """A running provider. It issued `refresh-0`; `refresh_token` is the one that it takes now.

    `calls` counts the token calls, `most_at_once` those that ran side by side; `revoked`: a used token came.
    """

    def __init__(self) -> None:
        self.calls = self.issued = self.most_at_once = 0
        self.revoked = False
        self._running = 0
        self._lock = Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                sent = parse_qs(self.rfile.read(length).decode())["refresh_token"][0]
                status, answer = endpoint.refresh(sent)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def refresh_token(self) -> str:
        """The one that works."""
        return f"refresh-{self.issued}"

    def refresh(self, sent: str) -> tuple[int, dict[str, object]]:
        """One token call: status and answer."""
        with self._lock:
            self.calls += 1
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        time.sleep(SECONDS)
        with self._lock:
            self._running -= 1
            if self.revoked or sent != self.refresh_token:
                self.revoked = True
                return 400, {"error": "invalid_grant"}
            self.issued += 1
            fresh = {"access_token": f"access-{self.issued}", "refresh_token": self.refresh_token}
            return 200, {**fresh, "token_type": "Bearer", "expires_in": 3_600}

    def stop(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
