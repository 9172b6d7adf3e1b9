"""Certificates: only a server that proves to be who it should be gets a byte."""

import ssl
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring.adapters.http import OutboundHttp
from mooring.core.ports import HttpRequest
from tests.adapters.http_client import Serve, fault_of
from tests.contract.certificates import Authority
from tests.contract.socket_server import SocketServer, response


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusting(authority: Authority) -> Iterator[OutboundHttp]:
    client = OutboundHttp(authority.ca_file)
    yield client
    client.close()


def secure(server: SocketServer, deadline: float = 5.0) -> HttpRequest:
    host = f"localhost:{server.port}"
    return HttpRequest("POST", f"https://{host}/token", {}, b"code=secret", (host,), True, deadline)


def refused(client: OutboundHttp, server: SocketServer) -> bool:
    fault = fault_of(client, secure(server))
    return (fault.kind, fault.sent, server.heads) == ("tls", False, [])


def test_a_server_that_proves_itself_is_asked(
    trusting: OutboundHttp, authority: Authority, serve: Serve
) -> None:
    server = serve(response(200, b"secret"), tls=authority.server())
    assert [trusting.send(secure(server)).body for _ in range(2)] == [b"secret"] * 2
    assert server.connections == 1
    assert b"Host: localhost" in server.heads[0]


def test_a_large_body_comes_whole_over_tls(
    trusting: OutboundHttp, authority: Authority, serve: Serve
) -> None:
    server = serve(response(200, b"x" * 262_144), tls=authority.server())
    assert len(trusting.send(secure(server)).body) == 262_144


def test_a_certificate_that_nobody_vouches_for(
    trusting: OutboundHttp, authority: Authority, serve: Serve
) -> None:
    assert refused(trusting, serve(response(), tls=authority.self_signed()))


def test_a_certificate_for_another_host(trusting: OutboundHttp, authority: Authority, serve: Serve) -> None:
    assert refused(trusting, serve(response(), tls=authority.server("other.example")))


def test_a_certificate_that_has_expired(trusting: OutboundHttp, authority: Authority, serve: Serve) -> None:
    assert refused(trusting, serve(response(), tls=authority.server(days=-1)))


def test_an_authority_that_the_public_does_not_know(
    client: OutboundHttp, authority: Authority, serve: Serve
) -> None:
    assert refused(client, serve(response(), tls=authority.server()))


def test_the_environment_cannot_add_an_authority(
    authority: Authority, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, authority.ca_file)
    client = OutboundHttp()
    assert refused(client, serve(response(), tls=authority.server()))
    client.close()


def test_the_environment_cannot_have_the_session_keys(
    authority: Authority, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    client = OutboundHttp(authority.ca_file)
    server = serve(response(), tls=authority.server())
    assert client.send(secure(server)).status == 200
    client.close()
    assert not (tmp_path / "keys").exists()


def test_tls_1_2_is_enough_and_1_1_is_not(trusting: OutboundHttp, authority: Authority, serve: Serve) -> None:
    newer = authority.server()
    newer.maximum_version = ssl.TLSVersion.TLSv1_2
    assert trusting.send(secure(serve(response(), tls=newer))).status == 200
    older = authority.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        older.minimum_version = ssl.TLSVersion.TLSv1
        older.maximum_version = ssl.TLSVersion.TLSv1_1
    older.set_ciphers("DEFAULT:@SECLEVEL=0")
    assert refused(trusting, serve(response(), tls=older))


def test_a_server_that_speaks_no_tls(trusting: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    fault = fault_of(trusting, secure(server, deadline=1.0))
    assert fault.kind in ("tls", "timeout")
    assert fault.sent is False
    assert server.bodies == []


def test_a_handshake_that_hangs_ends_with_the_deadline(trusting: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    started = time.monotonic()
    fault = fault_of(trusting, secure(server, deadline=0.5))
    assert (fault.kind, fault.sent) == ("timeout", False)
    assert time.monotonic() - started < 2


def test_a_process_makes_one_context(trusting: OutboundHttp) -> None:
    with ThreadPoolExecutor(8) as pool:
        contexts = set(pool.map(lambda _: trusting._adapter.context(), range(8)))
    assert len(contexts) == 1
    assert contexts.pop().verify_mode is ssl.CERT_REQUIRED
