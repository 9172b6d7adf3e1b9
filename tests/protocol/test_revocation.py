"""Revoking a token: the request byte by byte, and what its answers mean."""

import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.ports import HttpFault, HttpRequest, HttpResponse
from mooring.core.provider import Placement, Provider
from mooring.core.revocation import Presented, Told
from mooring.providers.oauth2 import basic_credentials
from mooring.providers.revocation import HttpRevoker
from tests.fakes.http import FakeHttp
from tests.protocol.shapes import ACME, CALLED, REVOKE, with_response

NOW = 1_800_000_000
PLAIN = ACME._replace(revoke=REVOKE)
OWN = ACME._replace(revoke=CALLED)
TOKEN = Presented("refresh_token", "r/0 +&=", "shop/9", (("app_key", "k 1"), ("plan", "gold")))
BOTH = pytest.mark.parametrize("provider", [PLAIN, OWN], ids=["endpoint", "call"])


def request_for(provider: Provider, presented: Presented = TOKEN) -> HttpRequest:
    http = FakeHttp(HttpResponse(200, {}, b""))
    assert HttpRevoker(http).revoke(provider, presented, "s3cr&t", NOW) is Told.DONE
    (request,) = http.requests
    return request


def told(answer: HttpResponse, provider: Provider = PLAIN) -> Told:
    http = FakeHttp(answer)
    said = HttpRevoker(http).revoke(provider, TOKEN, "s3cret", NOW)
    assert len(http.requests) == 1
    return said


def failure(answer: HttpResponse | HttpFault, provider: Provider = PLAIN) -> TokenCallFailure:
    http = FakeHttp(answer)
    with pytest.raises(TokenCallFailure) as failed:
        HttpRevoker(http).revoke(provider, TOKEN, "s3cret", NOW)
    assert len(http.requests) == 1, "one call, never repeated"
    assert not any(secret in repr(failed.value) for secret in (TOKEN.token, "s3cret"))
    return failed.value


def error(status: int, word: str, **headers: str) -> HttpResponse:
    return HttpResponse(status, headers, json.dumps({"error": word}).encode())


# The request.


def test_the_endpoint_of_rfc_7009() -> None:
    request = request_for(PLAIN)
    assert (request.method, request.url) == ("POST", "https://acme.example/revoke")
    assert request.headers == {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
    }
    assert request.body == (
        b"token=r%2F0+%2B%26%3D&token_type_hint=refresh_token&client_id=acme-client&client_secret=s3cr%26t"
    )
    assert (request.hosts, request.local, request.deadline) == (("acme.example",), False, 10.0)


def test_the_client_may_stand_in_a_header() -> None:
    names = {"token": "token", "token_type_hint": "token_type_hint"}
    basic = REVOKE._replace(client_authentication="client_secret_basic", parameters=names)
    request = request_for(ACME._replace(revoke=basic))
    assert request.headers["authorization"] == basic_credentials("acme-client", "s3cr&t")
    assert dict(parse_qsl((request.body or b"").decode())) == {
        "token": "r/0 +&=",
        "token_type_hint": "refresh_token",
    }


def test_a_provider_has_its_own_words() -> None:
    own = REVOKE._replace(
        url="https://acme.example/shops/{account_id}/revoke?v=2",
        body="json",
        parameters={"token": "access_token", "client_id": "app_id", "account_id": "shop"},
        details={"app_key": "key", "absent": "nowhere"},
        extra={"mode": "all"},
    )
    request = request_for(ACME._replace(revoke=own))
    assert request.url == "https://acme.example/shops/shop%2F9/revoke?v=2"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body or b"") == {
        "access_token": "r/0 +&=",
        "app_id": "acme-client",
        "shop": "shop/9",
        "key": "k 1",
        "mode": "all",
    }


def test_a_call_of_its_own_carries_the_token_where_tokens_stand() -> None:
    request = request_for(OWN)
    assert (request.method, request.url) == ("DELETE", "https://acme.example/api/shop%2F9/permission")
    assert request.headers == {"accept": "application/json", "authorization": "Bearer r/0 +&="}
    assert (request.body, request.deadline) == (None, 10.0)
    placed = OWN._replace(api=OWN.api._replace(token=Placement("query", "key", "")))
    assert request_for(placed).url.endswith("/permission?key=r%2F0%20%2B%26%3D")


def test_where_there_is_nothing_to_call_nothing_is_called() -> None:
    http = FakeHttp(HttpResponse(200, {}, b""))
    assert HttpRevoker(http).revoke(ACME, TOKEN, "", NOW) is Told.UNSUPPORTED
    assert http.requests == []


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_any_token_arrives_as_it_was_given(token: str) -> None:
    request = request_for(PLAIN, TOKEN._replace(token=token))
    assert dict(parse_qsl((request.body or b"").decode(), strict_parsing=True))["token"] == token


# The answer.


@BOTH
@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[]", b'{"ok":true}', b'{"error":null}'])
def test_a_success_says_nothing_in_its_body(provider: Provider, status: int, body: bytes) -> None:
    assert told(HttpResponse(status, {}, body), provider) is Told.DONE


