"""Whose token it is: by the provider's word, or as the return named it, and then unverified."""

import pytest

from mooring.core.connection import Account
from mooring.core.errors import Failure, Reason
from mooring.core.ports import HttpFault, HttpResponse
from mooring.core.provider import Call, Identity, Placement, Provider
from mooring.providers.oauth2 import IDENTITY_CALL_SECONDS, OAuth2
from tests.fakes.http import FakeHttp
from tests.protocol.shapes import ACME, FRAGMENT, NAMED


def identify(
    provider: Provider, answer: HttpResponse | HttpFault | None, named: str | None = None
) -> tuple[Account, FakeHttp]:
    http = FakeHttp(*([answer] if answer else []))
    return OAuth2(http).identify(provider, "at+/=", named), http


def reason(provider: Provider, answer: HttpResponse | HttpFault, named: str | None = None) -> Reason:
    with pytest.raises(Failure) as failed:
        identify(provider, answer, named)
    return failed.value.reason


def test_without_an_identity_call_nobody_is_asked() -> None:
    account, http = identify(ACME, None)
    assert (account, http.requests) == (Account("default", verified=False), [])
    assert identify(ACME, None, "shop-9")[0] == Account("shop-9", verified=False)


@pytest.mark.parametrize(
    ("status", "verified"),
    [(200, True), (204, True), (299, True), (302, False), (400, False), (404, False), (405, False)],
)
def test_a_named_account_counts_as_verified_only_when_the_token_is_accepted_for_it(
    status: int, verified: bool
) -> None:
    account, http = identify(FRAGMENT, HttpResponse(status, {}, b"junk"), "shop:9")
    assert account == Account("shop:9", verified)
    (request,) = http.requests
    assert request.url == "https://acme.example/api/shop%3A9/info"


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_for_the_named_account_is_another_ones(status: int) -> None:
    refused = HttpResponse(status, {}, b"{}")
    assert reason(FRAGMENT, refused, "shop:9") is Reason.ACCOUNT_MISMATCH


@pytest.mark.parametrize(
    "answer",
    [
        *(HttpResponse(status, {}, b"{}") for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *(HttpFault(kind, sent=True) for kind in ("timeout", "broken", "too_large")),
        HttpFault("connect", sent=False),
    ],
    ids=repr,
)
def test_a_confirmation_that_did_not_come_is_asked_for_again(answer: HttpResponse | HttpFault) -> None:
    assert reason(FRAGMENT, answer, "shop:9") is Reason.IDENTITY_UNAVAILABLE


def test_a_confirmation_of_nobody_asks_nobody() -> None:
    account, http = identify(FRAGMENT, None)
    assert (account, http.requests) == (Account("default", verified=False), [])


@pytest.mark.parametrize(
    ("body", "account"),
    [
        (b'{"team":{"uid":"t-7"}}', "t-7"),
        (b'{"team":{"uid":42}}', "42"),
        (b'\xef\xbb\xbf{"team":{"uid":"a"}}', "a"),
    ],
)
def test_the_provider_names_the_account(body: bytes, account: str) -> None:
    found, http = identify(NAMED, HttpResponse(200, {}, body), "other")
    assert found == Account(account, verified=True)
    (request,) = http.requests
    assert (request.method, request.url, request.body) == ("GET", "https://acme.example/api/me", None)
    assert request.headers == {"accept": "application/json", "authorization": "Bearer at+/="}
    assert (request.hosts, request.deadline) == (("acme.example",), IDENTITY_CALL_SECONDS)


@pytest.mark.parametrize("status", [401, 408, 425, 429, 500, 502, 503, 599])
def test_what_may_pass_is_unavailable(status: int) -> None:
    assert reason(NAMED, HttpResponse(status, {}, b'{"team":{"uid":"t-7"}}')) is Reason.IDENTITY_UNAVAILABLE


@pytest.mark.parametrize("kind", ["timeout", "connect", "broken", "tls", "too_large"])
def test_no_answer_is_unavailable(kind: str) -> None:
    assert reason(NAMED, HttpFault(kind, sent=True)) is Reason.IDENTITY_UNAVAILABLE


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"<html>"), (200, b"[]"), (200, b"{}"), (200, b'{"team":7}'), (200,
    b'{"team":{"uid":null}}'),
     (200, b'{"team":{"uid":"a b"}}'), (200, b'{"team":{"uid":true}}'), (200, b'{"team":{"uid":"../x"}}'),
     (200, b"[" * 99_999),
     (300, b'{"team":{"uid":"t-7"}}'), (302, b'{"team":{"uid":"t-7"}}'),
     (403, b'{"team":{"uid":"t-7"}}'), (404, b"{}")],
    ids=range(14),
)  # fmt: skip
def test_an_answer_that_names_nobody(status: int, body: bytes) -> None:
    assert reason(NAMED, HttpResponse(status, {}, body)) is Reason.ACCOUNT_MISSING


def placed(place: Placement, url: str = "https://acme.example/api/me") -> Provider:
    return NAMED._replace(api=NAMED.api._replace(token=place), identity=Identity(Call("POST", url), "id"))


@pytest.mark.parametrize(
    ("place", "url", "sent_to", "header"),
    [
        (Placement("header", "X-Token", ""), "https://acme.example/me", "https://acme.example/me",
        ("x-token", "at+/=")),
        (Placement("header", "Authorization", "Token "), "https://acme.example/me", "https://acme.example/me",
         ("authorization", "Token at+/=")),
        (Placement("query", "access_token", ""), "https://acme.example/me",
        "https://acme.example/me?access_token=at%2B%2F%3D", None),
        (Placement("query", "t k", ""), "https://acme.example/me?v=2",
        "https://acme.example/me?v=2&t%20k=at%2B%2F%3D", None),
    ],
)  # fmt: skip
def test_the_token_stands_where_the_descriptor_says(
    place: Placement, url: str, sent_to: str, header: tuple[str, str] | None
) -> None:
    _, http = identify(placed(place, url), HttpResponse(200, {}, b'{"id":"a"}'))
    (request,) = http.requests
    assert (request.method, request.url) == ("POST", sent_to)
    expected = {"accept": "application/json"} | (dict([header]) if header else {})
    assert request.headers == expected
    assert "at+/=" not in repr(request)
