"""Three providers behind one loopback port whose token endpoints take a stated time and count what arrives.

    python -m tests.scale.provider --milliseconds 200   prints `listening on http://127.0.0.1:PORT`

    GET    /calls    {"calls": {"/amber/token": 12, …}, "at_once": 10} since the start or the last DELETE
    DELETE /calls

`at_once` is the most token calls that waited side by side.

Every refresh is answered with a new pair (RFC 6749 6). Any number of requests wait side by side, as they
do at a provider: what is measured is the worker, not this.
"""

import argparse
import asyncio
import json
import secrets
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from local import HOST, ROOT
from local.processes import ProcessError, spawn, stop

_READY = "listening on "
_CALLS = "/calls"
LIFETIME = 3600


class Provider:
    """The providers as a child process, which ends with this one.

    Args:
        log: takes what it writes to standard error.
        milliseconds: how long each token answer takes.

    Raises:
        ProcessError: it does not come up; the message names the log.
    """

    def __init__(self, log: Path, milliseconds: int) -> None:
        command = [sys.executable, "-m", "tests.scale.provider", "--milliseconds", str(milliseconds)]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
        with log.open("a") as errors:
            self._process = spawn(command, environment=environment, folder=ROOT, stderr=errors)
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line.startswith(_READY):
            raise ProcessError(f"the provider does not start; see {log}")
        self.base_url = line.removeprefix(_READY)

    def calls(self) -> Counter[str]:
        """Token calls by path since the start or the last `forget`."""
        return Counter(self._ask("GET")["calls"])

    def at_once(self) -> int:
        """The most token calls that waited side by side since then."""
        return int(self._ask("GET")["at_once"])

    def forget(self) -> None:
        """Start counting anew."""
        self._ask("DELETE")

    def stop(self) -> None:
        """End it."""
        stop(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, method: str) -> Any:
        request = urllib.request.Request(f"{self.base_url}{_CALLS}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def _granted() -> dict[str, Any]:
    return {
        "access_token": secrets.token_urlsafe(48),
        "refresh_token": secrets.token_urlsafe(48),
        "token_type": "Bearer",
        "expires_in": LIFETIME,
    }


class _Tokens:
    """The token endpoints."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: Counter[str] = Counter()
        self._waiting = 0
        self._at_once = 0

    async def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        """Handle one request: (status, what to answer as JSON)."""
        if path == _CALLS:
            found = {"calls": dict(self._calls), "at_once": self._at_once}
            if method == "DELETE":
                self._calls.clear()
                self._at_once = self._waiting
            return 200, found
        self._calls[path] += 1
        self._waiting += 1
        self._at_once = max(self._at_once, self._waiting)
        await asyncio.sleep(self._seconds)
        self._waiting -= 1
        refreshed = "refresh_token" in parse_qs(body.decode())
        return (200, _granted()) if refreshed else (400, {"error": "invalid_grant"})


async def _serve(seconds: float) -> None:
    tokens = _Tokens(seconds)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                method, path, _ = first.split(" ")
                headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, said = await tokens.answer(method, path, body)
                content = json.dumps(said).encode()
                told = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
                writer.write(f"HTTP/1.1 {status} Simulated\r\n{told}\r\n".encode() + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    print(f"{_READY}http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale.provider")
    parser.add_argument("--milliseconds", type=int, default=200)
    asyncio.run(_serve(parser.parse_args().milliseconds / 1000))


if __name__ == "__main__":
    main()
