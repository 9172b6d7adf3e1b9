"""When a connection falls due, when it is tried again, and in which shard it lies."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.provider import Call, Provider
from mooring.core.schedule import (
    PROBE_EVERY_SECONDS,
    SHARDS,
    SHORT_SECONDS,
    due_at,
    due_shard,
    retry_at,
    shards,
)
from tests.protocol.shapes import ACME, ACME_URL, REFRESH

NOW = 1_800_000_000
DAY = 86_400
ON_READ = ACME._replace(refresh_policy="on_read")
IDLE = ACME._replace(refresh=REFRESH._replace(idle_days=30))
PROBED = ACME._replace(refresh=None, probe=Call("GET", f"{ACME_URL}/api"))
SILENT = ACME._replace(refresh=None)


def due(provider: Provider = ACME, lifetime: int | None = 3_600, **changes: Any) -> int | None:
    """Seconds from now on, for a refreshable token that lives so long."""
    given = {"refresh_expires_at": None, "refreshable": True, "jitter": 0.0, **changes}
    found = due_at(NOW, provider, expires_at=None if lifetime is None else NOW + lifetime, **given)
    return None if found is None else found - NOW


# A token that is refreshed before its end.


@pytest.mark.parametrize(
    ("lifetime", "jitter", "early"),
    [
        (3_600, 0.0, 900),
        (3_600, 1.0, 900 + 360),
        (2_700, 0.0, 900),
        (900, 0.0, 300),
        (240, 0.0, 80),
        (240, 1.0, 80 + 24),
        (180, 0.0, 60),
        (86_400, 0.5, 900 + 4_320),
    ],
)
def test_a_quarter_of_an_hour_or_a_third_of_the_life_early_less_jitter(
    lifetime: int, jitter: float, early: int
) -> None:
    assert due(lifetime=lifetime, jitter=jitter) == lifetime - early


@pytest.mark.parametrize("lifetime", [SHORT_SECONDS - 1, 60, 0, -5])
def test_what_lives_too_short_is_left_to_its_readers(lifetime: int) -> None:
    assert due(lifetime=lifetime) is None


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [(700, 700, 466), (700, 400, 166), (700, 233, 0), (700, 110, 0), (700, -5, 0), (180, 60, 0), (180, 1, 0)],
)
def test_what_lay_for_a_while_is_due_by_its_whole_life(lifetime: int, left: int, expected: int) -> None:
    """What is left of a token is not its lifetime, and what is late is due at once."""
    assert due(lifetime=left, issued_at=NOW + left - lifetime) == expected


@pytest.mark.parametrize("left", [179, 60, -5])
def test_what_lives_short_is_left_to_its_readers_however_long_it_lay(left: int) -> None:
    assert due(lifetime=left, issued_at=NOW + left - 179) is None


def test_what_never_ends_is_never_due() -> None:
    assert due(lifetime=None) is None


@pytest.mark.parametrize("provider", [ON_READ, ON_READ._replace(probe=PROBED.probe)])
def test_what_is_refreshed_when_it_is_read_is_not_due_before(provider: Provider) -> None:
    assert due(provider) is None


# A grant that must not lie unused.


@pytest.mark.parametrize("lifetime", [None, 60])
def test_a_grant_is_kept_alive_after_two_thirds_of_the_time_it_may_lie_unused(lifetime: int | None) -> None:
    assert due(IDLE, lifetime) == 20 * DAY
    assert due(IDLE, lifetime, jitter=1.0) == pytest.approx(17 * DAY, abs=1)


def test_reading_alone_does_not_keep_a_grant_alive() -> None:
    assert due(IDLE._replace(refresh_policy="on_read")) == 20 * DAY
    assert due(ON_READ, refresh_expires_at=NOW + 9 * DAY) == 6 * DAY


def test_whichever_end_of_the_grant_comes_first_counts() -> None:
    assert due(IDLE, None, refresh_expires_at=NOW + 9 * DAY) == 6 * DAY
    assert due(IDLE, None, refresh_expires_at=NOW + 90 * DAY) == 20 * DAY


def test_the_token_or_the_grant_whichever_is_due_first() -> None:
    assert due(IDLE, 3_600) == 2_700
    assert due(ACME, 30 * DAY, refresh_expires_at=NOW + 3 * DAY) == 2 * DAY


def test_a_grant_that_ought_to_be_dead_is_not_refreshed_without_end() -> None:
    """The provider refreshed it all the same, so it did not mean the end that it once stated."""
    assert due(ACME, 3_600, refresh_expires_at=NOW - 1) == 2_700
    assert due(ACME, None, refresh_expires_at=NOW) is None


# Nothing to refresh with.


@pytest.mark.parametrize("provider", [PROBED, ACME._replace(probe=PROBED.probe)])
@pytest.mark.parametrize("lifetime", [None, 9 * DAY, DAY])
def test_without_a_refresh_token_the_probe_is_due(provider: Provider, lifetime: int | None) -> None:
    assert due(provider, lifetime, refreshable=False) == PROBE_EVERY_SECONDS
    assert due(provider, lifetime, refreshable=False, jitter=1.0) == PROBE_EVERY_SECONDS * 3 // 4


def test_a_refresh_token_that_its_provider_cannot_use_is_none() -> None:
    assert due(PROBED, None) == PROBE_EVERY_SECONDS
    assert due(SILENT, None) is None
    assert due(PROBED) == due(PROBED, refreshable=False) == 2_400


def test_without_refresh_token_and_probe_nothing_is_due() -> None:
    assert due(SILENT, None, refreshable=False) is None
    assert due(IDLE, None, refreshable=False) is None


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (365 * DAY, 362 * DAY),
        (10 * DAY, 7 * DAY),
        (9 * DAY, 6 * DAY),
        (3 * DAY, 2 * DAY),
        (3_600, 2_400),
        (3, 2),
        (2, 2),
        (1, 1),
        (0, 0),
        (-5, -5),
    ],
)
def test_a_token_that_only_the_merchant_can_renew_is_looked_at_before_its_end(
    lifetime: int, expected: int
) -> None:
    """Three days before, or a third of a shorter life; one that has ended is looked at now."""
    assert due(SILENT, lifetime, refreshable=False) == expected


# The end of a grant.


def test_a_grant_that_ends_is_looked_at_three_days_before() -> None:
    assert due(ON_READ, refresh_expires_at=NOW + 90 * DAY) == 60 * DAY
    assert due(ON_READ, refresh_expires_at=NOW + 6 * DAY) == 3 * DAY
    assert due(ON_READ, refresh_expires_at=NOW + 3 * DAY + 1) == 1
    assert due(ON_READ, refresh_expires_at=NOW + 3 * DAY) == 2 * DAY


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("left", [1, 2, 30, 60, 89, 90])
def test_an_end_that_cannot_be_moved_is_asked_about_once_a_minute_at_most(left: int, jitter: float) -> None:
    assert due(ON_READ, refresh_expires_at=NOW + left, jitter=jitter) == 60


@given(left=st.integers(1, 3_650 * DAY), jitter=st.floats(0, 1))
def test_a_fixed_end_is_met_after_few_refreshes(left: int, jitter: float) -> None:
    """A provider that never moves it is asked more often towards the end, but not without end."""
    times, now = 0, 0
    while now < left:
        step = due(ON_READ, None, refresh_expires_at=NOW + left - now, jitter=jitter)
        assert step is not None
        assert step >= 60 or left - now - step == 3 * DAY
        now += step
        times += 1
    assert times < 30


@given(
    lifetime=st.none() | st.integers(-(10**6), 10**9),
    grant=st.none() | st.integers(-(10**6), 10**9),
    idle=st.none() | st.integers(1, 3_650),
    refreshable=st.booleans(),
    probed=st.booleans(),
    policy=st.sampled_from(["eager", "on_read"]),
    jitter=st.floats(0, 1),
)
def test_it_is_due_after_now_and_before_whatever_ends(
    lifetime: int | None,
    grant: int | None,
    idle: int | None,
    refreshable: bool,
    probed: bool,
    policy: str,
    jitter: float,
) -> None:
    provider = ACME._replace(
        refresh=REFRESH._replace(idle_days=idle),
        probe=PROBED.probe if probed else None,
        refresh_policy=policy,
    )
    dies_at = None if grant is None else NOW + grant
    found = due(provider, lifetime, refresh_expires_at=dies_at, refreshable=refreshable, jitter=jitter)
    if found is None:
        assert not (refreshable and idle)
        assert refreshable or lifetime is None
        return
    if not refreshable:
        assert found >= min(0, lifetime or 0)
        assert found <= PROBE_EVERY_SECONDS or not probed
        assert lifetime is None or found <= lifetime
        return
    assert found >= 0
    ends = [lifetime, None if grant is None else max(60, grant), None if idle is None else idle * DAY]
    assert found <= max(end for end in ends if end is not None)
    assert found < (idle or 10**9) * DAY
    if policy == "eager" and lifetime is not None and lifetime >= SHORT_SECONDS:
        assert found < lifetime


@given(
    lifetime=st.integers(1, 3_650 * DAY),
    grant=st.none() | st.integers(1, 3_650 * DAY),
    policy=st.sampled_from(["eager", "on_read"]),
    refreshable=st.booleans(),
    probed=st.booleans(),
    jitter=st.floats(0, 1),
)
def test_whatever_lives_is_due_later_and_never_long_after_it_died(
    lifetime: int, grant: int | None, policy: str, refreshable: bool, probed: bool, jitter: float
) -> None:
    """Of a second to ten years. Nothing that can still be told is told after the end."""
    provider = ACME._replace(probe=PROBED.probe if probed else None, refresh_policy=policy)
    dies_at = None if grant is None else NOW + grant
    found = due(provider, lifetime, refresh_expires_at=dies_at, refreshable=refreshable, jitter=jitter)
    if found is None:
        assert refreshable
        assert grant is None
        return
    assert found > 0
    if refreshable and grant is not None:
        assert found <= max(60, grant)
        assert grant <= 3 * DAY or found <= grant - 3 * DAY
    if not refreshable:
        assert found <= lifetime
        assert lifetime <= 9 * DAY or found <= lifetime - 3 * DAY


# Tried again.


def test_pauses_double_from_a_quarter_of_a_minute_to_four_minutes_at_most() -> None:
    assert [retry_at(NOW, failures, 0.0) - NOW for failures in range(6)] == [15, 30, 60, 120, 180, 180]
    assert [retry_at(NOW, failures, 1.0) - NOW for failures in range(6)] == [20, 40, 80, 160, 240, 240]


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_however_often_it_failed_it_is_tried_within_four_minutes(failures: int, jitter: float) -> None:
    assert 15 <= retry_at(NOW, failures, jitter) - NOW <= 240


# Shards.


def test_shards_are_stable_and_all_used() -> None:
    assert due_shard("yotpo", "m-1", "s-1") == due_shard("yotpo", "m-1", "s-1")
    assert {due_shard("yotpo", f"m-{n}", "s") for n in range(200)} == {*shards("yotpo")}
    assert shards("yotpo") == tuple(f"yotpo#{n}" for n in range(SHARDS))
