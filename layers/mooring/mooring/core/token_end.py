"""The end of a token that nothing refreshes: when it is looked at, and from when on it explains a 401."""

from mooring.core.upkeep import EXPIRING_SECONDS, LATE_SECONDS

UNCLEAR_SECONDS = 86_400
"""So long after its stated end a token counts as run out unless its provider says that it takes it."""


def next_look(expires_at: int | None, now: int, due_at: int) -> int:
    """`due_at`, or earlier: the next moment at which a token's end must be looked at.

    Early enough to say that it comes, at the end, once that is sure, and once nothing but a clear yes counts
    any more. Everything in epoch seconds; a token without an end has no such moments.
    """
    if expires_at is None:
        return due_at
    late = (-EXPIRING_SECONDS, 0, LATE_SECONDS, UNCLEAR_SECONDS)
    return min([due_at, *(expires_at + each for each in late if expires_at + each > now)])


def may_have_run_out(expires_at: int | None, now: int) -> bool:
    """Whether a 401 may be due to the token's age alone: clocks differ by up to `LATE_SECONDS`."""
    return expires_at is not None and expires_at <= now + LATE_SECONDS


def ran_out_long_ago(expires_at: int | None, now: int) -> bool:
    """Whether its stated end is `UNCLEAR_SECONDS` past."""
    return expires_at is not None and expires_at <= now - UNCLEAR_SECONDS
