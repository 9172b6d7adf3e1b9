"""When it happened, as a signed notice says: times of every kind are read, and nothing that is none."""

import json

import pytest

from mooring.core.errors import STATUS, Reason
from mooring.core.notice import Notice
from mooring.providers.notices import read_notice
from tests.protocol.test_notices import BODY, HEX, NOW, SECRET, digest, headers, provider, refused, signed

DAY = 86_400
TIMES: list[tuple[object, int]] = [
    (NOW, NOW),
    (str(NOW), NOW),
    (NOW * 1000 + 999, NOW),
    (str(NOW * 1000), NOW),
    (float(NOW) + 0.5, NOW),
    (NOW + 300, NOW + 300),
    (NOW - 3 * DAY, NOW - 3 * DAY),
    (NOW - 400 * DAY, NOW - 400 * DAY),
    (1, 1),
    (100_000_000_000, 100_000_000),
    (100_000_000_000.0, 100_000_000),
    ("2027-01-15T08:00:00Z", NOW),
    ("2027-01-15T08:00:00.999+00:00", NOW),
    ("2027-01-15T13:30:00+05:30", NOW),
    ("2027-01-15T03:00:00-05:00", NOW),
    ("2027-01-15 08:00:00Z", NOW),
    ("20270115T080000Z", NOW),
]
NO_TIMES: list[object] = [
    *(None, True, False, [], [NOW], {}, {"seconds": NOW}),
    *(float("nan"), float("inf"), float("-inf"), 0, -1, -NOW, 10**16, 10**20),
    *("", " ", "NaN", "nan", "Infinity", "0", "-5", "+5", "1e9", "0x10", str(10**20), "9" * 5_000),
    *(f" {NOW}", f"{NOW}.5", "\u0661\u0668\u0660\u0660", "yesterday"),
    *("2027-01-15T08:00:00", "2027-01-15", "2027-13-45T08:00:00Z", "08:00:00Z", "2027-W02-5"),
    *("Fri, 15 Jan 2027 08:00:00 GMT", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"),
]
AHEAD: list[object] = [
    *(NOW + 301, str(NOW + 301), (NOW + 301) * 1000, 10**11 - 1, 10**16 - 1),
    *("2027-01-15T08:05:01Z", "9999-12-31T23:59:59-23:59"),
]


@pytest.mark.parametrize(("value", "at"), TIMES)
def test_times_of_every_kind_however_old(value: object, at: int) -> None:
    found = signed({**BODY, "at": value})
    assert found is not None
    assert found.at == at


@pytest.mark.parametrize("value", [*NO_TIMES, *AHEAD], ids=lambda value: ascii(value)[:40])
def test_a_time_that_is_none_or_lies_ahead(value: object) -> None:
    """HOOK-09"""
    assert refused({**BODY, "at": value}) is Reason.NOTICE_TIME
    assert STATUS[Reason.NOTICE_TIME] == 401


def test_a_signed_notice_without_its_time() -> None:
    assert refused({"type": "app.removed", "shop": {"id": "shop:9"}}) is Reason.NOTICE_TIME


def test_a_replayed_one_still_tells_its_own_time() -> None:
    """HOOK-08: whoever keeps the connections then sees that it is stale."""
    old = {**BODY, "at": NOW - 30 * DAY}
    assert signed(old) == signed(old) == Notice("shop:9", "d-1", NOW - 30 * DAY, proven=True)


@pytest.mark.parametrize("value", [str(NOW), "", "NaN", str(NOW + 9_999)])
def test_a_time_that_the_signature_does_not_cover_is_not_told(value: str) -> None:
    body = json.dumps(BODY).encode()
    rules = provider(HEX._replace(time="header:X-Acme-Time"))
    found = read_notice(rules, headers(digest(body).hex(), **{"x-acme-time": value}), body, [SECRET], NOW)
    assert found == Notice("shop:9", "d-1", None, proven=True)


def test_without_a_place_for_it_there_is_no_time() -> None:
    assert signed(rules=HEX._replace(time=None)) == Notice("shop:9", "d-1", None, proven=True)