@BOTH
@pytest.mark.parametrize("word", ["invalid_token", "invalid_grant"])
@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_token_that_is_none_any_more_is_revoked(provider: Provider, word: str, status: int) -> None:
    assert told(error(status, word), provider) is Told.DONE


def test_a_providers_own_word_for_it_counts() -> None:
    own = with_response(
        PLAIN, errors={"gone": "grant_lost", "bad_app": "misconfigured", "later": "transient"}
    )
    assert told(error(400, "gone"), own) is Told.DONE
    assert failure(error(400, "bad_app"), own).outcome is Outcome.MISCONFIGURED
    assert failure(error(400, "later"), own).outcome is Outcome.TRANSIENT


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_a_kind_of_token_that_cannot_be_revoked(status: int) -> None:
    assert told(error(status, "unsupported_token_type")) is Told.UNSUPPORTED


@pytest.mark.parametrize("body", [b"", b'{"error":"invalid_token"}', b'{"error":"x"}', b"<html>"])
def test_a_call_whose_own_token_is_refused(body: bytes) -> None:
    assert told(HttpResponse(401, {}, body), OWN) is Told.REFUSED


@pytest.mark.parametrize(
    ("answer", "outcome", "reason", "detail"),
    [
        (error(401, "invalid_client"), Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, ""),
        (error(400, "invalid_client"), Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, ""),
        (error(400, "unauthorized_client"), Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, ""),
        (HttpResponse(401, {}, b""), Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, "HTTP 401"),
        (error(401, "who knows"), Outcome.TRANSIENT, Reason.REVOCATION_REFUSED, "HTTP 401"),
        (error(400, "invalid_request"), Outcome.TRANSIENT, Reason.REVOCATION_REFUSED, "HTTP 400"),
        (error(200, "invalid_request"), Outcome.TRANSIENT, Reason.REVOCATION_REFUSED, "HTTP 200"),
        (HttpResponse(302, {}, b""), Outcome.TRANSIENT, Reason.REVOCATION_REFUSED, "HTTP 302"),
        (HttpResponse(404, {}, b"<html>"), Outcome.TRANSIENT, Reason.REVOCATION_REFUSED, "HTTP 404"),
        (error(500, "invalid_token"), Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 500"),
        (HttpResponse(503, {}, b""), Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 503"),
        (error(429, "invalid_client"), Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 429"),
    ],
    ids=lambda value: repr(value) if isinstance(value, HttpResponse) else None,
)
def test_what_has_to_be_tried_again(
    answer: HttpResponse, outcome: Outcome, reason: Reason, detail: str
) -> None:
    failed = failure(answer)
    assert (failed.outcome, failed.reason, failed.detail) == (outcome, reason, detail)


@pytest.mark.parametrize(
    ("status", "header", "pause"), [(429, "90", 90), (503, "999999", 3_600), (503, "x", None)]
)
def test_the_pause_that_it_asks_for(status: int, header: str, pause: int | None) -> None:
    assert failure(HttpResponse(status, {"retry-after": header}, b"")).retry_after == pause


@BOTH
@pytest.mark.parametrize(
    ("kind", "sent", "reason"),
    [
        ("timeout", True, Reason.PROVIDER_TIMEOUT),
        ("timeout", False, Reason.PROVIDER_TIMEOUT),
        ("broken", True, Reason.PROVIDER_UNAVAILABLE),
        ("connect", False, Reason.PROVIDER_UNAVAILABLE),
        ("too_large", True, Reason.PROVIDER_UNAVAILABLE),
    ],
)
def test_an_answer_that_is_lost_is_asked_for_again_later(
    provider: Provider, kind: str, sent: bool, reason: Reason
) -> None:
    failed = failure(HttpFault(kind, sent=sent), provider)
    assert (failed.outcome, failed.reason, failed.detail) == (Outcome.TRANSIENT, reason, kind)


@pytest.mark.parametrize(
    ("body", "done"),
    [
        (b'{"code":0}', True),
        (b'{"code":"0","message":"OK"}', True),
        (b'{"code":40105}', False),
        (b'{"code":false}', False),
        (b"{}", True),
        (b"", True),
    ],
)
def test_where_a_field_tells_a_good_answer_it_does_so_here(body: bytes, done: bool) -> None:
    coded = with_response(PLAIN, error="code", success=("code", "0"))
    if done:
        assert told(HttpResponse(200, {}, body), coded) is Told.DONE
    else:
        assert failure(HttpResponse(200, {}, body), coded).reason is Reason.REVOCATION_REFUSED


def test_a_status_field_that_says_no_is_heard() -> None:
    stated = with_response(PLAIN, success=("status", "success"))
    assert told(HttpResponse(200, {}, b'{"status":"success"}'), stated) is Told.DONE
    assert failure(HttpResponse(200, {}, b'{"status":"fail"}'), stated).reason is Reason.REVOCATION_REFUSED
