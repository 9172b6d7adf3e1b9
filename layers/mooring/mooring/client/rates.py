"""When a provider allows the next request: read from its answers, kept for all sessions of a process."""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from threading import Lock

from mooring.core.provider import RateLimit

TOO_MANY, UNAVAILABLE = 429, 503
LONGEST_SECONDS = 86_400.0
_EPOCH, _MILLISECONDS = 1e9, 1e12
"""A reset of more than this is no number of seconds to wait, but a time."""


class Rates:
    """Until when to keep still, by connection, or by provider where the limit is the app's.

    Args:
        clock: epoch seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[tuple[str, ...], float] = {}
        self._lock = Lock()

    def left(self, place: tuple[str, ...]) -> float:
        """Seconds until the next request may be made, or 0."""
        with self._lock:
            left = self._until.get(place, 0.0) - self._clock()
            if left <= 0:
                self._until.pop(place, None)
            # A clock that was set back must not keep anybody still for longer than a limit can.
            return min(max(left, 0.0), LONGEST_SECONDS)

    def note(
        self, place: tuple[str, ...], status: int, headers: Mapping[str, str], limit: RateLimit | None
    ) -> float | None:
        """Learn from an answer.

        Returns:
            After 429: seconds to wait, as the provider says; None where it does not say, or nothing is wrong.
        """
        refused = status == TOO_MANY
        wait = self._wait(headers, limit, refused=refused) if refused or _used_up(headers, limit) else None
        if wait is None and status == UNAVAILABLE and "retry-after" in headers:
            wait = self._seconds(headers["retry-after"])
        if wait:
            with self._lock:
                self._until[place] = max(self._until.get(place, 0.0), self._clock() + wait)
        return wait if refused else None

    def _wait(self, headers: Mapping[str, str], limit: RateLimit | None, *, refused: bool) -> float | None:
        if refused and "retry-after" in headers:
            return self._seconds(headers["retry-after"])
        if limit and limit.reset_header:
            return self._seconds(headers.get(limit.reset_header.lower(), ""))
        return None

    def _seconds(self, text: str) -> float | None:
        """Seconds from now: a number of them, an epoch time in seconds or milliseconds, or an HTTP date."""
        try:
            value = float(text)
        except ValueError:
            try:
                value = parsedate_to_datetime(text).timestamp()
            except (ValueError, OverflowError):
                return None
        if not value >= 0 or value == float("inf"):
            return None
        value /= 1_000 if value > _MILLISECONDS else 1
        return min(max(value - self._clock() if value > _EPOCH else value, 0.0), LONGEST_SECONDS)


def _used_up(headers: Mapping[str, str], limit: RateLimit | None) -> bool:
    if limit is None or not limit.remaining_header:
        return False
    try:
        return float(headers.get(limit.remaining_header.lower(), "")) < 1
    except ValueError:
        return False
