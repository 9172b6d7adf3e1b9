"""When a provider allows the next request: read from its answers, kept for all sessions of a process."""

from collections.abc import Callable, Mapping
from threading import Lock

from mooring.client.remembered import Remembered
from mooring.core.http_date import http_date
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
        self._until = Remembered[tuple[str, ...], float]()
        self._lock = Lock()

    def left(self, place: tuple[str, ...]) -> float:
        """Seconds until the next request may be made, or 0."""
        with self._lock:
            left = (self._until.get(place) or 0.0) - self._clock()
            if left <= 0:
                self._until.drop(place)
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
                self._until.put(place, max(self._until.get(place) or 0.0, self._clock() + wait))
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
            moment = http_date(text)
            return None if moment is None else self._left_until(moment)
        if not 0 <= value < float("inf"):
            return None
        value /= 1_000 if value > _MILLISECONDS else 1
        return self._left_until(value) if value > _EPOCH else min(value, LONGEST_SECONDS)

    def _left_until(self, moment: float) -> float:
        return min(max(moment - self._clock(), 0.0), LONGEST_SECONDS)


def _used_up(headers: Mapping[str, str], limit: RateLimit | None) -> bool:
    if limit is None or not limit.remaining_header:
        return False
    try:
        return float(headers.get(limit.remaining_header.lower(), "")) < 1
    except ValueError:
        return False
