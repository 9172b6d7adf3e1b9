"""A stack for the CLI's tests: a real HTTP server that checks signatures, and the files a stack writes."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEY_ID, SECRET, REGION = "local-key-id", "local-dummy-secret", "eu-central-1"
TOKEN = "token-that-the-provider-issued"
SWEEP = "/2015-03-31/functions/mooring-local-sweep/invocations"
"""Lambda's own path for invoking the function."""


class FakeStack:
    """What the stack answers by path (status, body), what it was asked for, and its stack folder.

    A GET is known by its path alone, anything else by method and path. `headers` come with every answer.
    """

    def __init__(self, stack_dir: Path, port: int) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.session_tokens: list[str] = []
        self.tables = {"connections": "connections", "flows": "flows"}
        self.queues: dict[str, str] = {}
        self.stack_dir = stack_dir
        self.base_url = f"http://127.0.0.1:{port}"
        self.key = Ed25519PrivateKey.generate()
        self.aws_endpoint_url = self.base_url
        stack_dir.mkdir(parents=True)
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (stack_dir / "link_key.pem").write_bytes(pem)
        self.write()

    def write(self, **changes: Any) -> None:
        """Write `stack.json`, with some fields changed."""
        content = {
            "base_url": self.base_url,
            "demo_url": self.base_url,
            "aws_endpoint_url": self.aws_endpoint_url,
            "region": REGION,
            "lambda_endpoint": self.base_url,
            "functions": {"sweep": "mooring-local-sweep"},
            "tables": self.tables,
            "queues": self.queues,
            "providers": {},
            "link_key": {"path": str(self.stack_dir / "link_key.pem"), "kid": "local-1"},
            "credentials": {"access_key_id": KEY_ID, "secret_access_key": SECRET},
        }
        (self.stack_dir / "stack.json").write_text(json.dumps(content | changes))

    def enables(self, *providers: str) -> None:
        """Let these providers be compiled into the stack, as staging does."""
        folder = self.stack_dir / "build/layers/mooring/python/mooring/compiled/providers"
        folder.mkdir(parents=True, exist_ok=True)
        for provider in providers:
            (folder / f"{provider}.json").write_text("{}")

    def lists(self, merchant: str, *connections: Mapping[str, Any]) -> None:
        """Let `merchant` have these connections."""
        body = {"connections": [dict(connection) for connection in connections], "next": None}
        self.answers[f"/merchants/{merchant}/connections"] = (200, body)

    def respond(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        """The answer to a signed request; like API Gateway, 403 for a wrong signature."""
        known_as = path if method == "GET" else f"{method} {path}"
        self.asked.append(known_as)
        # Lambda's own requests are botocore's business; these are signed by the command itself.
        ours = "/lambda/aws4_request" not in headers.get("Authorization", "")
        if ours and headers.get("Authorization") != self._authorization(method, path, headers):
            return 403, {"message": "Forbidden"}
        return self.answers.get(known_as, (404, {"message": "Not Found"}))

    def _authorization(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """What the request's `Authorization` must be: the signature made once more."""
        again = AWSRequest(method, self.base_url + path, headers={"Accept": headers["Accept"]})
        if token := headers.get("X-Amz-Security-Token"):
            self.session_tokens.append(token)
            again.headers["X-Amz-Security-Token"] = token
        again.context["timestamp"] = again.headers["X-Amz-Date"] = headers["X-Amz-Date"]
        signer = SigV4Auth(Credentials(KEY_ID, SECRET), "execute-api", REGION)
        canonical = signer.canonical_request(again)
        signature = signer.signature(signer.string_to_sign(again, canonical), again)
        signed = signer.signed_headers(signer.headers_to_sign(again))
        scope = signer.scope(again)
        return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"


def connection(provider: str, account: str, **changes: Any) -> dict[str, Any]:
    """One connection as the list route shows it."""
    return {
        "provider": provider,
        "account_id": account,
        "status": "active",
        "generation": 1,
        "version": 2,
        "scopes": ["read", "write"],
        "expires_at": None,
        "connected_at": 1_790_000_000,
        "updated_at": 1_790_000_000,
        "last_error": None,
        **changes,
    }


def problem(status: int, reason: str, title: str, detail: str) -> tuple[int, dict[str, Any]]:
    """An answer that is a problem document (RFC 9457)."""
    return status, {"title": title, "detail": detail, "reason": reason, "status": status}


@contextmanager
def running_stack(folder: Path) -> Iterator[FakeStack]:
    """A fake stack that listens until the block ends; its stack folder is `folder/.local`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = stack.respond(self.command, self.path, dict(self.headers))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in stack.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stack = FakeStack(folder / ".local", server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield stack
        finally:
            server.shutdown()
            thread.join()
