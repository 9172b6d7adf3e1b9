"""The course of one soak: start, store connections, let faults fall, wait until all is at rest, judge."""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import requests

from mooring.core.errors import Reason
from mooring.core.upkeep import Key
from tests.soak.dice import Chance
from tests.soak.findings import (
    Ending,
    Said,
    ended_of,
    endings,
    heard,
    leaks,
    log_lines,
    log_of,
    losses,
    sweeps,
)
from tests.soak.plan import KINDS, SCHEDULE_SECONDS, WAIT_SECONDS, Kind, Plan
from tests.soak.providers import outcomes, overlapping
from tests.soak.report import OfKind, Report
from tests.soak.seeding import keys_of, seed
from tests.soak.stack import SoakStack
from tests.soak.traffic import SWEEP, Killer, Readers, Sweeper
from tests.soak.watch import ACTIVE, Look, Watch

LOOK_SECONDS, LAST_LOOK_SECONDS = 20.0, 3.0
_TELL_SECONDS = 60.0
"""For so long `announce` may take to tell what a row already says."""
_BEAT_SECONDS = 0.2

Tell = Callable[[str], None]


class _Rest(NamedTuple):
    """When the traces of faults were gone and all was at rest, in seconds after the last one; None: never."""

    healed: float | None
    rested: float | None
    left: str


