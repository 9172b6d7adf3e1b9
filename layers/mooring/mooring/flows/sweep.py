"""Find what is due and queue it: never more than the workers drain in two minutes, in fair shares.

Reads the sparse index `due` alone, so the work grows with the connections that are due and not with
those that are stored. What falls due before the next firing is queued with a delay.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, zip_longest
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.schedule import shards
from mooring.core.upkeep import Cause, Delayed, DuePage, DueRow, Key, Order, Standing
from mooring.core.upkeep_ports import Circuits, Depth, DueIndex, OpenFlows, WorkQueue
from mooring.flows.shares import fair_shares, unused

FIRING_SECONDS = 60
MARGIN_SECONDS = 5
PAGE, BATCH, TRIALS = 200, 100, 3
QUEUED_SECONDS = 150
"""A message that was queued longer ago was lost or dropped: its connection is queued again."""
STRANDED_SECONDS = (600, 900)
"""When a flow counts as stranded: nobody can finish it any more, and each is seen by several sweeps."""
_READERS = 8
_REFUSED = Reason.PROVIDER_MISCONFIGURED.value


class SweepPorts(NamedTuple):
    """What `sweep` needs. `queued` remembers between firings what was queued when; it may be empty."""

    due: DueIndex
    flows: OpenFlows
    circuits: Circuits
    work: WorkQueue
    queued: dict[DueRow, int]
    clock: Callable[[], float]


class Swept(NamedTuple):
    """What one sweep did.

    `overdue_seconds` is for how long the most belated connection has been due, or its refreshes have been
    failing; `overdue` tells it by provider. `queue_depth` is all that the queue held before, delayed or not.
    `stranded_flows` began ten to fifteen minutes ago and never ended: a callback died, or a merchant did not
    come back for a token set that is kept. Of the providers with `open_circuits`, `refusing` names those that
    refuse us as a client.
    """

    enqueued: int
    overdue_seconds: int
    overdue: Mapping[str, int]
    queue_depth: int
    stranded_flows: int
    open_circuits: tuple[str, ...]
    refusing: tuple[str, ...] = ()


def sweep(providers: Sequence[str], limit: int, ports: SweepPorts, left: Callable[[], float]) -> Swept:
    """Queue the connections that fall due before the next firing.

    Args:
        providers: ids of the enabled providers.
        limit: how many messages the workers drain in two minutes.
        ports: the outside world.
        left: tells the seconds until Lambda ends us.

    Raises:
        Failure: STORAGE_UNAVAILABLE when a part could not be read or queued, INTERNAL for a row that cannot
            be understood; all the rest was queued.
    """
    now, failed = int(ports.clock()), list[Failure]()
    pages = _Pages(ports.due, now + FIRING_SECONDS, failed)
    depth = ports.work.depth()
    waiting = _waiting(depth, ports.queued, now)
    circuits = ports.circuits.known(providers)
    opened = {name: circuit for name, circuit in circuits.items() if circuit.is_open}
    _forget(ports.queued, now, waiting)
    firsts = pages.firsts(providers)
    overdue = {provider: _belated(found, now) for provider, found in firsts.items()}
    shares = fair_shares(firsts, circuits, ports.queued, limit=limit, depth=waiting, now=now)
    trials = [firsts[name] for name, circuit in opened.items() if circuit.not_before <= now]
    streams = {name: pages.stream(name, firsts[name], ports.queued) for name in shares}
    rows = chain(_trials(trials, now, ports.queued), _rows(streams, shares, set(circuits)))
    enqueued = 0
    for batch in _batches(islice(rows, max(0, limit - waiting))):
        if left() < MARGIN_SECONDS:
            break
        try:
            found = ports.due.standing([row.key for row in batch])
            failed += [each for each in found.values() if isinstance(each, Failure)]
            standings = {key: each for key, each in found.items() if isinstance(each, Standing)}
            enqueued += _queue(batch, standings, now, opened, ports)
        except Failure as failure:
            failed.append(failure)
        else:
            _add_failing(standings, overdue, now)
    if failed:
        raise Failure(failed[0].reason, f"{failed[0].detail}: {len(failed)} parts failed, {enqueued} queued")
    # Last: counting must not keep anything from being refreshed.
    stranded = ports.flows.stranded(now - STRANDED_SECONDS[1], now - STRANDED_SECONDS[0])
    refusing = tuple(name for name, circuit in opened.items() if circuit.reason == _REFUSED)
    late = {provider: max(0, seconds) for provider, seconds in overdue.items()}
    return Swept(
        enqueued, max(late.values(), default=0), late, sum(depth), stranded, tuple(sorted(opened)), refusing
    )


def _belated(pages: Sequence[DuePage], now: int) -> int:
    return max((now - page.rows[0].due_at for page in pages if page.rows), default=0)


def _add_failing(standings: Mapping[Key, Standing], overdue: dict[str, int], now: int) -> None:
    """A failed refresh moves `due_at`; how belated it is shows since when it has been failing."""
    for key, standing in standings.items():
        since = now if standing.failing_since is None else standing.failing_since
        overdue[key.provider] = max(overdue[key.provider], now - since)


def _waiting(depth: Depth, queued: Mapping[DueRow, int], now: int) -> int:
    """How many messages take room.

    Of the delayed ones no more than the last sweep delayed itself: any others take no worker's time yet, and
    whoever forges uninstall notices can leave as many as they like.
    """
    ours = sum(row.due_at > max(at, now - FIRING_SECONDS) for row, at in queued.items())
    return depth.ready + min(depth.delayed, ours)


def _forget(queued: dict[DueRow, int], now: int, waiting: int) -> None:
    """Forget what is no longer on its way: that nothing waits means that everything was taken."""
    for row, at in list(queued.items()):
        if waiting == 0 or now - at > QUEUED_SECONDS:
            del queued[row]


class _Pages:
    """Pages of the index; one that cannot be read counts as empty, so that the other shards are served."""

    def __init__(self, due: DueIndex, until: int, failed: list[Failure]) -> None:
        self._due = due
        self._until = until
        self._failed = failed

    def firsts(self, providers: Sequence[str]) -> dict[str, list[DuePage]]:
        """The first page of each shard, by provider."""
        with ThreadPoolExecutor(_READERS) as pool:
            asked = {name: pool.map(self._page, shards(name)) for name in providers}
        return {name: list(found) for name, found in asked.items()}

    def stream(self, name: str, firsts: Sequence[DuePage], queued: Collection[DueRow]) -> Iterator[DueRow]:
        """A provider's due rows that are not under way, the oldest first."""
        several = [self._rows(shard, page) for shard, page in zip(shards(name), firsts, strict=True)]
        oldest = heapq.merge(*several, key=lambda row: row.due_at)
        return (row for row in oldest if row not in queued)

    def _rows(self, shard: str, page: DuePage) -> Iterator[DueRow]:
        yield from page.rows
        while page.next is not None:
            page = self._page(shard, page.next)
            yield from page.rows

    def _page(self, shard: str, start: Mapping[str, object] | None = None) -> DuePage:
        try:
            return self._due.due(shard, self._until, PAGE, start)
        except Failure as failure:
            self._failed.append(failure)
            return DuePage((), None)


