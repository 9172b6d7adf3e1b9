"""The proxy itself: what it passes on it passes on to the byte, and each fault is what it says."""

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from local.callers import credentials_of
from mooring.adapters.http import OutboundHttp
from mooring.core.ports import HttpFault, HttpRequest
from tests.faults.actions import (
    Action,
    AwsError,
    AwsErrorAfter,
    BlackHole,
    Cut,
    Delay,
    DelayAnswer,
    Drip,
    EndlessChunks,
    Garble,
    GzipBomb,
    Hold,
    LoseAnswer,
    RedirectLoop,
    Reset,
    Respond,
    TooBig,
)
from tests.faults.proxy import FaultProxy
from tests.faults.tls import Kind, TlsEnd


class Upstream:
    """An HTTP/1.1 server that says back what it got, and counts."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length")
                body = self.rfile.read(int(length)) if length else self._chunks()
                outer.heads.append(str(self.headers))
                outer.bodies.append(body)
                self.send_response(201, "Well Made")
                self.send_header("X-Odd", "  spaced")
                if self.path.startswith("/chunked"):
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    self.wfile.write(b"3;x=y\r\nabc\r\n0\r\nX-Trailer: t\r\n\r\n")
                elif self.path.startswith("/close"):
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(b"until the end")
                else:
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def do_GET(self) -> None:
                outer.bodies.append(b"")
                self.send_response(204)
                self.end_headers()

            def _chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.stop()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[FaultProxy]:
    with FaultProxy(upstream.url) as running:
        yield running


def raw(port: int, request: bytes, *, until: bytes = b"") -> bytes:
    """What comes back on a socket, until it ends or `until` has come."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        got = b""
        while not (until and got.endswith(until)) and (piece := connection.recv(65_536)):
            got += piece
    return got


def ask(proxy: FaultProxy, path: str = "/token", body: bytes = b"grant", deadline: float = 5.0) -> bytes:
    """The answer's body, asked for as Mooring asks."""
    http = OutboundHttp()
    host = f"127.0.0.1:{proxy.port}"
    try:
        return http.send(HttpRequest("POST", f"{proxy.url}{path}", {}, body, (host,), True, deadline)).body
    finally:
        http.close()


def fault_of(proxy: FaultProxy, deadline: float = 5.0) -> tuple[str, bool]:
    with pytest.raises(HttpFault) as raised:
        ask(proxy, body=b"grant" * 200, deadline=deadline)
    return raised.value.kind, raised.value.sent


@pytest.mark.parametrize("path", ["/plain", "/chunked", "/close"])
def test_what_nobody_planned_passes_to_the_byte(proxy: FaultProxy, upstream: Upstream, path: str) -> None:
    request = (
        f"POST {path}?a=b%20c HTTP/1.1\r\nhOst: somewhere.example\r\nX-Case:  kept \r\n"
        "Content-Length: 5\r\nConnection: close\r\n\r\nabcde"
    ).encode()
    direct, through = (raw(port, request) for port in (upstream.port, proxy.port))
    strip = [line for line in direct.split(b"\r\n") if not line.startswith(b"Date:")]
    assert [line for line in through.split(b"\r\n") if not line.startswith(b"Date:")] == strip
    assert upstream.heads[0] == upstream.heads[1]
    assert "hOst: somewhere.example" in upstream.heads[1]
    (seen,) = proxy.seen
    assert (seen.method, seen.path, seen.target, seen.caller) == ("POST", f"{path}?a=b%20c", "", None)


def test_a_chunked_request_arrives(proxy: FaultProxy, upstream: Upstream) -> None:
    answer = requests.post(f"{proxy.url}/x", data=iter([b"one", b"two" * 50_000]), timeout=10)
    assert answer.content == upstream.bodies[0] == b"one" + b"two" * 50_000


