"""How the benchmark measures: round by round, everybody once a round, so that all see the same machine."""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from local.emulator import Emulator, FunctionSpec, InvocationResult
from local.logs import FunctionLog
from tests.bench.aws import Calls
from tests.bench.contestants import Contestant
from tests.bench.ground import Ground

BATCHES, CALLS_PER_BATCH, WARM_UP = 9, 1_000, 200
#: What has to come before a step, untimed. A refresh is one of a connection that its process has not seen
#: before, as nearly all are: no data key of it is in memory yet.
_BEFORE = {"callback": "authorize", "refresh": "callback"}


class BenchError(Exception):
    """A contestant did not do what it was asked; the message names it and what it said."""


class Cost(NamedTuple):
    """What one warm call asked of others: AWS, requests to the provider, TLS connections made for them."""

    aws: Calls
    requests: Counter[str]
    connections: int


class Percentiles(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float


class Within(NamedTuple):
    """How long a handler takes: by the clock, and how much of that it was on a processor."""

    clock: Percentiles
    processor: Percentiles


class Track:
    """Keeps one warm process for every contestant and step; a context manager.

    Args:
        ground: where it takes place.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._warm: dict[tuple[str, str], Emulator] = {}
        self._logs: list[FunctionLog] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for emulator in self._warm.values():
            emulator.stop()
        for log in self._logs:
            log.close()

    def cold(self, crew: Sequence[Contestant], step: str, rounds: int) -> dict[str, float]:
        """Median milliseconds from starting the process to the whole answer, by name.

        Raises:
            BenchError: a wrong answer.
        """
        return _medians(self._rounds(crew, rounds, lambda who: self._cold(who, step)))

    def warm(self, crew: Sequence[Contestant], step: str, rounds: int) -> dict[str, float]:
        """Median milliseconds from sending the event to the whole answer in a warm process, by name.

        Raises:
            BenchError: a wrong answer.
        """
        return _medians(self._rounds(crew, rounds, lambda who: self.call(who, step).duration_ms))

    def cost(self, who: Contestant, step: str) -> Cost:
        """What one warm call of a step asks of others."""
        self.call(who, step)
        return self.next_cost(who, step)

    def next_cost(self, who: Contestant, step: str) -> Cost:
        """What the next call of a step asks of others, whatever was called before."""
        emulator = self._emulator(who, step)
        return self._counted(who, step, emulator)

    def cold_cost(self, who: Contestant, step: str) -> Cost:
        """What a call in a new process asks of others."""
        emulator = self._new(who.name, who.specs[step])
        try:
            return self._counted(who, step, emulator)
        finally:
            emulator.stop()

    def call(self, who: Contestant, step: str) -> InvocationResult:
        """One step in a warm process (the first time: one that becomes warm)."""
        event = self._event(who, step)
        return self._invoke(who, step, self._emulator(who, step), event)

    def send(self, name: str, spec: FunctionSpec, event: Any) -> Any:
        """Any event to the process that was started under this name; its answer, parsed.

        Raises:
            BenchError: the function failed.
        """
        result = self._of(name, spec).invoke(json.dumps(event).encode())
        if result.error:
            raise BenchError(f"{name}: {result.error}: {result.payload[:500]!r}")
        return result.json()

    def _cold(self, who: Contestant, step: str) -> float:
        event, emulator = self._event(who, step), self._new(who.name, who.specs[step])
        try:
            return self._invoke(who, step, emulator, event).duration_ms
        finally:
            emulator.stop()

    def _counted(self, who: Contestant, step: str, emulator: Emulator) -> Cost:
        event, aws, provider = self._event(who, step), self._ground.aws, self._ground.provider
        before = provider.seen()
        aws.forget()
        self._invoke(who, step, emulator, event)
        after = provider.seen()
        return Cost(aws.calls(), after.requests - before.requests, after.connections - before.connections)

    def _rounds(
        self, crew: Sequence[Contestant], rounds: int, measure: Callable[[Contestant], float]
    ) -> dict[str, list[float]]:
        times: dict[str, list[float]] = {who.name: [] for who in crew}
        # The first round warms disk and caches, and does not count.
        for number in range(rounds + 1):
            for who in crew:
                taken = measure(who)
                if number:
                    times[who.name].append(taken)
        return times

    def _event(self, who: Contestant, step: str) -> bytes:
        start = self.call(who, _BEFORE[step]).json() if step in _BEFORE else None
        return who.event(step, start)

    def _invoke(self, who: Contestant, step: str, emulator: Emulator, event: bytes) -> InvocationResult:
        result = emulator.invoke(event)
        if result.error or who.wrong(step, result.json()):
            said = "\n".join((result.payload[:800].decode("utf-8", "replace"), *result.log_lines[-5:]))
            raise BenchError(f"{who.name} failed at {step}: {said}")
        return result

    def _emulator(self, who: Contestant, step: str) -> Emulator:
        return self._of(f"{who.name} {step}", who.specs[step])

    def _of(self, name: str, spec: FunctionSpec) -> Emulator:
        if (name, spec.handler) not in self._warm:
            self._warm[name, spec.handler] = self._new(name, spec)
        return self._warm[name, spec.handler]

    def _new(self, name: str, spec: FunctionSpec) -> Emulator:
        log = FunctionLog(self._ground.log(name))
        self._logs.append(log)
        return Emulator(spec, log)


def within(spec: FunctionSpec, event: bytes) -> Within:
    """How long a handler itself takes, timed inside a fresh interpreter of its own: no runtime, no socket.

    Each percentile is taken per batch, and the median of the batches counts, so that one pause of this
    machine spoils one batch and not the figure. What else runs here shows in the clock's p99 all the same;
    processor time does not have it.

    Raises:
        BenchError: the handler failed.
    """
    command = [getattr(sys, "_base_executable", sys.executable), "-S", "-P"]
    command += [str(Path(__file__).with_name("inprocess.py"))]
    environment = {**spec.environment, "PYTHONPATH": os.pathsep.join(map(str, spec.code))}
    told = {
        "event": json.loads(event),
        "batches": BATCHES,
        "calls": CALLS_PER_BATCH,
        "warm_up": WARM_UP,
    }
    done = subprocess.run(
        command, input=json.dumps(told).encode(), env=environment, capture_output=True, check=False
    )
    if done.returncode or not done.stdout:
        raise BenchError(f"{spec.name}: {done.stderr.decode()[-500:]}")
    times = json.loads(done.stdout)
    return Within(percentiles(times["clock"]), percentiles(times["processor"]))


def percentiles(batches: Iterable[Sequence[int]]) -> Percentiles:
    """The median over batches of nanoseconds, of each batch's p50 and p99."""
    cuts = [statistics.quantiles(batch, n=100, method="inclusive") for batch in batches]
    p50, p99 = (statistics.median(cut[at] for cut in cuts) / 1e6 for at in (49, 98))
    return Percentiles(p50, p99)


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(taken) for name, taken in times.items()}
