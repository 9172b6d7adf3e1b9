"""Time and size: servers that stall, drip, flood or explode."""

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mooring.adapters.http import BODY_BYTES, OutboundHttp
from mooring.adapters.http_socket import READ_SECONDS, WIRE_BYTES, Limits
from mooring.core.ports import HttpFault, HttpRequest
from tests.adapters.http_client import Serve, fault_of, request
from tests.contract.socket_server import Answer, SocketServer, plain, response

DEADLINE = 0.8
HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def in_time() -> Iterator[None]:
    """No longer than the deadline, and a margin for a busy machine."""
    started = time.monotonic()
    yield
    assert DEADLINE * 0.9 <= time.monotonic() - started < DEADLINE + 1.5


def dripping(start: bytes, drop: bytes) -> Callable[[SocketServer], Answer]:
    """`start` at once, then `drop` for ever, twenty times a second."""

    def build(server: SocketServer) -> Answer:
        def answer(connection: socket.socket) -> bool:
            connection.sendall(start)
            while server.pause(0.05) and not gone(connection):
                connection.sendall(drop)
            return False

        return answer

    return build


def gone(connection: socket.socket) -> bool:
    """Whether the client has closed its end."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def flooding(start: bytes, flood: bytes) -> Answer:
    """`start`, then `flood` for as long as anybody reads."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(start)
        while True:
            connection.sendall(flood)

    return answer


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"", b""),
        (b"", b"H"),
        (HEAD, b"x"),
        (HEAD + b"X-A: ", b"a"),
        (HEAD, b"X-A: 1\r\n"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"x"),
        (HEAD + b"\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=[
        "silence",
        "status line",
        "reason",
        "header",
        "headers",
        "body",
        "body without an end",
        "chunks",
        "chunk size",
        "trailers",
        "continue",
    ],
)
def test_the_deadline_ends_a_server_that_drips(
    client: OutboundHttp, serve: Serve, start: bytes, drop: bytes
) -> None:
    server = serve()
    server.answers = [dripping(start, drop)(server)]
    with in_time():
        fault = fault_of(client, request(server, deadline=DEADLINE))
    assert (fault.kind, fault.sent) == ("timeout", True)
    assert server.hung_up.wait(2), "the connection was left open"


def test_a_call_leaves_no_thread_behind(client: OutboundHttp, serve: Serve) -> None:
    server = serve()
    server.answers = [dripping(HEAD, b"x")(server)]
    fault_of(client, request(server, deadline=DEADLINE))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mooring")]


def test_no_single_read_may_take_the_whole_of_a_long_deadline() -> None:
    assert Limits(60).left(READ_SECONDS) == READ_SECONDS
    assert Limits(2).left(READ_SECONDS) <= 2
    with pytest.raises(TimeoutError):
        Limits(0).left(READ_SECONDS)


