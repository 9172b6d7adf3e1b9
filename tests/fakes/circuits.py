"""The circuits of providers in memory."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from mooring.core.errors import Reason
from mooring.core.upkeep import Circuit
from tests.fakes.faults import Fallible

CIRCUIT_SECONDS = 30 * 86_400


class FakeCircuits(Fallible):
    """The circuits port. `circuits` is open to tests; `clock` tells epoch seconds."""

    def __init__(self, journal: list[str] | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(journal)
        self.circuits: dict[str, Circuit] = {}
        self._clock = clock
        self._lock = Lock()

    def opened(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        """Those that are open."""
        self.called("opened")
        with self._lock:
            now = self._clock()
            found = {name: self.circuits[name] for name in providers if name in self.circuits}
            return {name: one for name, one in found.items() if _open(one, now)}

    def open(self, provider: str, reason: Reason, now: int) -> None:
        """Open one, or leave it open."""
        self.called("open")
        with self._lock:
            if provider not in self.circuits or not _open(self.circuits[provider], now):
                self.circuits[provider] = Circuit(provider, reason.value, now)

    def close(self, provider: str) -> None:
        """Close one."""
        self.called("close")
        with self._lock:
            self.circuits.pop(provider, None)


def _open(circuit: Circuit, now: float) -> bool:
    return now < circuit.opened_at + CIRCUIT_SECONDS
