"""How many refreshes one execution environment does in a second, one at a time and in batches.

The worker runs in the real Lambda runtime, in one process. Every connection is new to it, so that no data key
is in memory yet, as with tokens that are refreshed each hour. Sizes take turns, so that all see the same
machine.
"""

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from local.emulator import Emulator
from mooring.adapters.work_messages import message
from mooring.core.names import DEFAULT_ACCOUNT
from mooring.core.upkeep import Cause, Key, Order, Seen
from tests.scale.counts import trigger
from tests.scale.ground import Ground, ScaleError, batch, invoke

PROVIDER_MILLISECONDS = 200
BUDGET = 8.0
ROUNDS = 3
_CONNECTIONS_A_TURN = 60
_ONE_BY_ONE = 12
_TICKS = os.sysconf("SC_CLK_TCK")


class Pace(NamedTuple):
    """Batches of one size.

    Attributes:
        size: messages a batch.
        milliseconds: a batch took, the median.
        per_second: refreshes.
        ratio: how many times faster than one at a time.
        processor: milliseconds that a refresh used of a processor.
    """

    size: int
    milliseconds: float
    per_second: float
    ratio: float
    processor: float


class Paces(NamedTuple):
    """All sizes, one at a time first; `template` is the batch size that template.yaml gives the worker."""

    paces: tuple[Pace, ...]
    template: int

    @property
    def ratio(self) -> float:
        """How many times faster than one at a time the worker is, fed as the template says."""
        return next(pace.ratio for pace in self.paces if pace.size == self.template)


class _Turn(NamedTuple):
    batches: list[float]
    processor: float


def paces(folder: Path, sizes: Sequence[int], rounds: int = ROUNDS) -> Paces:
    """Measure batches of these sizes, of one, and of the template's own size.

    Raises:
        ScaleError: a connection was not refreshed.
    """
    with Ground(folder, PROVIDER_MILLISECONDS) as ground:
        template = trigger(ground).batch_size
        wanted = sorted({1, template, *sizes})
        worker = _Worker(ground)
        worker.turn(max(wanted))  # Imports, TLS, connections and secrets.
        turns: dict[int, list[_Turn]] = {size: [] for size in wanted}
        for _ in range(rounds):
            for size, found in turns.items():
                found.append(worker.turn(size))
    alone = _milliseconds(turns[1])
    return Paces(tuple(_pace(size, found, alone) for size, found in turns.items()), template)


def _pace(size: int, turns: Sequence[_Turn], alone: float) -> Pace:
    each = _milliseconds(turns)
    processor = statistics.median(turn.processor for turn in turns)
    return Pace(size, each, size / each * 1000, alone / (each / size), processor)


def _milliseconds(turns: Sequence[_Turn]) -> float:
    return statistics.median(taken for turn in turns for taken in turn.batches)


class _Worker:
    """The refresh function in one process, and connections for it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._function = ground.function("refresh")
        # Its runtime starts with its first event, and an order needs nearly all of the function's time.
        invoke(self._function, {"Records": []})
        self._connected = 0

    def turn(self, size: int) -> _Turn:
        """Some batches of one size, one after the other; everything is prepared before."""
        count = _ONE_BY_ONE if size == 1 else max(1, _CONNECTIONS_A_TURN // size)
        events = [self._event(size) for _ in range(count)]
        provider = self._ground.provider
        provider.forget()
        before = _processor(self._function)
        taken = []
        for event in events:
            started = time.perf_counter()
            failed = invoke(self._function, event).json()["batchItemFailures"]
            taken.append((time.perf_counter() - started) * 1000)
            if failed:
                raise ScaleError(f"{len(failed)} messages failed")
        used = (_processor(self._function) - before) * 1000
        if provider.calls().total() != count * size:
            raise ScaleError(f"{count * size} connections made {provider.calls().total()} token calls")
        return _Turn(taken, used / (count * size))

    def _event(self, size: int) -> dict[str, Any]:
        messages = []
        for _ in range(size):
            self._connected += 1
            merchant, provider = self._ground.connect(self._connected, int(time.time()) - 60)
            order = Order(Key(merchant, provider, DEFAULT_ACCOUNT), Seen(1, 1), Cause.DUE)
            name = f"message-{self._connected}"
            messages.append({"MessageId": name, "ReceiptHandle": name, "Body": message(order)})
        return batch(messages, trigger(self._ground).queue_arn)


def _processor(function: Emulator) -> float:
    """Processor seconds that a function's own process has used; 0 before its runtime has started."""
    # The emulator is a Go program: whichever of its threads started the runtime has it as its child.
    tasks = Path(f"/proc/{function._process.pid}/task").iterdir()
    return sum(_used(int(child)) for task in tasks for child in (task / "children").read_text().split())


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
