"""The refresh request, byte by byte, and what its answers mean."""

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.ports import HttpFault, HttpRequest, HttpResponse
from mooring.core.provider import Provider
from mooring.core.tokens import TokenSet
from mooring.providers.oauth2 import OAuth2, basic_credentials
from tests.fakes.http import FakeHttp
from tests.protocol.shapes import ACME, ISSUER, PUBLIC, REFRESH, TOKEN, with_response

NOW = 1_800_000_000
GOOD = HttpResponse(200, {}, b'{"access_token":"at-2","expires_in":600}')
MOVED = ACME._replace(
    token=TOKEN._replace(body="json", extra={"audience": "of the exchange"}),
    refresh=REFRESH._replace(
        url="https://refresh.acme.example/token",
        parameters={"refresh_token": "old", "client_secret": "key"},
        extra={"mode": "offline"},
    ),
    hosts=("acme.example", "refresh.acme.example"),
)
"""Another address, other names, a fixed extra, JSON."""


def request_for(provider: Provider, token: str = "r/0 +&=") -> HttpRequest:
    http = FakeHttp(GOOD)
    tokens = OAuth2(http).refresh(provider, token, "s3cr&t", NOW)
    assert (tokens.access_token, tokens.expires_at) == ("at-2", NOW + 600)
    (request,) = http.requests
    return request


def answered(body: dict[str, Any], provider: Provider = ACME, status: int = 200) -> TokenSet:
    http = FakeHttp(HttpResponse(status, {}, json.dumps(body).encode()))
    return OAuth2(http).refresh(provider, "r-1", "s3cret", NOW)


def failure(answer: HttpResponse | HttpFault, provider: Provider = ACME) -> TokenCallFailure:
    http = FakeHttp(answer)
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(http).refresh(provider, "r-1", "s3cret", NOW)
    assert len(http.requests) == 1
    assert not any(secret in repr(failed.value) for secret in ("r-1", "s3cret"))
    return failed.value


def test_a_form_with_the_secret_in_the_body() -> None:
    request = request_for(ACME)
    assert (request.method, request.url) == ("POST", "https://acme.example/token")
    assert request.headers == {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
    }
    assert request.body == (
        b"grant_type=refresh_token&refresh_token=r%2F0+%2B%26%3D&client_id=acme-client&client_secret=s3cr%26t"
    )
    assert (request.hosts, request.local, request.deadline) == (("acme.example",), False, 10.0)


def test_address_names_and_extras_are_its_own_and_the_encoding_is_the_exchange_s() -> None:
    request = request_for(MOVED)
    assert request.url == "https://refresh.acme.example/token"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body or b"") == {"old": "r/0 +&=", "key": "s3cr&t", "mode": "offline"}


def test_basic_has_neither_id_nor_secret_in_the_body() -> None:
    request = request_for(ISSUER)
    fields = dict(parse_qsl((request.body or b"").decode()))
    assert fields == {"grant_type": "refresh_token", "refresh_token": "r/0 +&="}
    assert request.headers["authorization"] == basic_credentials("acme-client", "s3cr&t")


def test_a_public_client_sends_its_id_and_no_secret() -> None:
    request = request_for(PUBLIC)
    fields = dict(parse_qsl((request.body or b"").decode()))
    assert fields == {"grant_type": "refresh_token", "refresh_token": "r/0 +&=", "client_id": "acme-client"}
    assert "authorization" not in request.headers


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_any_refresh_token_arrives_as_it_was_given(token: str) -> None:
    form = dict(parse_qsl((request_for(ACME, token).body or b"").decode(), strict_parsing=True))
    assert form["refresh_token"] == token
    assert json.loads(request_for(MOVED, token).body or b"")["old"] == token


def test_a_complete_answer() -> None:
    body = {
        "access_token": "at-2",
        "refresh_token": "r-2",
        "token_type": "bearer",
        "expires_in": 600,
        "refresh_expires_in": 86_400,
        "scope": "read",
    }
    assert answered(body) == TokenSet("at-2", "r-2", ("read",), NOW + 600, NOW + 86_400, None, {})


@pytest.mark.parametrize("body", [{}, {"refresh_token": None}, {"refresh_token": ""}], ids=str)
def test_an_answer_without_a_refresh_token_names_none(body: dict[str, Any]) -> None:
    tokens = answered({"access_token": "at-2", **body})
    assert (tokens.access_token, tokens.refresh_token) == ("at-2", None)


