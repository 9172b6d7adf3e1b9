"""The record of calls that a simulated provider saw: names of parameters, never their values."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import NamedTuple


class Call(NamedTuple):
    """One request, from `began_at` until it was answered at `at` (epoch seconds).

    `outcome` is a word; `parameters` are sorted names.
    """

    endpoint: str
    method: str
    outcome: str
    parameters: list[str]
    began_at: float
    at: float


class CallLog:
    """Appends calls and lists them, oldest first; safe to use from several threads.

    Args:
        clock: returns epoch seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._calls: list[Call] = []

    def add(self, endpoint: str, method: str, outcome: str, names: Iterable[str], began_at: float) -> None:
        """Record one request of an endpoint (`authorize`, `consent`, `token`, `api` or `disconnect`)."""
        call = Call(endpoint, method, outcome, sorted(set(names)), began_at, self._clock())
        with self._lock:
            self._calls.append(call)

    def list(self) -> list[dict[str, object]]:
        """Every call since the start or the last `clear`, oldest first."""
        with self._lock:
            return [call._asdict() for call in self._calls]

    def clear(self) -> None:
        """Forget every call."""
        with self._lock:
            self._calls.clear()
