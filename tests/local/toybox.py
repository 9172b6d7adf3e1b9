"""Where the toys are, and how to talk to a socket without a client library that tidies up."""

import http.client
import json
import socket
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.runtime import RuntimePool

TOYS = Path(__file__).parent / "toys"
PACKAGES = Path(sysconfig.get_path("purelib"))
PARAMETERS = {"Stage": "local", "DomainName": "127.0.0.1"}
CREDENTIALS = {"AKTOY": "toy-key"}

PoolMaker = Callable[..., RuntimePool]


@dataclass(frozen=True)
class Answer:
    """A response, headers as sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name]


def call(
    port: int, method: str, target: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """One request over a connection of its own; nothing is encoded or followed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def send_raw(port: int, data: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def bound() -> socket.socket:
    """A loopback socket with a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


def event_of(answer: Answer) -> dict[str, Any]:
    """The event that the echo toy was given."""
    event: dict[str, Any] = json.loads(answer.body)["event"]
    return event


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def parent_of(pid: int) -> int:
    """Process id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until(condition: Callable[[], object], *, seconds: float = 5) -> None:
    """Wait until something holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} seconds"
        time.sleep(0.01)
