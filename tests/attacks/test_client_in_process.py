"""Attacks on a service's session: everybody who would like the token, and everywhere it could leak."""

import io
import json
import logging
import pprint
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from mooring.client import (
    AccessToken,
    Disconnected,
    MooringError,
    NotConnected,
    NotTheProvider,
    TokenUnavailable,
    Uninstalled,
)
from mooring.client.session import ProviderSession
from mooring.client.testing import FakeConnections
from tests.fakes.clock import FakeClock

CANARY = "canary-access-token"
HOST = "api.acme.example"
OWN = f"https://{HOST}/v1/"

LOOK_ALIKES = {
    "suffix": f"https://{HOST}.evil.example/",
    "prefix": f"https://evil{HOST}/",
    "sub domain": f"https://evil.{HOST}/",
    "parent domain": "https://acme.example/",
    "userinfo": f"https://{HOST}@evil.example/",
    "userinfo with a password": f"https://{HOST}:443@evil.example/",
    "userinfo of its own": f"https://user:pass@{HOST}/",
    "empty userinfo": f"https://@{HOST}/",
    "fragment before @": f"https://evil.example#@{HOST}/",
    "query before @": f"https://evil.example?@{HOST}/",
    "another port": f"https://{HOST}:8443/",
    "port and userinfo": f"https://{HOST}:80@evil.example/",
    "trailing dot": f"https://{HOST}./",
    "plain http": f"http://{HOST}/",
    "encoded dot": f"https://{HOST}%2eevil.example/",
    "encoded slash": f"https://{HOST}%2f.evil.example/",
    "ideographic full stop": "https://api.acme\u3002example/",
    "full width": "https://\uff41pi.acme.example/",
    "Cyrillic homoglyph": "https://\u0430pi.acme.example/",
    "punycode twin": "https://xn--pi-7kc.acme.example/",
    "soft hyphen": "https://api.ac\u00adme.example/",
    "NUL": f"https://{HOST}%00.evil.example/",
    "three slashes": "https:///evil.example/",
    "backslash": f"https://evil.example\\@{HOST}/",
    "backslash in the path": f"https://{HOST}\\.evil.example/",
    "semicolon": f"https://{HOST};evil.example/",
    "tab": f"https://{HOST}\t.evil.example/",
    "decimal address": "https://2130706433/",
    "loopback": "https://127.0.0.1/",
    "metadata service": "http://169.254.169.254/latest/meta-data/",
    "IPv6": "https://[::1]/",
    "file": "file:///etc/passwd",
    "data": "data:text/plain,x",
    "ftp": f"ftp://{HOST}/",
}


