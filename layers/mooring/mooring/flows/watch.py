"""What one worker process knows of providers that refuse us or do not answer: their circuits.

A circuit opens when a provider refuses us as a client, or fails `FAILURES` times in a row in one process;
from then on only trials are sent (see `sweep`). A process looks at circuits only once it has met a failure
itself, so that where all is well nobody pays for them.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from mooring.core.errors import Failure, Outcome, TokenCallFailure
from mooring.core.upkeep import Cause, Circuit, Order
from mooring.core.upkeep_ports import Circuits

FAILURES = 5
TRIAL_SECONDS = 60
LOOK_SECONDS = 10
"""For so long a process trusts what it saw of a circuit."""


@dataclass
class _Met:
    """How a provider has met this process lately; `circuit` is an open one."""

    failures: int = 0
    circuit: Circuit | None = None
    looked_at: float = 0
    tried_at: float = 0


class Watch:
    """Shared by all threads of a process.

    Args:
        circuits: the circuits that all processes share.
        clock: returns epoch seconds.
    """

    def __init__(self, circuits: Circuits, clock: Callable[[], float]) -> None:
        self._circuits = circuits
        self._clock = clock
        self._lock = Lock()
        self._met: dict[str, _Met] = {}

    def admit(self, order: Order) -> Order | Circuit:
        """The order, or the open circuit that keeps it from being tried now, if this process knows of one.

        A trial, and who asks by hand, are not kept. Once a minute another order goes as a trial, because
        where readers refresh there may be nothing due that the sweep could send.
        """
        provider = order.key.provider
        if order.trial or order.cause is Cause.ASKED:
            return order
        with self._lock:
            met = self._met.get(provider)
            if met is None:
                return order
            now = self._clock()
            look = now - met.looked_at >= LOOK_SECONDS
            if look:
                met.looked_at = now
        if look:
            with suppress(Failure):  # as it was seen last
                self._see(met, self._circuits.known([provider]).get(provider))
        with self._lock:
            if met.circuit is None:
                return order
            if met.circuit.not_before > now or now - met.tried_at < TRIAL_SECONDS:
                return met.circuit
            met.tried_at = now
        return order._replace(trial=True)

    def not_tried(self, provider: str) -> None:
        """An order that was let through as a trial came to no call: the next one may be the trial."""
        with self._lock:
            if met := self._met.get(provider):
                met.tried_at = 0

    def failed(self, provider: str, failure: TokenCallFailure, *, trial: bool = False) -> None:
        """A token call failed in a way that speaks of the provider; its circuit opens when that is enough.

        `trial`: the circuit is open, and another process knows of it.
        """
        now = int(self._clock())
        with self._lock:
            met = self._met.setdefault(provider, _Met())
            met.failures += not trial
            enough = failure.outcome is Outcome.MISCONFIGURED or met.failures >= FAILURES
            known = trial or met.circuit is not None
        not_before = now + failure.retry_after if failure.retry_after else 0
        with suppress(Failure):  # each connection's own pause holds meanwhile
            if known and not_before:
                # Somebody may have closed it meanwhile: it is not opened again for this.
                self._circuits.put_off(provider, not_before)
            elif enough and not known:
                self._circuits.open(provider, failure.reason, now, not_before)
                with self._lock:
                    self._met[provider] = (
                        met  # an answer meanwhile may have dropped it, but the circuit is open
                    )
                    met.circuit = Circuit(provider, failure.reason.value, now, not_before)
                    met.looked_at = met.tried_at = now

    def _see(self, met: _Met, found: Circuit | None) -> None:
        open_now = found if found is not None and found.is_open else None
        with self._lock:
            if met.circuit is not None and open_now is None:
                met.failures = 0  # it was closed: what failed before counts no more
            met.circuit = open_now

    def answered(self, provider: str, *, closes: bool) -> None:
        """The provider answered as it should; `closes`: whoever asked was sent to find that out."""
        with self._lock:
            self._met.pop(provider, None)
        if closes:
            with suppress(Failure):  # the next trial closes it
                self._circuits.close(provider, int(self._clock()))