def test_the_account_need_not_be_named_again() -> None:
    named = with_response(account="shop.id", keep={"shop.plan": "plan"})
    assert answered({"access_token": "at-2"}, named).account_id is None
    assert answered({"access_token": "at-2", "shop": {"id": []}}, named).account_id is None
    tokens = answered({"access_token": "at-2", "shop": {"id": 42, "plan": "gold"}}, named)
    assert (tokens.account_id, tokens.details) == ("42", {"plan": "gold"})


@pytest.mark.parametrize(
    ("status", "word", "outcome", "reason"),
    [
        (400, "invalid_grant", Outcome.GRANT_LOST, Reason.GRANT_REFUSED),
        (401, "invalid_grant", Outcome.GRANT_LOST, Reason.GRANT_REFUSED),
        (400, "invalid_client", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
        (401, "invalid_client", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
        (400, "unauthorized_client", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
        (400, "unsupported_grant_type", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
        (400, "temporarily_unavailable", Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        (400, "token_gone", Outcome.GRANT_LOST, Reason.GRANT_REFUSED),
        (400, "something_else", Outcome.TRANSIENT, Reason.PROVIDER_ERROR),
        (403, "", Outcome.TRANSIENT, Reason.PROVIDER_ERROR),
        (500, "invalid_grant", Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        (503, "", Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        (429, "invalid_grant", Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        (504, "invalid_grant", Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT),
        (302, "", Outcome.TRANSIENT, Reason.PROVIDER_ERROR),
    ],
)
def test_only_the_provider_s_clear_word_ends_a_grant(
    status: int, word: str, outcome: Outcome, reason: Reason
) -> None:
    provider = with_response(errors={"token_gone": "grant_lost"})
    failed = failure(HttpResponse(status, {}, json.dumps({"error": word}).encode()), provider)
    assert (failed.outcome, failed.reason) == (outcome, reason)


def test_an_unknown_refusal_says_its_status_and_not_its_word() -> None:
    failed = failure(HttpResponse(403, {}, b'{"error":"r-1 is odd"}'))
    assert (failed.reason, failed.detail, failed.status) == (
        Reason.PROVIDER_ERROR,
        "HTTP 403, unknown error",
        502,
    )


@pytest.mark.parametrize(
    ("status", "maybe_issued"),
    [(500, True), (502, True), (503, True), (599, True), (429, False), (400, False), (401, False)],
)
def test_behind_an_error_of_a_server_a_token_may_have_been_issued(status: int, maybe_issued: bool) -> None:
    failed = failure(HttpResponse(status, {}, b'{"error":"invalid_grant"}' if status != 400 else b"<html>"))
    assert failed.maybe_issued is maybe_issued


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"access_token":7}', b'{"access_token":"a","refresh_token":7}']
)
def test_a_success_that_cannot_be_read_is_in_doubt(body: bytes) -> None:
    assert failure(HttpResponse(200, {}, body)).outcome is Outcome.IN_DOUBT


@pytest.mark.parametrize(
    ("kind", "sent", "outcome"),
    [
        ("connect", False, Outcome.TRANSIENT),
        ("timeout", False, Outcome.TRANSIENT),
        ("timeout", True, Outcome.IN_DOUBT),
        ("broken", True, Outcome.IN_DOUBT),
        ("too_large", True, Outcome.IN_DOUBT),
    ],
)
def test_a_call_without_an_answer(kind: str, sent: bool, outcome: Outcome) -> None:
    assert failure(HttpFault(kind, sent=sent)).outcome is outcome


def test_without_a_refresh_part_nothing_is_sent() -> None:
    http = FakeHttp(GOOD)
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(http).refresh(ACME._replace(refresh=None), "r-1", "s3cret", NOW)
    assert (failed.value.outcome, http.requests) == (Outcome.MISCONFIGURED, [])


def test_a_host_that_the_descriptor_does_not_pin_gets_no_token() -> None:
    http = FakeHttp(GOOD)
    moved = ACME._replace(refresh=REFRESH._replace(url="https://evil.example/token"))
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(http).refresh(moved, "r-1", "s3cret", NOW)
    assert (failed.value.outcome, http.requests) == (Outcome.TRANSIENT, [])
