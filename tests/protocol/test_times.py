"""Lifetimes and pauses as providers write them: understood, kept within bounds, or none; never an error."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Outcome, TokenCallFailure
from mooring.core.ports import HttpResponse
from mooring.core.provider import Lifetime
from mooring.providers.answers import read_token_set
from mooring.providers.times import MAX_LIFETIME_SECONDS, MAX_RETRY_SECONDS, end_of_life, retry_after
from tests.protocol.shapes import ACME, with_response

NOW = 1_800_000_000
TEN_YEARS = MAX_LIFETIME_SECONDS


@pytest.mark.parametrize(
    ("stated", "lifetime"),
    [
        # seconds
        (1, 1),
        (30, 30),
        (3_600, 3_600),
        (3_600.0, 3_600),
        (3_599.9, 3_599),
        (TEN_YEARS, TEN_YEARS),
        ("3600", 3_600),
        ("3600 ", 3_600),
        ("\t3600\n", 3_600),
        ("3600.9", 3_600),
        ("03600", 3_600),
        # a time, in seconds or milliseconds
        (NOW + 1, 1),
        (NOW + 3_600, 3_600),
        (f"{NOW + 3_600}", 3_600),
        (NOW + 3_600.7, 3_600),
        (NOW + TEN_YEARS, TEN_YEARS),
        ((NOW + 3_600) * 1_000, 3_600),
        ((NOW + 3_600) * 1_000 + 999, 3_600),
        (f"{NOW + 3_600}000", 3_600),
        ((NOW + TEN_YEARS) * 1_000, TEN_YEARS),
        # longer than anybody means
        (TEN_YEARS + 1, TEN_YEARS),
        (999_999_999, TEN_YEARS),
        (2**31 - 1, TEN_YEARS),
        (NOW + TEN_YEARS + 1, TEN_YEARS),
        (10**15, TEN_YEARS),
        (10**30, TEN_YEARS),
        (10**4_000, TEN_YEARS),
        (1e300, TEN_YEARS),
        ("9" * 30, TEN_YEARS),
        # a time that has passed
        (NOW, None),
        (NOW - 1, None),
        (NOW - TEN_YEARS, None),
        ((NOW - 3_600) * 1_000, None),
        (f"{NOW - 3_600}", None),
        # nothing of the kind
        (None, None),
        (0, None),
        (0.9, None),
        (-1, None),
        (-(10**30), None),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        (True, None),
        (False, None),
        ("", None),
        (" ", None),
        ("0", None),
        ("-5", None),
        ("+5", None),
        ("1e3", None),
        ("1_000", None),
        ("3600s", None),
        ("one hour", None),
        ("NaN", None),
        ("2027-01-15T08:00:00Z", None),
        ("\u0663\u0666\u0660\u0660", None),
        ("9" * 100_000, None),
        ([3_600], None),
        ({"seconds": 3_600}, None),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_when_a_token_ends(stated: object, lifetime: int | None) -> None:
    assert end_of_life(stated, NOW) == (None if lifetime is None else NOW + lifetime)


NUMBERS = (
    st.integers()
    | st.integers(-TEN_YEARS, TEN_YEARS).map(lambda near: NOW + near)
    | st.integers(-TEN_YEARS, TEN_YEARS).map(lambda near: (NOW + near) * 1_000)
    | st.floats()
)
ANYTHING = st.recursive(
    NUMBERS | NUMBERS.map(str) | st.none() | st.booleans() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(ANYTHING, st.integers(0, 4_000_000_000))
def test_an_end_is_ahead_and_within_ten_years_or_none(stated: object, now: int) -> None:
    end = end_of_life(stated, now)
    assert end is None or now < end <= now + TEN_YEARS


@given(ANYTHING, ANYTHING, st.none() | st.integers(1, TEN_YEARS))
def test_so_it_is_for_whole_answers(access: object, refresh: object, assumed: int | None) -> None:
    body = json.dumps({"access_token": "at", "expires_in": access, "refresh_expires_in": refresh})
    provider = ACME._replace(lifetime=Lifetime(never_expires=False, access_token_seconds=assumed))
    tokens = read_token_set(HttpResponse(200, {}, body.encode()), provider, NOW)
    for end in (tokens.expires_at, tokens.refresh_expires_at):
        assert end is None or NOW < end <= NOW + TEN_YEARS
    if assumed is not None and end_of_life(access, NOW) is None:
        assert tokens.expires_at == NOW + assumed
    assert assumed is None or tokens.expires_at is not None


@given(st.integers(1, TEN_YEARS))
def test_a_usual_lifetime_means_the_same_however_it_is_written(seconds: int) -> None:
    ways: list[object] = [seconds, float(seconds), f"{seconds}", f" {seconds} ", f"{seconds}.0"]
    ways += [NOW + seconds, f"{NOW + seconds}", (NOW + seconds) * 1_000]
    assert {end_of_life(way, NOW) for way in ways} == {NOW + seconds}


def date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        # seconds
        ("120", 120),
        (" 120 ", 120),
        ("0", 1),
        ("1", 1),
        ("007", 7),
        ("3600", 3_600),
        ("3601", 3_600),
        ("86400", 3_600),
        (str(10**30), 3_600),
        ("9" * 10_000, 3_600),
        # a date, in each of the three forms
        (date(90), 90),
        (date(0), 1),
        (date(-90), 1),
        (date(86_400), 3_600),
        ("Friday, 15-Jan-27 08:01:30 GMT", 90),
        ("Fri Jan 15 08:01:30 2027", 90),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
        # nothing of the kind
        ("", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("in 120 seconds", None),
        ("120, 60", None),
        ("120, 120", None),
        (f"{date(90)}, {date(90)}", None),
        (f"{date(90)}, 120", None),
        ("\u0661\u0662\u0660", None),
        ("Fri, 31 Dec 10000 23:59:59 GMT", None),
        ("Fri, 00 Foo 2027 99:99:99 GMT", None),
        ("Fri, 15 Jan 2027 08:01:30 +999999999999", None),
        ("Fri, 15 Jan " + "9" * 24 + " 08:01:30", None),
        ("2027-01-15T08:01:30Z", None),
        ("x" * 100_000, None),
    ],
    ids=lambda value: ascii(value)[:32],
)
def test_the_pause_that_a_provider_asks_for(value: str, seconds: int | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


def test_no_header_is_no_pause() -> None:
    assert retry_after({"x-retry-after": "120"}, NOW) is None


DATE_PIECES = st.sampled_from(
    [
        "Fri,",
        "15",
        "Jan",
        "2027",
        "08:01:30",
        "GMT",
        "-0000",
        "+2500",
        "99",
        "a:b:c",
        "0",
        "::",
        "-",
        ",",
        "Jan-",
    ]
)


@given(
    st.text()
    | st.integers().map(str)
    | st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC), usegmt=True))
    | st.lists(DATE_PIECES, max_size=7).map(" ".join)
)
def test_a_pause_is_a_second_to_an_hour_or_none(value: str) -> None:
    pause = retry_after({"retry-after": value}, NOW)
    assert pause is None or 1 <= pause <= MAX_RETRY_SECONDS


def refused(status: int, body: object, headers: dict[str, str], **rules: Any) -> TokenCallFailure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(TokenCallFailure) as failed:
        read_token_set(HttpResponse(status, headers, raw), with_response(**rules), NOW, refreshing=True)
    return failed.value


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, b""),
        (429, {"error": "invalid_grant"}),
        (503, b"<html>"),
        (500, b""),
        (400, {"error": "slow_down"}),
        (400, {"error": "temporarily_unavailable"}),
        (400, {"error": "of its own"}),
        (403, b"<html>"),
        (200, {"error": "busy"}),
    ],
    ids=str,
)
def test_every_refusal_that_passes_has_its_pause(status: int, body: object) -> None:
    errors = {"busy": "transient"}
    failed = refused(status, body, {"retry-after": "77"}, errors=errors)
    assert (failed.outcome, failed.retry_after) == (Outcome.TRANSIENT, 77)
    assert refused(status, body, {}, errors=errors).retry_after is None
    assert refused(status, body, {"retry-after": "canary"}, errors=errors).retry_after is None


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, {"error": "invalid_grant"}, Outcome.GRANT_LOST),
        (401, {"error": "invalid_client"}, Outcome.MISCONFIGURED),
        (504, b"", Outcome.IN_DOUBT),
        (200, b"<html>", Outcome.IN_DOUBT),
    ],
    ids=str,
)
def test_other_outcomes_have_rules_of_their_own(status: int, body: object, outcome: Outcome) -> None:
    failed = refused(status, body, {"retry-after": "77"})
    assert (failed.outcome, failed.retry_after) == (outcome, None)


def test_what_the_header_says_is_in_no_message() -> None:
    failed = refused(429, b"", {"retry-after": "canary"})
    assert "canary" not in repr(failed) + str(failed) + failed.detail
