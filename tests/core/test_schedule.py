"""When a connection falls due, and in which shard it lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.schedule import SHARDS, due_at, due_shard

NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("lifetime", "jitter", "early"),
    [
        (3_600, 0.0, 900),
        (3_600, 1.0, 900 + 360),
        (900, 0.0, 300),
        (60, 0.0, 20),
        (60, 1.0, 26),
        (86_400, 0.5, 900 + 4_320),
    ],
)
def test_a_quarter_of_an_hour_or_a_third_of_the_life_early_less_jitter(
    lifetime: int, jitter: float, early: int
) -> None:
    assert due_at(NOW, NOW + lifetime, True, jitter) == NOW + lifetime - early


def test_what_never_ends_or_cannot_be_refreshed_is_never_due() -> None:
    assert due_at(NOW, None, True, 0.5) is None
    assert due_at(NOW, NOW + 60, False, 0.5) is None


def test_what_has_ended_already_is_due_at_its_end() -> None:
    assert due_at(NOW, NOW - 5, True, 1.0) == NOW - 5


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_due_lies_between_now_and_the_expiry(lifetime: int, jitter: float) -> None:
    due = due_at(NOW, NOW + lifetime, True, jitter)
    assert due is not None
    assert NOW <= due <= NOW + lifetime


def test_shards_are_stable_and_all_used() -> None:
    assert due_shard("yotpo", "m-1", "s-1") == due_shard("yotpo", "m-1", "s-1")
    assert {due_shard("yotpo", f"m-{n}", "s") for n in range(200)} == {f"yotpo#{n}" for n in range(SHARDS)}
