"""The circuits of providers in memory."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from mooring.core.errors import Reason
from mooring.core.upkeep import RAMP_SECONDS, Circuit
from tests.fakes.faults import Fallible

CIRCUIT_SECONDS = 30 * 86_400


class FakeCircuits(Fallible):
    """The circuits port. `circuits` is open to tests; `clock` tells epoch seconds."""

    def __init__(self, journal: list[str] | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(journal)
        self.circuits: dict[str, Circuit] = {}
        self._clock = clock
        self._lock = Lock()

    def known(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        """Those that are open, or were closed lately."""
        self.called("known")
        with self._lock:
            now = self._clock()
            found = {name: self.circuits[name] for name in providers if name in self.circuits}
            return {name: one for name, one in found.items() if now < _until(one)}

    def open(self, provider: str, reason: Reason, now: int, not_before: int = 0) -> None:
        """Open one, or leave it open."""
        self.called("open")
        with self._lock:
            old = self.circuits.get(provider)
            if old is None or not old.is_open or now >= _until(old):
                self.circuits[provider] = Circuit(provider, reason.value, now, not_before)
            else:
                self.circuits[provider] = old._replace(not_before=max(old.not_before, not_before))

    def put_off(self, provider: str, not_before: int) -> None:
        """No trials before."""
        self.called("put_off")
        with self._lock:
            old = self.circuits.get(provider)
            if old is not None and old.is_open:
                self.circuits[provider] = old._replace(not_before=max(old.not_before, not_before))

    def close(self, provider: str, now: int) -> None:
        """Close one."""
        self.called("close")
        with self._lock:
            old = self.circuits.get(provider)
            if old is not None and old.is_open:
                self.circuits[provider] = old._replace(closed_at=now, not_before=0)


def _until(circuit: Circuit) -> float:
    if circuit.closed_at is not None:
        return circuit.closed_at + RAMP_SECONDS
    return circuit.opened_at + CIRCUIT_SECONDS
