"""The provider of the benchmark: token endpoints behind TLS that count what arrives.

It grants everything that has the shape of a request for it. Standard authorization servers (RFC 6749) and
Slack's `oauth.v2.access` stand beside each other on one port.
"""

import json
import secrets
import ssl
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from local import HOST

TEAM = "T0BENCH"
_GRANTED = {"authorization_code": "code", "refresh_token": "refresh_token"}


class Seen(NamedTuple):
    """What has arrived so far: TLS connections, and requests by path."""

    connections: int
    requests: Counter[str]


class Provider:
    """A running provider.

    Args:
        tls: a server context for `localhost`.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._server = _Server(tls)
        self.base_url = f"https://localhost:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def seen(self) -> Seen:
        """What has arrived since the start."""
        with self._server.lock:
            return Seen(self._server.connections, Counter(self._server.requests))

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.lock = Lock()
        self.connections = 0
        self.requests: Counter[str] = Counter()
        self._tls = tls
        super().__init__((HOST, 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection: counted when the handshake is done, whatever then is sent on it."""
        with self._tls.wrap_socket(request, server_side=True) as connection:
            with self.lock:
                self.connections += 1
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to report: the functions' processes are simply ended."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # One packet for the whole answer: held back, its second half would take longer than all the rest.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Any endpoint."""
        with self.server.lock:
            self.server.requests[self.path] += 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sent = _fields(body, self.headers.get("Content-Type", ""))
        answer = _SLACK[self.path](sent) if self.path in _SLACK else _token(sent)
        content = json.dumps(answer).encode()
        self.send_response(400 if "error" in answer and self.path not in _SLACK else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


def _fields(body: bytes, kind: str) -> dict[str, Any]:
    if body and kind.startswith("application/json"):
        found: dict[str, Any] = json.loads(body)
        return found
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


def _token(sent: dict[str, Any]) -> dict[str, Any]:
    """A token answer (RFC 6749 5.1) with a new refresh token, or `invalid_grant`."""
    if not sent.get(_GRANTED.get(str(sent.get("grant_type")), "")):
        return {"error": "invalid_grant"}
    return {
        "access_token": secrets.token_urlsafe(48),
        "refresh_token": secrets.token_urlsafe(48),
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "read_leads",
    }


def _slack_access(sent: dict[str, Any]) -> dict[str, Any]:
    """As https://docs.slack.dev/reference/methods/oauth.v2.access shows it, token rotation switched on."""
    if not (sent.get("code") or sent.get("refresh_token")):
        return {"ok": False, "error": "invalid_code"}
    return {
        "ok": True,
        "access_token": f"xoxe.xoxb-{secrets.token_urlsafe(48)}",
        "refresh_token": f"xoxe-{secrets.token_urlsafe(48)}",
        "token_type": "bot",
        "expires_in": 43200,
        "scope": "commands",
        "bot_user_id": "U0BENCH",
        "app_id": "A0BENCH",
        "team": {"id": TEAM, "name": "Bench"},
        "enterprise": None,
        "authed_user": {"id": "U1BENCH"},
        "is_enterprise_install": False,
    }


def _slack_test(_sent: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "team_id": TEAM, "user_id": "U0BENCH", "bot_id": "B0BENCH"}


_SLACK = {"/api/oauth.v2.access": _slack_access, "/api/auth.test": _slack_test}
