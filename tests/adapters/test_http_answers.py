"""Answers that are not HTTP as it should be, and what we send ourselves."""

import logging
from pathlib import Path

import pytest

from mooring.adapters.http import OutboundHttp
from tests.adapters.http_client import Serve, fault_of, request
from tests.contract.socket_server import plain, response

HEAD = b"HTTP/1.1 200 OK\r\n"
CANARY = "canary-token-2b77"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"hello\r\n",
        b"<html>not HTTP</html>",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\nshort",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
        HEAD + b"X-A: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X-A: a\x1bb\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n{}",
        HEAD + b"X-A: 1\r\n" * 101 + b"\r\n{}",
    ],
)
def test_what_is_not_http_is_broken(client: OutboundHttp, serve: Serve, answer: bytes) -> None:
    server = serve(plain(answer))
    fault = fault_of(client, request(server))
    assert (fault.kind, fault.sent) == ("broken", True)
    assert len(server.heads) == 1


@pytest.mark.parametrize("status", [101, 102, 103, 199])
def test_an_interim_answer_is_no_answer(client: OutboundHttp, serve: Serve, status: int) -> None:
    server = serve(plain(b"HTTP/1.1 %d Wait\r\nContent-Length: 2\r\n\r\n{}" % status, stay=True))
    fault = fault_of(client, request(server))
    assert (fault.kind, fault.sent) == ("broken", True)
    assert len(server.heads) == 1


def test_a_continue_before_the_answer_is_passed_over(client: OutboundHttp, serve: Serve) -> None:
    server = serve(plain(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}"))
    assert client.send(request(server)).body == b"{}"


def test_a_broken_header_is_not_logged(
    client: OutboundHttp, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    answer = HEAD + b"Content-Length: 2\r\nno colon " + CANARY.encode() + b"\r\nX-B: 1\r\n\r\n{}"
    server = serve(plain(answer))
    with caplog.at_level(logging.DEBUG):
        assert client.send(request(server, url=f"http://{server.host}/{CANARY}")).status == 200
    assert CANARY not in caplog.text


def test_no_cookie_is_shown_or_kept(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response(200, b"{}", {"Set-Cookie": f"session={CANARY}; Path=/", "X-A": "1"}))
    answer = client.send(request(server))
    client.send(request(server))
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-a"] == "1"
    assert CANARY.encode() not in b"".join(server.heads)


def test_the_request_is_what_was_asked_for_and_little_else(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    sent = request(
        server,
        url=f"http://{server.host}/a/b%2Fc?x=1&y=%20#fragment",
        headers={"Authorization": "Basic eA==", "Content-Type": "application/x-www-form-urlencoded"},
    )
    client.send(sent)
    first, *rest = server.heads[0].decode().split("\r\n")
    assert first == "POST /a/b%2Fc?x=1&y=%20 HTTP/1.1"
    assert sorted(rest) == [
        "Accept-Encoding: identity",
        "Authorization: Basic eA==",
        "Content-Length: 11",
        "Content-Type: application/x-www-form-urlencoded",
        f"Host: {server.host}",
        "User-Agent: Mooring",
    ]
    assert server.bodies == [b"code=secret"]


def test_a_post_without_a_body_says_so(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    client.send(request(server, body=None))
    client.send(request(server, "GET"))
    assert b"Content-Length: 0" in server.heads[0]
    assert b"Content-Length" not in server.heads[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"Host": "evil.example"}},
        {"headers": {"content-length": "0"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"Connection": "close"}},
        {"headers": {"X A": "1"}},
        {"headers": {"": "1"}},
        {"headers": {"X": "caf\u00e9"}},
        {"headers": {"X": "a\x00"}},
        {"method": "CONNECT"},
        {"method": "GET / HTTP/1.1\r\nX: 1\r\n\r\n"},
        {"method": ""},
    ],
    ids=str,
)
def test_a_request_of_another_shape_is_refused(
    client: OutboundHttp, serve: Serve, changes: dict[str, object]
) -> None:
    server = serve(response())
    fault = fault_of(client, request(server)._replace(**changes))  # type: ignore[arg-type]
    assert (fault.kind, fault.sent, server.connections) == ("refused_request", False, 0)


@pytest.mark.parametrize(
    "path", ["/\r\nX: 1", "/ HTTP/1.1", "/\x00", "/caf\u00e9", "/\\evil", "\\@evil.example/", "/\t"]
)
def test_a_url_with_anything_odd_in_it_is_refused(client: OutboundHttp, serve: Serve, path: str) -> None:
    server = serve(response())
    fault = fault_of(client, request(server, url=f"http://{server.host}{path}"))
    assert (fault.kind, fault.sent, server.connections) == ("refused_address", False, 0)


@pytest.mark.parametrize("port", ["0x50", "99999", "-1", "", "80 "])
def test_a_port_that_is_none_is_refused(client: OutboundHttp, serve: Serve, port: str) -> None:
    serve(response())
    host = f"127.0.0.1:{port}"
    server = serve(response())
    fault = fault_of(client, request(server, url=f"http://{host}/", hosts=(host,)))
    assert fault.sent is False
    assert fault.kind in ("refused_address", "connect")


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f.1", "localhost.", "LOCALHOST", "127.0.0.1@127.0.0.1", "[::1"]
)
def test_another_spelling_of_a_pinned_host_is_refused(client: OutboundHttp, serve: Serve, host: str) -> None:
    server = serve(response())
    fault = fault_of(client, request(server, url=f"http://{host}:{server.port}/"))
    assert (fault.kind, fault.sent, server.connections) == ("refused_address", False, 0)


def test_the_environment_has_no_say(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server, proxy = serve(response()), serve(response())
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login user password {CANARY}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://user:{CANARY}@{proxy.host}")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    client = OutboundHttp()
    assert client.send(request(server)).status == 200
    client.close()
    assert proxy.connections == 0
    assert b"authorization" not in server.heads[0].lower()