def test_connections_are_kept_alive(proxy: FaultProxy, upstream: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.connect()
    port = connection.sock.getsockname()[1]
    for number in range(3):
        connection.request("POST", "/plain", body=f"number {number}".encode())
        assert connection.getresponse().read() == f"number {number}".encode()
    connection.request("GET", "/nothing")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (204, b"")
    with proxy.fault(Respond(503, b"{}")) as planned:
        connection.request("POST", "/plain", body=b"x")
        assert connection.getresponse().read() == b"{}"
    assert planned.ports == [port], "all on one connection"
    connection.close()
    assert len(upstream.bodies) == 4


def test_many_at_once(proxy: FaultProxy, upstream: Upstream) -> None:
    with ThreadPoolExecutor(20) as pool:
        sent = [f"{number}" * 1_000 for number in range(60)]
        got = list(pool.map(lambda text: ask(proxy, body=text.encode()).decode(), sent))
    assert got == sent


def test_no_upstream_is_a_bad_gateway_until_there_is_one(upstream: Upstream) -> None:
    with FaultProxy() as proxy:
        assert requests.post(f"{proxy.url}/x", data=b"a", timeout=5).status_code == 502
        proxy.upstream = upstream.url
        assert requests.post(f"{proxy.url}/x", data=b"a", timeout=5).status_code == 201


def test_who_is_hit(proxy: FaultProxy) -> None:
    access_key_id, _ = credentials_of("refresh")
    signed = {
        "X-Amz-Target": "DynamoDB_20120810.UpdateItem",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={access_key_id}/20261122/x/dynamodb/aws4_request",
    }

    def status(**headers: str) -> int:
        return requests.post(f"{proxy.url}/a/b", data=b"a", headers=headers, timeout=5).status_code

    with (
        proxy.fault(Respond(500), target="UpdateItem", caller="refresh", skip=1, times=2) as updates,
        proxy.fault(Respond(501), path="/a/", caller="callback") as nobody,
        proxy.fault(Respond(502), target="PutItem") as puts,
    ):
        assert [status(**signed) for _ in range(4)] == [201, 500, 500, 201]
        assert status(**{**signed, "X-Amz-Target": "DynamoDB_20120810.PutItem"}) == 502
        assert (updates.hits, nobody.hits, puts.hits) == (2, 0, 1)
        assert proxy.plans == [updates, nobody, puts]
    assert status(**signed) == 201
    assert proxy.plans == []
    assert proxy.count(target="UpdateItem", caller="refresh") == 5
    assert proxy.seen[0].caller == "refresh"


def test_chance_decides_where_nothing_is_planned(proxy: FaultProxy) -> None:
    proxy.chance = lambda seen: Respond(418) if seen.path == "/tea" else None
    with proxy.fault(Respond(400), path="/tea"):
        statuses = [requests.post(f"{proxy.url}/tea", data=b"", timeout=5).status_code for _ in range(2)]
    assert statuses == [400, 418]
    assert requests.post(f"{proxy.url}/x", data=b"", timeout=5).status_code == 201


@pytest.mark.parametrize(
    ("action", "kind", "arrived"),
    [
        (Reset(), "broken", 0),
        (LoseAnswer(), "broken", 1),
        (Cut(0), "broken", 1),
        (Cut(400), "broken", 1),
        (BlackHole(), "timeout", 0),
        (Drip(20), "timeout", 1),
        (DelayAnswer(3), "timeout", 1),
        (Delay(3), "timeout", 0),
        (TooBig(), "too_large", 0),
        (GzipBomb(forward=True), "too_large", 1),
        (EndlessChunks(), "too_large", 0),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (str, int)) else None,
)
def test_faults_as_mooring_meets_them(
    proxy: FaultProxy, upstream: Upstream, action: Action, kind: str, arrived: int
) -> None:
    with proxy.fault(action) as planned:
        assert fault_of(proxy, deadline=1.0 if kind == "timeout" else 10.0) == (kind, True)
    assert (planned.hits, len(upstream.bodies)) == (1, arrived)
    assert ask(proxy) == b"grant", "the next one passes"


def test_answers_of_the_proxys_own(proxy: FaultProxy, upstream: Upstream) -> None:
    with proxy.fault(Respond(429, b"slow", {"Retry-After": "7"})):
        answer = requests.post(f"{proxy.url}/x", data=b"", timeout=5)
    assert (answer.status_code, answer.content, answer.headers["Retry-After"]) == (429, b"slow", "7")
    with proxy.fault(AwsError(400, "ThrottlingException")):
        assert requests.post(f"{proxy.url}/x", timeout=5).json()["__type"] == "ThrottlingException"
    assert upstream.bodies == []
    with proxy.fault(AwsErrorAfter(500, "InternalServerError")):
        assert requests.post(f"{proxy.url}/x", data=b"w", timeout=5).status_code == 500
    with proxy.fault(Garble(b"<html>", {"Content-Type": "text/html"})):
        answer = requests.post(f"{proxy.url}/x", data=b"w", timeout=5)
    assert (answer.status_code, answer.content) == (200, b"<html>")
    assert upstream.bodies == [b"w", b"w"]


def test_a_cut_is_exact(proxy: FaultProxy) -> None:
    request = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"
    with proxy.fault(Cut(40)):
        assert raw(proxy.port, request)[:22] == b"HTTP/1.1 201 Well Made"
    with proxy.fault(Cut(40)):
        assert len(raw(proxy.port, request)) == 40


def test_a_redirect_loop_leads_nowhere(proxy: FaultProxy) -> None:
    session = requests.Session()
    session.max_redirects = 4
    with proxy.fault(RedirectLoop(307), times=10) as planned, pytest.raises(requests.TooManyRedirects):
        session.post(f"{proxy.url}/x", data=b"", timeout=5)
    assert planned.hits == 5
    session.close()


def test_a_bomb_is_small_on_the_wire(proxy: FaultProxy) -> None:
    with proxy.fault(GzipBomb(2_000_000)):
        answer = requests.post(f"{proxy.url}/x", data=b"", timeout=5, stream=True)
        packed = answer.raw.read(decode_content=False)
        answer.close()
    assert len(packed) < 10_000
    assert len(gzip.decompress(packed)) > 2_000_000


def test_a_drip_comes_slowly_and_whole(proxy: FaultProxy) -> None:
    started = time.monotonic()
    with proxy.fault(Drip(400)):
        answer = requests.post(f"{proxy.url}/x", data=b"a" * 100, timeout=5)
    assert answer.content == b"a" * 100
    assert time.monotonic() - started > 0.4


@pytest.mark.parametrize(("when", "arrived"), [("before", 0), ("after", 1)])
def test_a_hold_holds_until_its_gate_opens(
    proxy: FaultProxy, upstream: Upstream, when: str, arrived: int
) -> None:
    gate = threading.Event()
    hold = Hold("after" if when == "after" else "before", gate)
    with ThreadPoolExecutor(1) as pool, proxy.fault(hold) as planned:
        asking = pool.submit(ask, proxy)
        planned.wait_hit()
        time.sleep(0.1)
        assert (len(upstream.bodies), asking.done()) == (arrived, False)
        gate.set()
        assert asking.result() == b"grant"
    assert len(upstream.bodies) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_who_hung_up_while_held_is_not_forwarded(proxy: FaultProxy, upstream: Upstream, how: str) -> None:
    gate = threading.Event()
    with proxy.fault(Hold("before", gate)) as planned:
        connection = socket.create_connection(("127.0.0.1", proxy.port))
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
        planned.wait_hit()
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        gate.set()
    assert ask(proxy) == b"grant"
    assert upstream.bodies == [b"grant"]


def test_a_caller_that_hangs_up_is_not_waited_for(proxy: FaultProxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy.upstream = f"http://127.0.0.1:{silent.getsockname()[1]}"
        caller = socket.create_connection(("127.0.0.1", proxy.port))
        caller.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
        behind, _ = silent.accept()
        behind.settimeout(5)
        assert behind.recv(1_000).endswith(b"a")
        caller.close()
        assert behind.recv(1_000) == b"", "the other side hears of it"
        behind.close()


def test_it_stops_while_something_hangs(upstream: Upstream) -> None:
    proxy = FaultProxy(upstream.url)
    with ThreadPoolExecutor(1) as pool, proxy.fault(BlackHole()) as planned:
        asking = pool.submit(fault_of, proxy, 20)
        planned.wait_hit()
        proxy.stop()
        assert asking.result(5)[0] == "broken"
    proxy.stop()


@pytest.mark.parametrize("kind", ["expired", "wrong_host", "handshake_cut", "good"])
def test_tls_ends(kind: Kind, tmp_path: Path) -> None:
    with TlsEnd(kind, tmp_path) as end:
        http = OutboundHttp(end.ca_file)
        request = HttpRequest("POST", f"{end.url}/token", {}, b"secret", (end.netloc,), True, 5.0)
        if kind == "good":
            assert http.send(request).body == b"{}"
        else:
            with pytest.raises(HttpFault) as raised:
                http.send(request)
            assert (raised.value.kind, raised.value.sent) == ("tls", False)
        http.close()
        assert (end.connections, len(end.requests), end.plain_text) == (1, kind == "good", [])
        with pytest.raises(requests.RequestException):
            requests.get(f"http://127.0.0.1:{end.port}/plain", timeout=5)
        end.stop()
        assert end.plain_text[0].startswith(b"GET /plain")
