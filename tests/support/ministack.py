"""A second DynamoDB beside moto: ministack's, in a process of its own, on one loopback port.

    python -m tests.support.ministack      until it is killed

It prints one line, `listening on http://127.0.0.1:PORT`, when it is ready. Only DynamoDB is served: the
command of ministack itself would bind every interface, and start servers of other kinds beside.
"""

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import Session

from local.processes import spawn
from tests.support import ROOT

HOST = "127.0.0.1"
REGION = "eu-west-1"
_READY = "listening on "
_START_SECONDS = 60
_TARGET = b"DynamoDB_"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Ministack:
    """A running server; it ends with this process, and all that it holds with it."""

    def __init__(self, folder: Path) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "LOG_LEVEL": "ERROR",
            "DOCKER_HOST": "unix:///nonexistent",
            "TMPDIR": str(folder),
        }
        with (folder / "ministack.log").open("w") as log:
            command = [sys.executable, "-m", "tests.support.ministack"]
            self._process = spawn(command, environment=environment, folder=ROOT, stderr=log)
        timer = threading.Timer(_START_SECONDS, self._process.kill)
        timer.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        timer.cancel()
        assert line.startswith(_READY), (folder / "ministack.log").read_text()
        self.endpoint = line.removeprefix(_READY)

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def client_of(service: str, endpoint: str, session: Session | None = None) -> Any:
    """A client of a server on this machine, with connections of its own; it tries each call once."""
    session = session or Session()
    session.set_credentials("test", "test")
    retries: Any = {"mode": "standard", "total_max_attempts": 1}
    config = Config(retries=retries, proxies={}, connect_timeout=10, read_timeout=60)
    return session.create_client(service, region_name=REGION, endpoint_url=endpoint, config=config)


async def only_dynamodb(scope: Scope, receive: Receive, send: Send) -> None:
    """ministack behind a gate (ASGI): nothing begins with the server, and nothing else is let in."""
    from ministack.app import app  # type: ignore[import-untyped]

    if scope["type"] == "lifespan":
        return
    targets = [value for name, value in scope.get("headers", ()) if name.lower() == b"x-amz-target"]
    if scope["type"] == "http" and targets and targets[0].startswith(_TARGET):
        await app(scope, receive, send)
    else:
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve on a free loopback port."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config as ServerConfig

    with socket.create_server((HOST, 0), backlog=200) as listening:
        config = ServerConfig()
        config.bind = [f"fd://{listening.fileno()}"]
        config.loglevel = "ERROR"
        config.keep_alive_timeout = 300
        print(f"{_READY}http://{HOST}:{listening.getsockname()[1]}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(only_dynamodb, config))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
