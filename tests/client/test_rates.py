"""What a provider's headers say about the next request."""

import pytest

from mooring.client.rates import LONGEST_SECONDS, Rates
from mooring.client.remembered import MOST
from mooring.core.provider import RateLimit
from tests.fakes.clock import FakeClock
from tests.support.far_west import five_hours_west

PLACE = ("acme", "shop-1")
LIMIT = RateLimit(5, 1, "account", "RateLimit-Remaining", "RateLimit-Reset")
NOW = 1_800_000_000


def noted(headers: dict[str, str], status: int = 200, limit: RateLimit | None = LIMIT) -> float:
    """For how many seconds nothing is sent after such an answer."""
    rates = Rates(FakeClock(NOW))
    rates.note(PLACE, status, headers, limit)
    return rates.left(PLACE)


@pytest.mark.parametrize(
    ("headers", "status", "seconds"),
    [
        ({"ratelimit-remaining": "3", "ratelimit-reset": "9"}, 200, 0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "9"}, 200, 9),
        ({"ratelimit-remaining": "0.0", "ratelimit-reset": "1.5"}, 200, 1.5),
        ({"ratelimit-remaining": "0", "ratelimit-reset": str(NOW + 7)}, 200, 7),
        ({"ratelimit-remaining": "0", "ratelimit-reset": str((NOW + 7) * 1_000)}, 200, 7),
        ({"ratelimit-remaining": "0", "ratelimit-reset": str(NOW - 7)}, 200, 0),
        ({"ratelimit-remaining": "0"}, 200, 0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "soon"}, 200, 0),
        ({"ratelimit-remaining": "none", "ratelimit-reset": "9"}, 200, 0),
        ({"retry-after": "12"}, 429, 12),
        ({"retry-after": "12", "ratelimit-reset": "3"}, 429, 12),
        ({"ratelimit-reset": "3"}, 429, 3),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 429, 30),
        ({"retry-after": "Fri Jan 15 08:00:30 2027"}, 429, 30),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 -0000"}, 429, 30),
        ({"retry-after": "Sat, 01 Jan 2000 00:00:00 GMT"}, 429, 0),
        ({"retry-after": "Fri, 99 Jan 2027 08:00:30 GMT"}, 429, 0),
        ({"retry-after": "-5"}, 429, 0),
        ({"retry-after": "nan"}, 429, 0),
        ({"retry-after": "inf"}, 429, 0),
        ({"retry-after": "999999999"}, 429, LONGEST_SECONDS),
        ({"retry-after": "12"}, 503, 12),
        ({"retry-after": "12"}, 200, 0),
        ({}, 429, 0),
        ({}, 503, 0),
    ],
)
def test_how_long_nothing_is_sent(headers: dict[str, str], status: int, seconds: float) -> None:
    assert noted(headers, status) == seconds


@pytest.mark.parametrize("end", ["Fri Jan 15 08:00:30 2027", "Fri, 15 Jan 2027 08:00:30 -0000"])
def test_a_date_means_the_same_where_the_machine_has_another_time(end: str) -> None:
    with five_hours_west():
        assert noted({"retry-after": end}, 429) == 30


def test_headers_count_only_where_the_descriptor_names_them() -> None:
    used_up = {"ratelimit-remaining": "0", "ratelimit-reset": "9"}
    assert noted(used_up, limit=None) == 0
    assert noted(used_up, limit=LIMIT._replace(remaining_header=None)) == 0
    assert noted(used_up, limit=LIMIT._replace(reset_header=None)) == 0
    assert noted(used_up, 429, limit=LIMIT._replace(reset_header=None)) == 0
    assert noted({"retry-after": "9"}, 429, limit=None) == 9


def test_it_ends_by_itself_and_the_longest_wish_counts() -> None:
    clock = FakeClock()
    rates = Rates(clock)
    assert rates.note(PLACE, 429, {"retry-after": "30"}, None) == 30
    assert rates.note(PLACE, 429, {"retry-after": "10"}, None) == 10
    assert rates.note(PLACE, 200, {}, None) is None
    assert (rates.left(PLACE), rates.left(("acme", ""))) == (30, 0)
    clock.advance(29)
    assert rates.left(PLACE) == 1
    clock.advance(1)
    assert rates.left(PLACE) == 0


def test_a_clock_that_is_set_back_keeps_nobody_still_for_long() -> None:
    clock = FakeClock()
    rates = Rates(clock)
    rates.note(PLACE, 429, {"retry-after": "30"}, None)
    clock.advance(-10 * LONGEST_SECONDS)
    assert rates.left(PLACE) == LONGEST_SECONDS


def test_what_is_remembered_is_limited() -> None:
    rates = Rates(FakeClock())
    for number in range(MOST + 1):
        rates.note(("acme", f"m-{number}"), 429, {"retry-after": "30"}, None)
    assert [rates.left(("acme", f"m-{number}")) for number in (0, 1, MOST)] == [0, 30, 30]
