"""The simulated world, second by second: what is due, the sweep, the queue, the workers, the providers.

Rules and constants are the product's own: when a connection falls due, who gets which share of the queue,
trials and the ramp of a circuit, pauses after failures. Counts are fractions: one of a thousand like
connections is not followed by name.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import cache
from math import ceil
from typing import NamedTuple

from mooring.core.schedule import retry_at
from mooring.core.upkeep import RAMP_SECONDS, Circuit, DuePage, DueRow, Key
from mooring.flows.shares import fair_shares, unused
from mooring.flows.sweep import FIRING_SECONDS, PAGE, QUEUED_SECONDS, TRIALS
from mooring.flows.watch import FAILURES
from tools.simulate import assumptions as given
from tools.simulate.due import Due
from tools.simulate.model import batch_seconds, expired, spread, sweep_rows, worker_pace
from tools.simulate.settings import Settings
from tools.simulate.turns import in_turn

_SAMPLE = 5_000
"""Messages of which the shares are told one by one; of more, so many stand for all."""
_FEW = 500
_ONE_OF_A_THOUSAND = 1e-3
_REASON = "provider_unavailable"


class Outage(NamedTuple):
    """A provider that answers nothing from `begin` until before `end` (seconds)."""

    provider: str
    begin: int
    end: int


class Minute(NamedTuple):
    """One firing of the sweep and the minute after it.

    Attributes:
        second: when it fired.
        due: connections that were due and not queued, before it.
        queued: messages that it queued.
        depth: messages in the queue before it.
        done: refreshes in the minute before.
        workers: batches at once at the end of the minute before.
    """

    second: int
    due: float
    queued: float
    depth: float
    done: float
    workers: float


class _Message(NamedTuple):
    """Messages of connections that fell due in one second of `due`, seen by workers from `visible` on."""

    visible: int
    provider: str
    due: int
    number: float


class World:
    """Providers with connections in one installation.

    Args:
        settings: of the installation.
        providers: their names.
        seconds: how long it is followed.
        outage: one provider's, or None.
    """

    def __init__(
        self, settings: Settings, providers: Sequence[str], seconds: int, outage: Outage | None = None
    ) -> None:
        self._settings = settings
        self._seconds = seconds
        self._outage = outage
        self.due = {name: Due(seconds) for name in providers}
        self._queue: deque[_Message] = deque()
        self._depth = 0.0
        self._sent: deque[tuple[int, str, float]] = deque()
        self._circuits: dict[str, Circuit] = {}
        self._failed: Counter[str] = Counter()
        self._opens: dict[str, int] = {}
        self._workers = float(given.FIRST_BATCHES)
        self._done = 0.0
        self.most_workers = 0.0
        """Batches at once at most."""
        self.called_down = 0.0
        """Token calls to a provider that did not answer."""
        self.minutes: list[Minute] = []
        self.overdue: Counter[str] = Counter()
        """Seconds for which the most belated one of each provider was due when it was refreshed."""
        self.expired: dict[str, float] = dict.fromkeys(providers, 0.0)
        """Tokens of each provider that ended before they were refreshed."""
        self.circuits: list[tuple[int, str]] = []
        """When a circuit opened and closed."""
        self.late: list[tuple[int, dict[str, int]]] = []
        """At each firing: for how long the most belated one of each provider is due, queued or not."""

    def connected(self, provider: str, count: float) -> None:
        """Connections that have been there for long: their refreshes are spread evenly."""
        when = spread()
        self.due[provider].add(0, when.first - 1, count * when.first / when.mean)
        # The rest: fewer and fewer, as jitter has it.
        rest, parts = count * (1 - when.first / when.mean), 6
        width = (when.last - when.first) // parts
        for part in range(parts):
            first = when.first + part * width
            share = (2 * (parts - part) - 1) / parts**2
            self.due[provider].add(first, first + width - 1, rest * share)

    def run(self) -> None:
        """Follow it to the end."""
        for now in range(self._seconds):
            if now % FIRING_SECONDS == 0:
                self.late.append((now, self._lateness(now)))
                self._sweep(now)
            self._work(now)

    def left(self, name: str) -> float:
        """Connections of a provider that were due at the end and not refreshed."""
        queued = sum(message.number for message in self._queue if message.provider == name)
        return self.due[name].waiting + queued

    def _lateness(self, now: int) -> dict[str, int]:
        oldest = {name: due.oldest() for name, due in self.due.items()}
        found = {name: now if at is None else min(now, at) for name, at in oldest.items()}
        for message in self._queue:
            if message.number >= _ONE_OF_A_THOUSAND:
                found[message.provider] = min(found[message.provider], message.due)
        return {name: now - at for name, at in found.items()}

    def _sweep(self, now: int) -> None:
        waiting = {name: due.until(now + FIRING_SECONDS) for name, due in self.due.items()}
        depth = self._depth + self._workers * self._settings.batch * min(1.0, self._depth)
        while self._sent and (now - self._sent[0][0] > QUEUED_SECONDS or self._depth < 1):
            self._sent.popleft()
        self._try(now, waiting)
        most = min(max(0.0, self._settings.queue_limit - depth), sweep_rows(self._settings))
        shares = self._fair(now, waiting, int(depth))
        turns = in_turn(shares, waiting, most)
        for name, count in self._spare(now, shares, turns, waiting, most).items():
            turns[name] += count
        messages = [
            _Message(max(now, at), name, at, count)
            for name, share in turns.items()
            for at, count in self.due[name].take(share)
        ]
        for name, share in turns.items():
            self._sent.append((now, name, share))
        self._queue.extend(sorted(messages))
        self.minutes.append(
            Minute(now, sum(waiting.values()), sum(turns.values()), self._depth, self._done, self._workers)
        )
        self._depth += sum(message.number for message in messages)
        self._done = 0.0

    def _fair(self, now: int, waiting: Mapping[str, float], depth: int) -> dict[str, int]:
        """The product's shares. It counts messages one by one, so it is told of some in place of all."""
        sent: Counter[str] = Counter()
        for _, name, count in self._sent:
            sent[name] += ceil(count)
        scale = max(1, sent.total() // _SAMPLE)
        queued = {_row(name, at): now for name, count in sent.items() for at in range(ceil(count / scale))}
        held = min(1.0, depth / max(1, sent.total()))
        pages = {name: self._pages(name, count + held * sent[name], scale) for name, count in waiting.items()}
        opened = {name: circuit for name, circuit in self._circuits.items() if circuit.is_open}
        limit = self._settings.queue_limit // scale
        shares = fair_shares(pages, opened, queued, limit=limit, depth=depth // scale, now=now)
        return {name: min(share * scale, self._ramp(name, now)) for name, share in shares.items()}

    def _spare(
        self,
        now: int,
        shares: Mapping[str, int],
        turns: Mapping[str, float],
        waiting: Mapping[str, float],
        most: float,
    ) -> dict[str, float]:
        """What some left of their shares goes to the others, but not where a circuit holds some back."""
        left = {
            name: waiting[name] - count for name, count in turns.items() if not self._held_back(name, now)
        }
        given_out = {name: int(count) for name, count in turns.items()}
        room = min(most - sum(turns.values()), unused(shares, given_out))
        return in_turn({name: ceil(count) for name, count in left.items()}, left, max(0.0, room))

    def _held_back(self, name: str, now: int) -> bool:
        """An open circuit, or one of which it is still remembered that it was closed."""
        circuit = self._circuits.get(name)
        closed_at = circuit.closed_at if circuit else 0
        return closed_at is None or (circuit is not None and now - closed_at < RAMP_SECONDS)

    def _pages(self, name: str, count: float, scale: int) -> list[DuePage]:
        """The first pages of a provider's shards, as one: its due rows, or that there are more of them."""
        if count > self._settings.shards * PAGE:
            return [DuePage((_row(name, 0),), {})]
        return [DuePage(tuple(_row(name, at) for at in range(ceil(count / scale))), None)]

    def _ramp(self, name: str, now: int) -> int:
        """What its circuit, closed lately, lets a provider have that is alone and has more due than that."""
        if name not in self._circuits:
            return self._settings.queue_limit
        pages, limit = {name: [DuePage((), {})]}, self._settings.queue_limit
        return fair_shares(pages, self._circuits, {_row(name, 0): now}, limit=limit, depth=0, now=now)[name]

    def _try(self, now: int, waiting: dict[str, float]) -> None:
        """Trials of open circuits; they end within a second or so."""
        for name, circuit in list(self._circuits.items()):
            if not circuit.is_open:
                continue
            if self._is_down(name, now):
                self.called_down += min(TRIALS, waiting[name])
            elif waiting[name] >= TRIALS:
                self._circuits[name] = circuit._replace(closed_at=now)
                self.circuits.append((now, "closed"))
                self._failed[name] = 0

    def _work(self, now: int) -> None:
        """One second of the workers: what they begin in it."""
        self._open(now)
        pace, slow = worker_pace(self._settings), self._slow()
        normal = batch_seconds(self._settings)
        each = pace * normal / (normal + slow * given.NO_ANSWER)
        room = self._workers * each
        begun = 0.0
        self.most_workers = max(self.most_workers, self._workers)
        while self._queue and self._queue[0].visible <= now and begun < room:
            message = self._queue.popleft()
            count = min(message.number, room - begun)
            if count < message.number:
                self._queue.appendleft(message._replace(number=message.number - count))
            begun += count
            self._end(message, count, now)
        self._depth = max(0.0, self._depth - begun)
        if begun >= room:
            self._workers = min(self._settings.workers, self._workers + given.MORE_BATCHES)
        else:
            self._workers = max(given.FIRST_BATCHES, min(self._settings.workers, begun / each + 1))

    def _open(self, now: int) -> None:
        for name in [name for name, at in self._opens.items() if at <= now]:
            del self._opens[name]
            self._circuits[name] = Circuit(name, _REASON, now)
            self.circuits.append((now, "opened"))

    def _slow(self) -> float:
        """How likely a batch holds one whose provider does not answer, and whose circuit is not open yet."""
        if self._outage is None or not self._queue:
            return 0.0
        name = self._outage.provider
        if not self._is_down(name, self._queue[0].visible) or self._is_open(name):
            return 0.0
        some = [message for message, _ in zip(self._queue, range(_FEW), strict=False)]
        part = sum(m.number for m in some if m.provider == name) / max(1e-6, sum(m.number for m in some))
        return 1.0 - (1.0 - float(part)) ** self._settings.batch

    def _end(self, message: _Message, count: float, now: int) -> None:
        name, due = message.provider, self.due[message.provider]
        if self._is_open(name):
            due.add(message.due, message.due, count)  # nobody was called: it is due as before
        elif self._is_down(name, now):
            first, last = (retry_at(now, 0, jitter) for jitter in (0.0, 1.0))
            due.add(first, last, count)
            self.called_down += count
            self._failed[name] += int(count + 0.5)
            if self._failed[name] >= FAILURES:
                # Known only when these calls have been given up.
                self._opens.setdefault(name, now + int(given.NO_ANSWER))
        else:
            when, late = spread(), now - message.due
            due.add(now + when.first, now + when.last, count)
            self._done += count
            self.overdue[name] = max(self.overdue[name], late)
            self.expired[name] += count * expired(late)

    def _is_down(self, name: str, now: int) -> bool:
        outage = self._outage
        return outage is not None and outage.provider == name and outage.begin <= now < outage.end

    def _is_open(self, name: str) -> bool:
        return name in self._circuits and self._circuits[name].is_open


@cache
def _row(name: str, number: int) -> DueRow:
    return DueRow(Key(str(number), name, "-"), 0)
