"""Dates as HTTP's headers hold them (RFC 9110 5.6.7)."""

from datetime import UTC

_MOST_CHARACTERS = 40
"""More than any date that is meant."""


def http_date(text: str) -> int | None:
    """Epoch seconds of any of the three forms of a date in HTTP, or None for what is no date."""
    value = text.strip()
    # A date has one comma at most; what comes after a second one would be passed over.
    if not 0 < len(value) <= _MOST_CHARACTERS or value.count(",") > 1:
        return None
    # Rare, so only then: a cold start need not pay for it.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # Dates in HTTP are in GMT, also where the oldest form does not say so.
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