class Soak:
    """One soak.

    Args:
        plan: its sizes.
        folder: an empty folder.
        tell: takes a line of progress, often.
    """

    def __init__(self, plan: Plan, folder: Path, tell: Tell) -> None:
        self._plan = plan
        self._tell = tell
        self._started = time.monotonic()
        self._chance = Chance(plan.seed)
        self._keys = keys_of(plan.connections)
        self._stack = SoakStack(folder, self._chance)
        self._watch = Watch(self._stack, self._keys)
        self._sweeper = Sweeper(self._stack, plan.sweep_seconds)
        self._last: Look | None = None
        self._load = 0.0

    def run(self) -> Report:
        """All of it; leaves nothing running."""
        try:
            self._tell("starting the stack")
            self._stack.wait()
            self._prepare()
            with Readers(self._stack, self._keys, self._plan.readers, self._plan.seed) as readers:
                killer, seconds = self._let_faults_fall()
                rest = self._wait_for_rest(max(self._chance.last_at, killer.last_at))
            self._tell("taking stock")
            self._sweeper.stop()
            self._stack.trigger(f"{SWEEP}/pause")
            return self._report(killer, readers, seconds, rest)
        finally:
            self._sweeper.stop()
            self._stack.stop()

    def _prepare(self) -> None:
        self._stack.trigger(f"{SWEEP}/pause")
        self._tell(f"storing {len(self._keys)} connections")
        seed(self._stack, self._keys, self._chance.rng)
        if self._plan.sweep_seconds == SCHEDULE_SECONDS:
            self._stack.trigger(f"{SWEEP}/resume")
            with contextlib.suppress(requests.Timeout):  # it may take longer than we listen
                self._stack.trigger(f"{SWEEP}/fire")  # once, as at its start
        else:
            self._sweeper.start()

    def _let_faults_fall(self) -> tuple[Killer, float]:
        """The killer that was at it, and for how many seconds faults fell."""
        killer = Killer(self._stack, self._chance.rng)
        began = time.monotonic()
        until, next_look = began + self._plan.minutes * 60, began
        self._chance.turn(on=True)
        while (now := time.monotonic()) < until:
            killer.beat()
            if now >= next_look:
                self._last, next_look = self._watch.look(), now + LOOK_SECONDS
                self._load = max(self._load, os.getloadavg()[0])
            self._tell(f"faults fall, {until - now:.0f} s to go; {self._standing(killer)}")
            time.sleep(_BEAT_SECONDS)
        self._chance.turn(on=False)
        return killer, time.monotonic() - began

    def _wait_for_rest(self, last_fault: float) -> _Rest:
        for provider in self._stack.providers.values():
            provider.site.calm()
        healed: float | None = None
        left, next_look = "", 0.0
        while (now := time.monotonic()) - last_fault < WAIT_SECONDS:
            if now >= next_look:
                look, waiting = self._watch.look(), self._stack.waiting()
                next_look, self._last = now + LAST_LOOK_SECONDS, look
                since = now - last_fault
                healed = None if look.troubled else (since if healed is None else healed)
                left = f"{look.troubled} with traces, {look.busy} due or leased, queues {waiting}"
                if not (look.troubled or look.busy or sum(_living(waiting).values())):
                    return _Rest(healed, since, "")
            self._tell(f"no more faults for {now - last_fault:.0f} s; {left}")
            time.sleep(_BEAT_SECONDS)
        return _Rest(healed, None, left)

    def _standing(self, killer: Killer) -> str:
        faults = self._chance.providers.hits.total() + self._chance.aws.hits.total()
        calls = sum(len(provider.site.ledger.calls) for provider in self._stack.providers.values())
        look = self._last
        state = f", overdue {look.overdue_seconds} s, in trouble {look.troubled}" if look else ""
        return f"{calls} token calls, {faults} faults, {killer.killed.total()} kills{state}"

    def _report(self, killer: Killer, readers: Readers, seconds: float, rest: _Rest) -> Report:
        found = endings(self._stack, self._keys)
        said = self._hear([one.key for one in found if one.reason == Reason.LOST_ROTATION.value])
        texts = set().union(*(one.site.ledger.texts for one in self._stack.providers.values()))
        chance = self._chance
        return Report(
            plan=self._plan,
            seconds=seconds,
            kinds=[self._of_kind(kind, found, said) for kind in KINDS],
            faults_provider={**chance.providers.hits, **chance.slow.hits},
            faults_aws=dict(chance.aws.hits),
            calls_provider=chance.providers.calls,
            calls_aws=chance.aws.calls,
            kills=dict(killer.killed),
            reads=dict(readers.answers),
            dead=[f"{one.key} at {one.at:.0f}: {one.said}" for one in readers.dead],
            overdue=self._watch.overdue_seconds,
            lifeless=self._watch.dead_seconds,
            healed=rest.healed,
            rested=rest.rested,
            left=rest.left,
            superseded=sum(n for word, n in said.outcomes.items() if Reason.TOKEN_SUPERSEDED.value in word),
            alarms=dict(said.alarms),
            outcomes=dict(said.outcomes),
            odd=said.odd,
            leaks=leaks(self._stack, texts),
            dead_letters={name: n for name, n in self._stack.waiting().items() if name.endswith("-dead")},
            undelivered=len(self._stack.undelivered()),
            sweeps=sweeps(log_of(self._stack, "sweep")),
            wall=time.monotonic() - self._started,
            load=self._load,
            processors=os.cpu_count() or 1,
        )

    def _hear(self, lost: Sequence[Key]) -> Said:
        """What the logs say, once `announce` has told of the last connection that was lost."""
        deadline = time.monotonic() + _TELL_SECONDS
        while True:
            said = heard(log_lines(self._stack))
            if said.announced.keys() >= set(lost) or time.monotonic() > deadline:
                return said
            time.sleep(LAST_LOOK_SECONDS)

    def _of_kind(self, kind: Kind, found: list[Ending], said: Said) -> OfKind:
        own = [one for one in found if one.key.provider == kind.id]
        calls = self._stack.providers[kind.id].site.ledger.calls
        lost = (one.key for one in own if one.reason == Reason.LOST_ROTATION.value)
        return OfKind(
            kind=kind,
            connections=len(own),
            refreshes=sum(max(0, one.version - 1) for one in own),
            calls=outcomes(calls),
            overlapping=len(overlapping(calls)),
            ended=ended_of(own, kind),
            wrong=Counter(one.reason for one in own if one.status == ACTIVE and one.reason),
            losses=losses(lost, said, kind.id),
        )


def _living(waiting: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in waiting.items() if not name.endswith("-dead")}
