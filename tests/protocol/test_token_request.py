"""The token request, byte by byte, and what a call without an answer means."""

import json
from base64 import b64decode
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.ports import HttpFault, HttpRequest, HttpResponse
from mooring.core.provider import Provider
from mooring.providers.oauth2 import OAuth2, basic_credentials
from tests.fakes.http import FakeHttp
from tests.protocol.shapes import ACME, FRAGMENT, ISSUER, PUBLIC, STATELESS, TOKEN

NOW = 1_800_000_000
URI = "https://connect.example.com/callback/acme"
GOOD = HttpResponse(200, {}, b'{"access_token":"at","App_access_token":"at","status":"success"}')


def request_for(provider: Provider, code: str = "c/0 de+&=", secret: str = "s3cr&t/+ é") -> HttpRequest:
    http = FakeHttp(GOOD)
    assert OAuth2(http).exchange(provider, code, URI, "v3rifier", secret, NOW).access_token == "at"
    (request,) = http.requests
    return request


def test_a_form_with_the_secret_in_the_body() -> None:
    request = request_for(ACME)
    assert (request.method, request.url) == ("POST", "https://acme.example/token")
    assert request.headers == {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
    }
    assert request.body == (
        b"grant_type=authorization_code&code=c%2F0+de%2B%26%3D"
        b"&redirect_uri=https%3A%2F%2Fconnect.example.com%2Fcallback%2Facme"
        b"&client_id=acme-client&client_secret=s3cr%26t%2F%2B+%C3%A9"
    )
    assert (request.hosts, request.local, request.deadline) == (("acme.example",), False, 10.0)


def test_renamed_and_absent_parameters() -> None:
    assert request_for(STATELESS, "c", "s").body == b"auth_code=c&app_client_secret=s"


def test_json() -> None:
    request = request_for(FRAGMENT, secret="sé")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body or b"") == {
        "grant_type": "authorization_code",
        "code": "c/0 de+&=",
        "redirect_uri": URI,
        "client_id": "app/1",
        "client_secret": "sé",
    }


def test_basic_with_pkce_has_neither_id_nor_secret_in_the_body() -> None:
    request = request_for(ISSUER)
    fields = dict(parse_qsl((request.body or b"").decode()))
    assert fields == {
        "grant_type": "authorization_code",
        "code": "c/0 de+&=",
        "redirect_uri": URI,
        "code_verifier": "v3rifier",
    }
    assert request.headers["authorization"] == basic_credentials("acme-client", "s3cr&t/+ é")


def test_a_public_client_sends_its_id_and_no_secret() -> None:
    request = request_for(PUBLIC, secret="")
    fields = dict(parse_qsl((request.body or b"").decode(), keep_blank_values=True))
    assert (fields["client_id"], "client_secret" in fields) == ("acme-client", False)
    assert "authorization" not in request.headers


def test_without_pkce_the_verifier_stays_at_home() -> None:
    assert b"v3rifier" not in (request_for(ACME).body or b"")


def test_fixed_extras_are_sent_besides() -> None:
    provider = ACME._replace(token=TOKEN._replace(extra={"grant_type": "special", "audience": "x y"}))
    fields = dict(parse_qsl((request_for(provider).body or b"").decode()))
    assert (fields["grant_type"], fields["audience"]) == ("special", "x y")


def test_a_local_provider_is_marked_so() -> None:
    assert request_for(ACME._replace(local=True)).local


@pytest.mark.parametrize(
    ("client_id", "secret", "pair"),
    [
        ("client", "secret", "client:secret"),
        ("a:b", "c:d", "a%3Ab:c%3Ad"),
        ("a b", "c+d", "a+b:c%2Bd"),
        ("é", "100%", "%C3%A9:100%25"),
        ("a/b", "~._-*", "a%2Fb:~._-%2A"),
    ],
)
def test_basic_credentials_are_form_encoded_first(client_id: str, secret: str, pair: str) -> None:
    kind, _, value = basic_credentials(client_id, secret).partition(" ")
    assert (kind, b64decode(value).decode()) == ("Basic", pair)


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_any_credentials_can_be_read_by_the_rules_of_rfc_6749(client_id: str, secret: str) -> None:
    pair = b64decode(basic_credentials(client_id, secret).removeprefix("Basic ")).decode("ascii")
    read_id, _, read_secret = pair.partition(":")
    assert (unquote_plus(read_id), unquote_plus(read_secret)) == (client_id, secret)


@pytest.mark.parametrize(
    ("kind", "sent", "outcome", "reason"),
    [
        ("connect", False, Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        ("tls", False, Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        ("refused_address", False, Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        ("timeout", False, Outcome.TRANSIENT, Reason.PROVIDER_TIMEOUT),
        ("timeout", True, Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT),
        ("broken", True, Outcome.IN_DOUBT, Reason.PROVIDER_UNAVAILABLE),
        ("too_large", True, Outcome.IN_DOUBT, Reason.PROVIDER_ANSWER_INVALID),
    ],
)
def test_a_call_without_an_answer(kind: str, sent: bool, outcome: Outcome, reason: Reason) -> None:
    http = FakeHttp(HttpFault(kind, sent=sent))
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(http).exchange(ACME, "c0de", URI, "v3rifier", "s3cret", NOW)
    assert (failed.value.outcome, failed.value.reason, failed.value.detail) == (outcome, reason, kind)
    assert len(http.requests) == 1
    assert not any(secret in repr(failed.value) for secret in ("c0de", "v3rifier", "s3cret"))


@pytest.mark.parametrize("kind", ["broken", "timeout", "too_large"])
def test_every_exchange_in_doubt_is_counted(kind: str) -> None:
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(FakeHttp(HttpFault(kind, sent=True))).exchange(ACME, "c", URI, "v", "s", NOW)
    assert failed.value.outcome is Outcome.IN_DOUBT
    assert failed.value.alarm == "ExchangeInDoubt"


@pytest.mark.parametrize("kind", ["connect", "timeout"])
def test_a_call_that_was_never_sent_is_not(kind: str) -> None:
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(FakeHttp(HttpFault(kind, sent=False))).exchange(ACME, "c", URI, "v", "s", NOW)
    assert failed.value.alarm is None


def test_a_host_that_the_descriptor_does_not_pin_gets_nothing() -> None:
    http = FakeHttp(GOOD)
    moved = ACME._replace(token=TOKEN._replace(url="https://evil.example/token"))
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(http).exchange(moved, "c0de", URI, "v", "s", NOW)
    assert (failed.value.outcome, http.requests) == (Outcome.TRANSIENT, [])
