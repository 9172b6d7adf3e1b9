"""Processes that die or sleep at a point of a test's own choosing, and what rang meanwhile.

`kill` has the points that have a name; here is any request of a function as a point, and pausing.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

from mooring.core.upkeep import Key
from tests.e2e.running import FIFTH, RunningStack
from tests.e2e.service import Service
from tests.e2e.upkeep import wait_for
from tests.faults.actions import Hold
from tests.faults.kill import caller_of, cont, kill_these, runtimes, stop_these
from tests.faults.proxy import FaultProxy, Planned
from tests.faults.stack import BrokenStack

type When = Literal["before", "after"]
_HELD_SECONDS = 20
_WARMING = 5
_ARRIVAL_SECONDS = 0.3
"""What was let go arrives within this: it lies in the sleeper's socket when the sleeper wakes."""


class Asleep:
    """A runtime that was stopped in the middle of a request of its own.

    Args:
        pid: its process id.
        gate: what holds its request.
    """

    def __init__(self, pid: int, gate: threading.Event) -> None:
        self.pid = pid
        self._gate = gate

    def wake(self) -> None:
        """Let its request go on, and then itself; a second call does nothing."""
        if not self._gate.is_set():
            self._gate.set()
            time.sleep(_ARRIVAL_SECONDS)
        cont([self.pid])


@contextmanager
def dying(broken: BrokenStack, proxy: FaultProxy, when: When, **which: Any) -> Iterator[Planned]:
    """Whoever makes the next such request dies in it; start the work in the body, in a thread.

    Args:
        broken: the stack.
        proxy: through which of its proxies the request goes.
        when: `before` the other side hears of it, or `after` it has answered.
        which: the request, as `FaultProxy.fault` takes it.
    """
    gate = threading.Event()
    try:
        with proxy.fault(Hold(when, gate), **which) as planned:
            yield planned
            planned.wait_hit(_HELD_SECONDS)
            kill_these([caller_of(broken, planned)])
    finally:
        gate.set()


@contextmanager
def held(proxy: FaultProxy, when: When, **which: Any) -> Iterator[tuple[Planned, threading.Event]]:
    """While it lasts, the next such request stands still, until the event is set; it is set at the end."""
    gate = threading.Event()
    try:
        with proxy.fault(Hold(when, gate), **which) as planned:
            yield planned, gate
    finally:
        gate.set()


@contextmanager
def asleep(broken: BrokenStack, planned: Planned, gate: threading.Event) -> Iterator[Asleep]:
    """Stop whoever's request is held (see `held`); in the end it is awake in any case."""
    planned.wait_hit(_HELD_SECONDS)
    sleeper = Asleep(caller_of(broken, planned), gate)
    stop_these([sleeper.pid])
    try:
        yield sleeper
    finally:
        sleeper.wake()


def warm(broken: BrokenStack, several: int) -> None:
    """Have so many processes of `refresh` alive, so that no test waits for one to start: they are slow at it.

    Each is asked about a connection that nobody has, and held until the others are there too.
    """
    for _ in range(_WARMING):
        if len(runtimes(broken, "refresh")) >= several:
            return
        _occupy(broken, several)
    raise AssertionError(f"there are no {several} processes of refresh")


def _occupy(broken: BrokenStack, several: int) -> None:
    service, nobody = Service(broken), Key("nobody", FIFTH, "nowhere")
    hold = held(broken.aws_proxy, "before", target="UpdateItem", caller="refresh", times=several)
    with ThreadPoolExecutor(several) as pool, hold as (planned, _):
        asked = [pool.submit(service.refresh, nobody) for _ in range(several)]
        # Whoever has ended by then took too long to start, and has started all the same.
        wait_for(lambda: planned.hits >= several or any(one.done() for one in asked), "processes")
    assert {one.result().status_code for one in asked} <= {404, 503}


def rung(stack: RunningStack, metric: str, function: str = "refresh") -> int:
    """How often a function has counted a metric so far (CloudWatch's embedded metric format)."""
    lines = [line for line in stack.log_lines(function) if "_aws" in line and metric in line]
    return sum(int(sum(_values(line[metric]))) for line in lines)


@contextmanager
def rings(stack: RunningStack, metric: str, function: str = "refresh", times: int = 1) -> Iterator[None]:
    """The body makes a function count a metric so often, and no more."""
    before = rung(stack, metric, function)
    yield
    wait_for(lambda: rung(stack, metric, function) >= before + times, f"{times} x {metric} of {function}")
    assert rung(stack, metric, function) == before + times


def _values(found: Any) -> list[float]:
    return found if isinstance(found, list) else [found]