class Wire(BaseAdapter):
    """Everything that would leave the process."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[requests.PreparedRequest] = []
        self.answers: list[dict[str, Any]] = []

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:  # type: ignore[override]
        self.sent.append(request)
        answer = self.answers.pop(0) if self.answers else {}
        response = requests.Response()
        response.status_code, response.request = answer.get("status", 200), request
        response.url, response.raw = str(request.url), io.BytesIO(b"")
        response.headers.update(answer.get("headers", {}))
        return response

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def connections() -> FakeConnections:
    clock = FakeClock()
    connections = FakeConnections(clock=clock, sleep=clock.advance)
    connections.api("acme", OWN)
    connections.connect("m-1", "acme", "shop-1", access_token=CANARY)
    return connections


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def session(connections: FakeConnections, wire: Wire) -> Iterator[ProviderSession]:
    with connections.session("m-1", "acme", "shop-1") as session:
        for scheme in ("https://", "http://", "ftp://", "file:", "data:"):
            session.mount(scheme, wire)
        yield session


@pytest.mark.parametrize("url", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_no_look_alike_is_sent_anything(
    session: ProviderSession, connections: FakeConnections, wire: Wire, url: str
) -> None:
    before = connections.calls_made.count("open")
    try:
        session.get(url)
    except (NotTheProvider, requests.RequestException):
        pass
    else:
        # Some spellings come to be addresses of the provider itself: a path, an empty user.
        assert [str(request.url).startswith(f"https://{HOST}/") for request in wire.sent] == [True]
        return
    assert wire.sent == []
    assert connections.calls_made.count("open") == before, "READ-12: refused before anything is decrypted"


@pytest.mark.parametrize("url", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_to_a_look_alike_is_followed(
    session: ProviderSession, wire: Wire, url: str, status: int
) -> None:
    """HTTP-01, HTTP-02."""
    location = url.encode("utf-8").decode("latin-1")
    wire.answers = [{"status": status, "headers": {"location": location}}]
    answer = session.post("things", data=b"body", allow_redirects=True)
    assert all(str(request.url).startswith(f"https://{HOST}/") for request in wire.sent)
    assert answer.status_code == status or str(answer.url).startswith(f"https://{HOST}/")


def test_a_cookie_or_a_netrc_is_not_taken_along(session: ProviderSession, wire: Wire) -> None:
    """HTTP-04."""
    jar: SimpleCookie = SimpleCookie()
    jar["session"] = "canary"
    wire.answers = [{"headers": {"set-cookie": jar.output(header="").strip()}}]
    session.get("things")
    session.get("things")
    assert "Cookie" not in wire.sent[1].headers


def test_hooks_adapters_and_headers_of_the_session_do_not_meet_the_token(
    session: ProviderSession, wire: Wire
) -> None:
    met: list[str] = []

    def hook(response: requests.Response, **_: Any) -> requests.Response:
        met.append(f"{vars(response.request)}{response.url}{response.headers}")
        # An authentication handler answers a challenge by sending a copy of the request again.
        response.connection = wire  # type: ignore[assignment]
        met.append(f"{response.request.copy().headers}")
        return response

    def challenge(request: requests.PreparedRequest) -> requests.PreparedRequest:
        met.append(f"{request.headers}")
        return request

    session.hooks["response"].append(hook)
    session.auth = challenge
    session.get("things", headers={"X-Mine": "1"})
    assert len(met) == 3
    assert CANARY not in "".join(met)
    assert wire.sent[0].headers["Authorization"] == f"Bearer {CANARY}"


def test_the_token_is_in_no_text_that_a_program_makes_by_accident(
    session: ProviderSession, connections: FakeConnections, caplog: pytest.LogCaptureFixture
) -> None:
    """LOG-01, LOG-02."""
    token = connections.token("m-1", "acme")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("a-service").info("read %s and %r", token, [token])
        session.get("things")
    texts = [caplog.text, pprint.pformat({"token": token}), json.dumps({"token": token}, default=str)]
    texts += [repr(session), repr(vars(session)), repr(connections), f"{token!s:>10}", repr((token,))]
    assert not [text for text in texts if CANARY in text]
    assert token.value == CANARY
    with pytest.raises(TypeError):
        json.dumps(token)
    with pytest.raises(TypeError):
        iter(token)  # type: ignore[call-overload]


def test_no_error_holds_a_token(connections: FakeConnections, session: ProviderSession) -> None:
    found: list[BaseException] = []

    def fails(*asked: Any) -> None:
        try:
            asked[0](*asked[1:])
        except MooringError as error:
            found.append(error)

    token = connections.token("m-1", "acme")
    fails(session.get, "https://evil.example/")
    fails(connections.token, "m-1", "other")
    with connections.outage("table", "api"):
        fails(connections.report_unauthorized, token)
        fails(connections.list, "m-1")
    connections.end("m-1", "acme", "shop-1", "uninstalled")
    fails(connections.token, "m-1", "acme")
    fails(session.get, "things")
    kinds = [type(error) for error in found]
    assert kinds == [
        NotTheProvider,
        NotConnected,
        TokenUnavailable,
        TokenUnavailable,
        Uninstalled,
        Uninstalled,
    ]
    assert CANARY not in "".join(f"{error}{error!r}{error.args}{vars(error)}" for error in found)


@pytest.mark.parametrize("status", ["needs_reconnect", "uninstalled", "disconnected"])
def test_after_the_end_no_token_is_given_though_it_lies_in_memory(
    connections: FakeConnections, session: ProviderSession, wire: Wire, status: str
) -> None:
    """READ-05."""
    assert connections.token("m-1", "acme", "shop-1").value == CANARY
    session.get("things")
    connections.end("m-1", "acme", "shop-1", status)
    for ask in (lambda: connections.token("m-1", "acme", "shop-1"), lambda: session.get("things")):
        with pytest.raises(MooringError):
            ask()
    with connections.outage("table", "kms", "api"), pytest.raises(TokenUnavailable):
        connections.token("m-1", "acme", "shop-1")
    assert len(wire.sent) == 1


def test_a_cut_off_that_an_outage_hides_lasts_five_minutes_at_most() -> None:
    clock = FakeClock()
    connections = FakeConnections(clock=clock, sleep=clock.advance)
    connections.connect("m-1", "acme", access_token=CANARY)
    connections.token("m-1", "acme", "default")
    connections.disconnect("m-1", "acme")
    with pytest.raises(Disconnected):
        connections.token("m-1", "acme")
    connections.connect("m-1", "acme", access_token=CANARY)
    connections.token("m-1", "acme", "default")
    connections.end("m-1", "acme", "default", "disconnected")
    with connections.outage("table"):
        clock.advance(299)
        assert connections.token("m-1", "acme", "default").warning == "storage_unavailable"
        clock.advance(1)
        with pytest.raises(TokenUnavailable):
            connections.token("m-1", "acme", "default")


def test_one_merchants_token_is_never_anothers(connections: FakeConnections) -> None:
    connections.connect("m-2", "acme", "shop-1", access_token="canary-2")
    found: dict[str, AccessToken] = {
        merchant: connections.token(merchant, "acme", "shop-1") for merchant in ("m-1", "m-2", "m-1", "m-2")
    }
    assert {merchant: token.value for merchant, token in found.items()} == {"m-1": CANARY, "m-2": "canary-2"}


def test_a_token_that_would_split_a_header_is_not_sent(wire: Wire) -> None:
    """TOK-04."""
    connections = FakeConnections()
    connections.api("acme", OWN)
    connections.connect("m-1", "acme", access_token="canary\r\nX-Evil: 1")
    with connections.session("m-1", "acme") as session:
        session.mount("https://", wire)
        with pytest.raises(TokenUnavailable) as refused:
            session.get("things")
    assert wire.sent == []
    assert "canary" not in str(refused.value)
