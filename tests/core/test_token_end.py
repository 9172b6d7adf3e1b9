"""When a token's end is looked at, and from when on it explains a 401."""

import pytest

from mooring.core.token_end import UNCLEAR_SECONDS, may_have_run_out, next_look, ran_out_long_ago
from mooring.core.upkeep import EXPIRING_SECONDS, LATE_SECONDS

NOW = 1_800_000_000
SCHEDULED = NOW + 30 * 86_400


@pytest.mark.parametrize(
    ("ends_in", "looks_in"),
    [
        (EXPIRING_SECONDS + 1, 1),
        (EXPIRING_SECONDS, EXPIRING_SECONDS),
        (1, 1),
        (0, LATE_SECONDS),
        (1 - LATE_SECONDS, 1),
        (-LATE_SECONDS, UNCLEAR_SECONDS - LATE_SECONDS),
        (1 - UNCLEAR_SECONDS, 1),
    ],
)
def test_the_next_moment_of_an_end_comes_before_the_schedule(ends_in: int, looks_in: int) -> None:
    assert next_look(NOW + ends_in, NOW, SCHEDULED) == NOW + looks_in
    assert next_look(NOW + ends_in, NOW, NOW + looks_in - 1) == NOW + looks_in - 1


@pytest.mark.parametrize("expires_at", [None, NOW - UNCLEAR_SECONDS, 0, SCHEDULED + EXPIRING_SECONDS])
def test_else_the_schedule_stands(expires_at: int | None) -> None:
    assert next_look(expires_at, NOW, SCHEDULED) == SCHEDULED


@pytest.mark.parametrize(
    ("ends_in", "may", "long_ago"),
    [
        (None, False, False),
        (LATE_SECONDS + 1, False, False),
        (LATE_SECONDS, True, False),
        (0, True, False),
        (1 - UNCLEAR_SECONDS, True, False),
        (-UNCLEAR_SECONDS, True, True),
    ],
)
def test_what_an_end_explains(ends_in: int | None, may: bool, long_ago: bool) -> None:
    expires_at = None if ends_in is None else NOW + ends_in
    assert may_have_run_out(expires_at, NOW) is may
    assert ran_out_long_ago(expires_at, NOW) is long_ago