def _rows(
    streams: Mapping[str, Iterator[DueRow]], shares: Mapping[str, int], held_back: Collection[str]
) -> Iterator[DueRow]:
    """Rows to queue: each provider's share, in turns, and then what some left unused to the others.

    None has more than its fair share while another has use for it, so that one that answers slowly or not
    at all, whose connections are due again and again, does not keep the others waiting.
    """
    taken: Counter[str] = Counter()
    for row in _in_turn([islice(streams[name], max(0, share)) for name, share in shares.items()]):
        taken[row.key.provider] += 1
        yield row
    others = [stream for name, stream in streams.items() if name not in held_back]
    yield from islice(_in_turn(others), unused(shares, taken))


def _in_turn(turns: Sequence[Iterator[DueRow]]) -> Iterator[DueRow]:
    for several in zip_longest(*turns):
        yield from (row for row in several if row is not None)


def _trials(providers: Sequence[Sequence[DuePage]], now: int, queued: Collection[DueRow]) -> Iterator[DueRow]:
    """From different shards, and each minute from others, so that no odd connection keeps a circuit open."""
    for pages in providers:
        heads = (next((row for row in page.rows if row not in queued), None) for page in pages)
        found = [row for row in heads if row is not None]
        turn = now // FIRING_SECONDS * TRIALS % max(1, len(found))
        yield from (found[turn:] + found[:turn])[:TRIALS]


def _batches(rows: Iterator[DueRow]) -> Iterator[list[DueRow]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _queue(
    batch: Sequence[DueRow],
    found: Mapping[Key, Standing],
    now: int,
    opened: Mapping[str, object],
    ports: SweepPorts,
) -> int:
    active = [row for row in batch if row.key in found]
    work = [
        Delayed(
            Order(row.key, found[row.key].seen, Cause.DUE, trial=row.key.provider in opened),
            max(0, min(row.due_at - now, FIRING_SECONDS)),
        )
        for row in active
    ]
    if work:
        ports.work.put(work)
        ports.queued.update(dict.fromkeys(active, now))
    return len(work)
