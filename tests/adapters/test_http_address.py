"""Which addresses may be reached, and that it is the address that counts, not the name."""

import socket

import pytest

from mooring.adapters.http import OutboundHttp
from mooring.adapters.http_address import is_loopback, is_public
from mooring.adapters.http_socket import Call, Limits, dial
from mooring.core.ports import HttpFault, HttpRequest
from tests.adapters.http_client import Serve, fault_of
from tests.contract.socket_server import response

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::169.254.169.254",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "",
    "localhost",
    "2130706433",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_outside_the_public_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public_and_not_loopback(address: str) -> None:
    assert is_public(address)
    assert not is_loopback(address)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_loopback_is_this_machine_only(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def refused(client: OutboundHttp, url: str, host: str, *, local: bool) -> bool:
    fault = fault_of(client, HttpRequest("POST", url, {}, b"x", (host,), local, 5.0))
    return (fault.kind, fault.sent) == ("refused_address", False)


def test_in_production_loopback_is_never_reached(client: OutboundHttp, serve: Serve) -> None:
    server = serve(response())
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", f"127.1:{server.port}"):
        assert refused(client, f"https://{host}/", host, local=False)
    assert server.connections == 0


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"]
)
def test_in_production_no_address_inside_is_reached(client: OutboundHttp, host: str) -> None:
    assert refused(client, f"https://{host}/latest/meta-data", host, local=False)


@pytest.mark.parametrize("host", ["1.1.1.1", "169.254.169.254", "192.168.0.1"])
def test_a_local_request_reaches_nothing_else(client: OutboundHttp, host: str) -> None:
    assert refused(client, f"http://{host}/", host, local=True)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that every name has."""
    addresses: list[str] = []

    def look_up(_host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return addresses


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_public_name_with_an_inner_address_is_refused(
    client: OutboundHttp, names: list[str], address: str
) -> None:
    names.append(address)
    assert refused(client, "https://api.example.com/", "api.example.com", local=False)


def test_a_name_without_an_address_is_refused(client: OutboundHttp, names: list[str]) -> None:
    assert names == []
    assert refused(client, "https://api.example.com/", "api.example.com", local=False)


def test_a_permitted_address_behind_a_forbidden_one_is_found(
    client: OutboundHttp, serve: Serve, names: list[str]
) -> None:
    server = serve(response(200, b"found"))
    names.extend(["169.254.169.254", "127.0.0.1"])
    host = f"sim.example:{server.port}"
    answer = client.send(HttpRequest("POST", f"http://{host}/", {}, b"x", (host,), True, 5.0))
    assert answer.body == b"found"


def test_an_address_that_refuses_leaves_the_next_one_a_chance(
    client: OutboundHttp, serve: Serve, names: list[str]
) -> None:
    server = serve(response(200, b"found"))
    names.extend(["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    host = f"sim.example:{server.port}"
    answer = client.send(HttpRequest("POST", f"http://{host}/", {}, b"x", (host,), True, 5.0))
    assert answer.body == b"found"


def test_the_peer_is_checked_once_more_after_the_connect(serve: Serve) -> None:
    server = serve(response())
    verdicts = [True, False]
    with pytest.raises(HttpFault) as caught:
        dial("127.0.0.1", server.port, Call(Limits(5), lambda _: verdicts.pop(0)))
    assert (caught.value.kind, caught.value.sent) == ("refused_address", False)
    assert verdicts == []
    assert server.hung_up.wait(2)
    assert server.heads == []
