"""What the HTTP tests share: a client, servers, and requests to them."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Barrier

import pytest

from mooring.adapters.http import OutboundHttp
from mooring.core.ports import HttpFault, HttpRequest
from tests.contract.socket_server import Answer, SocketServer

type Serve = Callable[..., SocketServer]


@contextmanager
def servers() -> Iterator[Serve]:
    """A function that starts a server with the answers it is given; all stop at the end."""
    with ExitStack() as stack:

        def start(*answers: Answer, **options: object) -> SocketServer:
            server = SocketServer(*answers, **options)  # type: ignore[arg-type]
            stack.callback(server.stop)
            return server

        yield start


def together(count: int, answer: Answer) -> Answer:
    """Answer so many requests at once, so that each of them has a connection of its own."""
    here = Barrier(count, timeout=5)

    def wait(connection: socket.socket) -> bool:
        here.wait()
        return answer(connection)

    return wait


def request(server: SocketServer, method: str = "POST", **changes: object) -> HttpRequest:
    """A request to a server on loopback, by http."""
    body = b"code=secret" if method == "POST" else None
    base = HttpRequest(method, f"http://{server.host}/token", {}, body, (server.host,), True, 5.0)
    return base._replace(**changes)  # type: ignore[arg-type]


def fault_of(client: OutboundHttp, sent: HttpRequest) -> HttpFault:
    """The fault that a request must end with."""
    with pytest.raises(HttpFault) as caught:
        client.send(sent)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value
