"""Kept-alive connections: used again, never trusted blindly, and no POST sent twice."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.adapters.http import IDLE_PER_ORIGIN, OutboundHttp
from mooring.core.ports import HttpFault
from tests.adapters.http_client import Serve, fault_of, request, together
from tests.contract.socket_server import SocketServer, hang_up, plain, response
from tests.template.translated import Stack

HEAD = b"HTTP/1.1 200 OK\r\n"


def reset(connection: socket.socket) -> bool:
    """End the connection with a reset instead of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    return False


def test_the_second_request_uses_the_same_connection(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    for _ in range(3):
        assert client.send(request(server)).status == 200
    assert (server.connections, len(server.heads)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        response(200, b"{}", {"Connection": "close"}),
        plain(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", stay=True),
        plain(HEAD + b"\r\n{}"),
    ],
    ids=["says so", "HTTP/1.0", "ends the body by closing"],
)
def test_a_connection_that_the_server_ends_is_not_used_again(
    client: OutboundHttp, serve: Serve, answer: object
) -> None:
    server = serve(answer)
    assert [client.send(request(server)).body for _ in range(2)] == [b"{}", b"{}"]
    assert server.connections == 2


def test_a_connection_that_was_closed_while_idle_harms_nobody(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response(200, b"one", stay=False), response(200, b"two"))
    assert client.send(request(server)).body == b"one"
    assert server.hung_up.wait(2)
    assert client.send(request(server)).body == b"two"
    assert (server.connections, len(server.heads)) == (2, 2)


@pytest.fixture
def hasty() -> Iterator[OutboundHttp]:
    """A client that keeps no connection for longer than a moment."""
    client = OutboundHttp(idle_seconds=0.0)
    yield client
    client.close()


def test_a_connection_that_was_idle_for_long_is_not_used_again(hasty: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    for _ in range(2):
        hasty.send(request(server))
    assert server.connections == 2


@pytest.mark.parametrize("end", [hang_up, reset])
def test_a_post_that_met_a_closing_connection_is_in_doubt_and_sent_once(
    client: OutboundHttp, serve: Serve, end: object
) -> None:
    server = serve(response(), end, response())
    client.send(request(server))
    fault = fault_of(client, request(server))
    assert (fault.kind, fault.sent) == ("broken", True)
    assert (server.connections, len(server.heads)) == (1, 2)


@pytest.mark.parametrize("end", [hang_up, reset])
def test_a_get_that_met_a_closing_connection_is_asked_again(
    client: OutboundHttp, serve: Serve, end: object
) -> None:
    server = serve(response(), end, response(200, b"fresh"))
    client.send(request(server))
    assert client.send(request(server, "GET")).body == b"fresh"
    assert (server.connections, len(server.heads)) == (2, 3)


def test_a_get_on_a_new_connection_is_not_asked_again(client: OutboundHttp, serve: Serve) -> None:
    server = serve(hang_up, response())
    assert fault_of(client, request(server, "GET")).kind == "broken"
    assert len(server.heads) == 1


def test_a_get_that_got_half_an_answer_is_not_asked_again(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response(), plain(HEAD + b"Content-Length: 9\r\n\r\nhalf"), response())
    client.send(request(server))
    assert fault_of(client, request(server, "GET")).kind == "broken"
    assert len(server.heads) == 2


def test_a_get_whose_second_try_finds_nobody_was_still_sent(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())

    def close_shop(connection: socket.socket) -> bool:
        server._listener.shutdown(socket.SHUT_RDWR)
        server._listener.close()
        del connection
        return False

    server.answers = [response(), close_shop]
    client.send(request(server))
    fault = fault_of(client, request(server, "GET"))
    assert (fault.kind, fault.sent) == ("connect", True)


def test_a_connection_that_failed_is_not_used_again(client: OutboundHttp, serve: Serve) -> None:
    server = serve(plain(HEAD + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000, stay=True), response())
    assert fault_of(client, request(server)).kind == "too_large"
    assert client.send(request(server)).body == b"{}"
    assert server.connections == 2


def test_an_answer_that_nobody_asked_for_answers_nothing(client: OutboundHttp, serve: Serve) -> None:
    extra = HEAD + b"Content-Length: 6\r\n\r\nforged"
    server = serve(plain(HEAD + b"Content-Length: 3\r\n\r\none" + extra, stay=True), response(200, b"two"))
    assert client.send(request(server)).body == b"one"
    assert client.send(request(server)).body == b"two"


def test_no_merchant_gets_the_answer_to_another_ones_token_call(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())

    def hint_then_token(connection: socket.socket) -> bool:
        body = b'{"access_token":"for-' + server.bodies[-1] + b'"}'
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        server.pause(0.5)
        return response(200, body)(connection)

    server.answers = [hint_then_token]
    answers = []
    for merchant in (b"merchant-1", b"merchant-2"):
        try:
            answers.append((merchant, client.send(request(server, body=merchant)).body))
        except HttpFault:
            answers.append((merchant, b""))
    for merchant, body in answers:
        assert body in (b"", b'{"access_token":"for-' + merchant + b'"}')
    assert server.bodies == [b"merchant-1", b"merchant-2"]


def test_connections_are_kept_per_origin(client: OutboundHttp, serve: Serve) -> None:
    one, other = serve(response(200, b"one")), serve(response(200, b"other"))
    assert [client.send(request(server)).body for server in (one, other, one)] == [b"one", b"other", b"one"]
    assert (one.connections, other.connections) == (1, 1)


def test_many_threads_share_a_client(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.send(request(server)).body, range(40)))
    assert answers == [b"{}"] * 40
    assert len(server.heads) == 40


def at_once(client: OutboundHttp, server: SocketServer, count: int) -> None:
    """Send so many requests at the same time."""
    server.answers = [together(count, response())]
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda _: client.send(request(server)).status, range(count)))
    assert answers == [200] * count


def test_ten_workers_keep_their_ten_connections(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    for _ in range(3):
        at_once(client, server, 10)
    assert server.connections == 10


def test_no_more_than_ten_stay(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    for _ in range(2):
        at_once(client, server, IDLE_PER_ORIGIN + 2)
    assert server.connections == IDLE_PER_ORIGIN + 2 + 2


def test_as_many_stay_as_a_batch_of_the_refresh_queue_has_messages() -> None:
    assert Stack().properties("RefreshQueueSource")["BatchSize"] == IDLE_PER_ORIGIN
