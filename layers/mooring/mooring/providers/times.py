"""What a provider says about time: how long a token lives, and when it wants to be asked again.

Providers write lifetimes in many ways, and some write nonsense. Nothing here raises, and nothing of
what was sent is passed on but the time it means.
"""

import re
from collections.abc import Mapping

from mooring.core.http_date import http_date

MAX_LIFETIME_SECONDS = 10 * 365 * 86_400
"""Ten years: no lifetime is longer, and no time that is meant lies further from now."""
MAX_RETRY_SECONDS = 3_600
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_DIGITS = re.compile(r"[0-9]+")
_MOST_DIGITS = 9
_MOST_CHARACTERS = 40
"""More than any number that is meant."""


def end_of_life(stated: object, now: int) -> int | None:
    """When a token ends, by what an answer states of it (`expires_in`, RFC 6749 5.1).

    Seconds, as a number or as text. More than ten years of them are no lifetime if, taken as an epoch in
    seconds or milliseconds, they lie within ten years of now: then that time is meant, though only
    one that is still to come can be an end. Any other lifetime of more than ten years is ten years.

    Args:
        stated: what stands in the answer; whatever JSON can hold.
        now: epoch seconds.

    Returns:
        Epoch seconds, later than `now` and at most ten years later; None for what is no lifetime:
        absent, 0, negative, a boolean, not a number, or a time that has passed.
    """
    seconds = _number(stated)
    if seconds is None or seconds <= MAX_LIFETIME_SECONDS:
        return None if seconds is None or seconds < 1 else now + seconds
    for moment in (seconds, seconds // 1000):
        if abs(moment - now) <= MAX_LIFETIME_SECONDS:
            return moment if moment > now else None
    return now + MAX_LIFETIME_SECONDS


def retry_after(headers: Mapping[str, str], now: int) -> int | None:
    """For how many seconds a provider wants not to be asked: its `Retry-After` (RFC 9110 10.2.3).

    Args:
        headers: of its answer, by lower-case name.
        now: epoch seconds; a date counts from here.

    Returns:
        1 to 3,600 seconds: what is shorter, or has passed, is one, and what is longer an hour. None
        where the header is absent, or neither one number of seconds nor one date.
    """
    value = headers.get("retry-after", "").strip()
    if _DIGITS.fullmatch(value):
        # A number so long is not worth reading, and beyond some thousands of digits Python refuses to.
        seconds = int(value) if len(value) <= _MOST_DIGITS else MAX_RETRY_SECONDS
    else:
        moment = http_date(value)
        if moment is None:
            return None
        seconds = moment - now
    return max(1, min(seconds, MAX_RETRY_SECONDS))


def _number(stated: object) -> int | None:
    """A number without its fraction, or None. Infinity is none: it says nothing that could be meant."""
    if isinstance(stated, str):
        text = stated.strip() if len(stated) <= _MOST_CHARACTERS else ""
        return int(text.partition(".")[0]) if _NUMBER.fullmatch(text) else None
    if isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return None
    # Compared, not tested with `isfinite`, which fails for a whole number of more than 308 digits.
    return int(stated) if float("-inf") < stated < float("inf") else None
