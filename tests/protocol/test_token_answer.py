"""What a token endpoint may answer, and what becomes of it: stored exactly, or a named failure."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.ports import HttpResponse
from mooring.core.provider import Lifetime, Provider
from mooring.core.tokens import TokenSet
from mooring.providers.answers import read_token_set
from tests.protocol.shapes import ACME, STATELESS, with_response

NOW = 1_800_000_000
TEN_YEARS = 10 * 365 * 86_400


def read(body: object, provider: Provider = ACME, status: int = 200) -> TokenSet:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_token_set(HttpResponse(status, {}, raw), provider, NOW)


def failure(body: object, provider: Provider = ACME, status: int = 200) -> TokenCallFailure:
    with pytest.raises(TokenCallFailure) as failed:
        read(body, provider, status)
    return failed.value


def test_a_complete_answer() -> None:
    answer = {"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 3600,
              "refresh_expires_in": 86400, "scope": "read write"}  # fmt: skip
    assert read(answer) == TokenSet("at", "rt", ("read", "write"), NOW + 3_600, NOW + 86_400, None, {})


def test_the_least_answer() -> None:
    assert read({"access_token": "at"}) == TokenSet("at", None, None, None, None, None, {})


def test_other_names_nested_fields_and_a_success_test() -> None:
    assert read({"status": "success", "App_access_token": "at"}, STATELESS).access_token == "at"
    assert read({"s": True, "access_token": "at"}, with_response(success=("s", "true"))).access_token == "at"
    nested = with_response(access_token="data.auth.token", account="data.shop.id", keep={"data.plan": "plan"})
    answer = {"data": {"auth": {"token": "at"}, "shop": {"id": 42}, "plan": "gold"}}
    tokens = read(answer, nested)
    assert (tokens.access_token, tokens.account_id, tokens.details) == ("at", "42", {"plan": "gold"})


def test_a_byte_order_mark_is_tolerated_and_201_is_a_success() -> None:
    assert read(b'\xef\xbb\xbf{"access_token":"at"}', status=201).access_token == "at"


def test_a_token_is_opaque_whatever_it_looks_like() -> None:
    token = "eyJhbGciOiJub25lIn0.eyJzZWNyZXQiOiJ4In0."
    assert read({"access_token": token}).access_token == token
    assert read({"access_token": "x" * 16_384}).access_token == "x" * 16_384


NOT_TOKENS: list[object] = [
    None, "", 123, True, [], {}, ["at"], "a b", " at", "at\n", "a\r\nX: y", "a\0b", "é", "\ud800", "a\tb",
    "x" * 16_385,
    "x" * 1_000_000, "\x7f",
]  # fmt: skip


@pytest.mark.parametrize("token", NOT_TOKENS, ids=lambda token: ascii(token)[:20])
def test_what_is_no_token_is_not_stored(token: object) -> None:
    for body in ({"access_token": token}, {"access_token": "at", "refresh_token": token}):
        if "refresh_token" in body and (token is None or token == ""):
            assert read(body).refresh_token is None
            continue
        failed = failure(body)
        assert (failed.outcome, failed.reason) == (Outcome.IN_DOUBT, Reason.PROVIDER_ANSWER_INVALID)


UNREADABLE: list[bytes] = [
    b"", b" ", b"<html><body>error</body></html>", b"access_token=at&token_type=bearer", b"[]", b'"at"',
    b"null", b"1",
    b'{"access_token":"at"', b'{"access_token":"at"}x', b'{"access_token":"at"}'.decode().encode("utf-16"),
    b'{"access_token":"\xff"}', b'{"a":' * 100_000, b"[" * 100_000, b'{"expires_in":' + b"9" * 100_000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_body_that_cannot_be_read(body: bytes) -> None:
    after_success, after_refusal = failure(body), failure(body, status=400)
    assert (after_success.outcome, after_refusal.outcome) == (Outcome.IN_DOUBT, Outcome.TRANSIENT)
    for failed, status in ((after_success, 200), (after_refusal, 400)):
        assert failed.reason is Reason.PROVIDER_ANSWER_INVALID
        assert failed.detail == f"HTTP {status}, not a JSON object"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 505, 599])
def test_trouble_over_there_is_transient_whatever_the_body_says(status: int) -> None:
    for body in ({"access_token": "at"}, {"error": "invalid_grant"}, b"<html>"):
        failed = failure(body, status=status)
        assert (failed.outcome, failed.reason, failed.status) == (
            Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, 503,
        )  # fmt: skip


@pytest.mark.parametrize("body", [{"access_token": "at"}, {"error": "invalid_grant"}, b"<html>", b""])
def test_a_gateway_that_gave_up_waiting_leaves_the_exchange_in_doubt(body: object) -> None:
    failed = failure(body, status=504)
    assert (failed.outcome, failed.reason, failed.status, failed.detail) == (
        Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT, 504, "HTTP 504",
    )  # fmt: skip
    assert failed.alarm == "ExchangeInDoubt"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_no_success_even_with_a_token(status: int) -> None:
    unread = failure(b"", status=status)
    assert (unread.outcome, unread.reason) == (Outcome.TRANSIENT, Reason.PROVIDER_ANSWER_INVALID)
    assert failure({"access_token": "at"}, status=status).reason is Reason.GRANT_REFUSED


CODES = [
    ("invalid_grant", Outcome.GRANT_LOST, Reason.GRANT_REFUSED, 400),
    ("invalid_client", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, 500),
    ("unauthorized_client", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, 500),
    ("unsupported_grant_type", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, 500),
    ("invalid_request", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, 500),
    ("invalid_scope", Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, 500),
    ("temporarily_unavailable", Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, 503),
    ("server_error", Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, 503),
    ("slow_down", Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, 503),
    ("bad_verification_code", Outcome.TRANSIENT, Reason.GRANT_REFUSED, 400),
    ("INVALID_GRANT", Outcome.TRANSIENT, Reason.GRANT_REFUSED, 400),
]


@pytest.mark.parametrize(("code", "outcome", "reason", "ours"), CODES)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_each_error_code_under_any_status(
    status: int, code: str, outcome: Outcome, reason: Reason, ours: int
) -> None:
    failed = failure({"error": code, "error_description": "canary", "access_token": "at"}, status=status)
    assert (failed.outcome, failed.reason, failed.status) == (outcome, reason, ours)
    assert "canary" not in repr(failed) + failed.detail
    assert code not in failed.detail


@pytest.mark.parametrize(
    ("status", "outcome"), [(401, Outcome.MISCONFIGURED), (400, Outcome.TRANSIENT), (404, Outcome.TRANSIENT)]
)
@pytest.mark.parametrize(
    "body", [{}, {"error": "what"}, {"error": {"code": 7}}, {"error": ["x"]}, {"error": 5}]
)
def test_an_unknown_refusal_ends_the_exchange_but_kills_nothing(
    body: dict[str, Any], status: int, outcome: Outcome
) -> None:
    assert failure(body, status=status).outcome is outcome


@pytest.mark.parametrize("error", [None, "", False, 0, [], {}])
def test_an_empty_error_member_is_no_error(error: object) -> None:
    assert read({"access_token": "at", "error": error}).access_token == "at"


@pytest.mark.parametrize("word", ["grant_lost", "misconfigured", "transient"])
def test_the_descriptors_own_words_come_first(word: str) -> None:
    provider = with_response(errors={"E17": word, "invalid_grant": word})
    assert failure({"error": "E17"}, provider, 400).outcome is Outcome(word)
    assert failure({"error": "invalid_grant"}, provider, 400).outcome is Outcome(word)


def test_an_error_may_lie_deeper() -> None:
    provider = with_response(error="meta.error.code")
    failed = failure({"meta": {"error": {"code": "invalid_grant"}}, "access_token": "at"}, provider)
    assert failed.outcome is Outcome.GRANT_LOST


@pytest.mark.parametrize("status", ["failure", "Success", None, True, 1, ["success"]])
def test_without_the_success_that_the_descriptor_names_nothing_is_stored(status: object) -> None:
    failed = failure({"status": status}, STATELESS)
    assert (failed.outcome, failed.reason, failed.alarm) == (Outcome.TRANSIENT, Reason.GRANT_REFUSED, None)
    with_a_token = failure({"status": status, "App_access_token": "at"}, STATELESS)
    assert (with_a_token.outcome, with_a_token.alarm) == (Outcome.IN_DOUBT, "ExchangeInDoubt")


@pytest.mark.parametrize(("kind", "good"), [("bearer", True), ("BEARER", True), (None, True), ("mac", False),
                                             ("bot", False), ("", False), (7, False), (["bearer"],
                                             False)])  # fmt: skip
def test_token_types(kind: object, good: bool) -> None:
    body = {"access_token": "at", "token_type": kind}
    if good:
        assert read(body).access_token == "at"
    else:
        assert failure(body).reason is Reason.PROVIDER_ANSWER_INVALID
    assert (
        read({"access_token": "at", "token_type": "mac"}, with_response(token_type=None)).access_token == "at"
    )


@pytest.mark.parametrize(
    ("stated", "lifetime"),
    [(3_600, 3_600), ("3600", 3_600), (59.9, 59), (10**15, TEN_YEARS), (NOW + 7_200, 7_200),
     (0, None), (NOW - 1, None), ("", None), (True, None), ({}, None), (None, None)],
)  # fmt: skip
def test_lifetimes(stated: object, lifetime: int | None) -> None:
    expected = None if lifetime is None else NOW + lifetime
    body = {"access_token": "at", "expires_in": stated, "refresh_expires_in": stated}
    assert (read(body).expires_at, read(body).refresh_expires_at) == (expected, expected)
    assumed = ACME._replace(lifetime=Lifetime(never_expires=False, access_token_seconds=60))
    assert read(body, assumed).expires_at == (NOW + 60 if expected is None else expected)
    never = ACME._replace(lifetime=Lifetime(never_expires=True, access_token_seconds=None))
    assert read(body, never).expires_at is None


@pytest.mark.parametrize("number", [b"Infinity", b"NaN", b"-Infinity", b"1e999"])
def test_numbers_that_json_does_not_know(number: bytes) -> None:
    assert read(b'{"access_token":"at","expires_in":' + number + b"}").expires_at is None


@pytest.mark.parametrize(
    ("stated", "scopes"),
    [("read", ("read",)), ("read write", ("read", "write")), ("  read   write ", ("read", "write")), ("",
    ()), ([], ()),
     (["read", " write "], ("read", "write")), (None, None), (5, None), (["read", 5], None),
     ({"read": True}, None),
     ("x" * 600, ("x" * 512,)), (["a\nb", "c\u0000", "\ud800", "ok"], ("ok",))],
)  # fmt: skip
def test_scopes(stated: object, scopes: tuple[str, ...] | None) -> None:
    assert read({"access_token": "at", "scope": stated}).scopes == scopes


def test_scopes_parted_otherwise_and_no_more_than_a_hundred() -> None:
    assert read({"access_token": "at", "scope": "a, b,c"}, with_response(scope_separator=",")).scopes == (
        "a", "b", "c",
    )  # fmt: skip
    many = read({"access_token": "at", "scope": " ".join(f"s{n}" for n in range(200))}).scopes
    assert many is not None
    assert len(many) == 100
    assert read({"access_token": "at", "scope": "x"}, with_response(scope=None)).scopes is None


@pytest.mark.parametrize("account", [None, "", "a b", "a/b", 1.5, True, [], {}, "x" * 129, "é", "../x"])
def test_an_account_that_the_answer_owes(account: object) -> None:
    failed = failure({"access_token": "at", "shop": account}, with_response(account="shop"))
    assert (failed.outcome, failed.reason) == (Outcome.IN_DOUBT, Reason.PROVIDER_ANSWER_INVALID)


def test_only_the_details_that_the_descriptor_names_are_kept() -> None:
    answer = {
        "access_token": "at", "tenant": "evil", "connection_id": "evil", "status": "disconnected",
        "pk": "evil",
        "merchant_id": "m-2", "plan": "gold", "seats": 5, "nested": {"a": "b"}, "list": ["x"],
        "none": None, "empty": "",
        "long": "x" * 900, "lines": "a\nb", "broken": "\ud800",
    }  # fmt: skip
    names = ("plan", "seats", "nested", "list", "none", "empty", "long", "lines", "broken", "absent")
    tokens = read(answer, with_response(keep={name: f"k_{name}" for name in names}))
    assert tokens.details == {"k_plan": "gold", "k_seats": "5", "k_long": "x" * 512}
    assert read(answer).details == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "access_token",
    "refresh_token",
    "expires_in",
    "scope",
    "token_type",
    "error",
    "shop",
    "status",
    "plan",
]
HUNGRY = with_response(
    account="shop", success=("status", "ok"), keep={"plan": "plan"}, errors={"E": "transient"}
)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.integers(100, 599), st.sampled_from([ACME, HUNGRY]))
def test_any_object_is_a_token_set_or_a_failed_call(
    body: dict[str, Any], status: int, provider: Provider
) -> None:
    try:
        tokens = read(body, provider, status)
    except TokenCallFailure:
        return
    assert 200 <= status < 300
    assert tokens.access_token.isascii()
    assert json.loads(json.dumps(tokens.details, ensure_ascii=False).encode("utf-8")) == tokens.details


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_bytes_are_a_failed_call(body: bytes, status: int) -> None:
    assert failure(body, status=status).reason in (
        Reason.PROVIDER_ANSWER_INVALID, Reason.PROVIDER_UNAVAILABLE, Reason.GRANT_REFUSED,
        Reason.PROVIDER_MISCONFIGURED, Reason.PROVIDER_TIMEOUT,
    )  # fmt: skip