def test_a_deadline_that_has_passed_sends_nothing(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    fault = fault_of(client, request(server, deadline=0.0))
    assert (fault.kind, fault.sent, server.connections) == ("timeout", False, 0)


def test_a_connect_that_hangs_ends_and_sent_nothing(client: OutboundHttp) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(address)
        host = f"127.0.0.1:{address[1]}"
        sent = HttpRequest("POST", f"http://{host}/", {}, b"x", (host,), True, DEADLINE)
        with in_time():
            fault = fault_of(client, sent)
        for one in crowd:
            one.close()
    assert (fault.kind, fault.sent) == ("timeout", False)


def test_a_refused_connection_sent_nothing(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    server.stop()
    fault = fault_of(client, request(server))
    assert (fault.kind, fault.sent) == ("connect", False)


def test_a_name_that_does_not_resolve_sent_nothing(
    client: OutboundHttp, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    server = serve(response())
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    fault = fault_of(client, request(server))
    assert (fault.kind, fault.sent) == ("connect", False)


def test_a_resolver_that_hangs_holds_nobody_up(
    client: OutboundHttp, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "gave up")

    server = serve(response())
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", hang)
        with in_time():
            fault = fault_of(client, request(server, deadline=DEADLINE))
    assert (fault.kind, fault.sent) == ("timeout", False)
    waiting = [thread for thread in threading.enumerate() if thread.name == "mooring-resolver"]
    released.set()
    for thread in waiting:
        thread.join(5)
    assert [thread.is_alive() for thread in waiting] == [False]


def test_a_body_may_be_compressed(client: OutboundHttp, serve: Serve) -> None:
    body = b'{"access_token": "x"}'
    for name, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("identity", body)):
        server = serve(response(200, packed, {"Content-Encoding": name}))
        assert client.send(request(server)).body == body


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip.compress(b"\x00" * 300_000_000, 9)),
        ("deflate", zlib.compress(b"\x00" * 300_000_000, 9)),
    ],
    ids=["gzip", "deflate"],
)
def test_a_bomb_does_not_go_off(client: OutboundHttp, serve: Serve, encoding: str, bomb: bytes) -> None:
    server = serve(response(200, bomb, {"Content-Encoding": encoding}))
    client.send(request(serve(response())))
    tracemalloc.start()
    try:
        fault = fault_of(client, request(server))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (fault.kind, fault.sent) == ("too_large", True)
    assert peak < 6_000_000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0)),
        ("gzip", b"this is not gzip"),
        ("br", b"{}"),
        ("zstd", b"{}"),
        ("x", b"{}"),
    ],
    ids=["twice", "not gzip", "br", "zstd", "unknown"],
)
def test_an_encoding_that_cannot_be_read_is_broken(
    client: OutboundHttp, serve: Serve, encoding: str, body: bytes
) -> None:
    server = serve(response(200, body, {"Content-Encoding": encoding}))
    fault = fault_of(client, request(server))
    assert (fault.kind, fault.sent) == ("broken", True)


@pytest.mark.parametrize(
    ("start", "flood"),
    [
        (HEAD + b"\r\n", b"x" * 4_096),
        (HEAD + b"Content-Length: 99999999\r\n\r\n", b"x" * 4_096),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4_096 + b"\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 700),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n" * 300),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["endless", "announced", "chunks", "tiny chunks", "trailers", "continue"],
)
def test_a_flood_is_cut_off(client: OutboundHttp, serve: Serve, start: bytes, flood: bytes) -> None:
    server = serve(flooding(start, flood))
    fault = fault_of(client, request(server))
    assert (fault.kind, fault.sent) == ("too_large", True)
    assert server.hung_up.wait(2), "the connection was left open"


@pytest.mark.parametrize(
    ("start", "flood"),
    [(HEAD, b"X-A: 1\r\n"), (HEAD + b"X-A: ", b"a" * 4_096), (b"HTTP/1.1 200 ", b"a" * 4_096)],
    ids=["headers", "header", "reason"],
)
def test_a_flood_of_headers_is_broken(client: OutboundHttp, serve: Serve, start: bytes, flood: bytes) -> None:
    fault = fault_of(client, request(serve(flooding(start, flood))))
    assert (fault.kind, fault.sent) == ("broken", True)


def test_the_caps_stand_in_order() -> None:
    assert BODY_BYTES == 256 * 1_024
    assert BODY_BYTES < WIRE_BYTES


def test_a_body_of_just_the_cap_arrives_in_any_framing(client: OutboundHttp, serve: Serve) -> None:
    body = b"x" * BODY_BYTES
    chunked = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:100], body[100:])) + b"0\r\n\r\n"
    )
    for answer in (
        response(200, body),
        plain(HEAD + b"\r\n" + body),
        plain(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked),
    ):
        assert client.send(request(serve(answer))).body == body


def test_a_fault_says_its_kind_and_nothing_else() -> None:
    assert str(HttpFault("timeout", sent=True)) == "timeout"
