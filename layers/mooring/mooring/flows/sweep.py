"""Find what is due and queue it: never more than the workers drain in two minutes, in fair shares.

Reads the sparse index `due` alone, so the work grows with the connections that are due and not with
those that are stored. What falls due before the next firing is queued with a delay.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, zip_longest
from typing import NamedTuple

from mooring.core.schedule import shards
from mooring.core.upkeep import Cause, Delayed, DuePage, DueRow, Key, Order, Standing
from mooring.core.upkeep_ports import Circuits, DueIndex, OpenFlows, WorkQueue

FIRING_SECONDS = 60
MARGIN_SECONDS = 5
PAGE, BATCH, TRIALS = 200, 100, 3
QUEUED_SECONDS = 150
"""A message that was queued longer ago was lost or dropped: its connection is queued again."""
STRANDED_SECONDS = (600, 900)
"""When a flow counts as stranded: nobody can finish it any more, and each is seen by several sweeps."""
_READERS = 8


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
    failing; `overdue` tells it by provider. `stranded_flows` began ten to fifteen minutes ago and never
    ended: a callback died, or a merchant did not come back for a token set that is kept.
    """

    enqueued: int
    overdue_seconds: int
    overdue: Mapping[str, int]
    queue_depth: int
    stranded_flows: int
    open_circuits: tuple[str, ...]


def sweep(providers: Sequence[str], limit: int, ports: SweepPorts, left: Callable[[], float]) -> Swept:
    """Queue the connections that fall due before the next firing.

    Args:
        providers: ids of the enabled providers.
        limit: how many messages the workers drain in two minutes.
        ports: the outside world.
        left: tells the seconds until Lambda ends us.

    Raises:
        Failure: STORAGE_UNAVAILABLE; what is queued by then stays queued.
    """
    now = int(ports.clock())
    depth = ports.work.depth()
    opened = ports.circuits.opened(providers)
    _forget(ports.queued, now, depth)
    with ThreadPoolExecutor(_READERS) as pool:
        firsts = _first_pages(providers, now + FIRING_SECONDS, ports, pool)
    overdue = {
        provider: max((now - page.rows[0].due_at for page in pages if page.rows), default=0)
        for provider, pages in _by_provider(firsts).items()
    }
    shares = _shares(firsts, opened, limit, depth, ports.queued)
    rows = _rows(firsts, opened, shares, now + FIRING_SECONDS, ports)
    enqueued = 0
    for batch in _batches(islice(rows, max(0, limit - depth))):
        if left() < MARGIN_SECONDS:
            break
        found = ports.due.standing([row.key for row in batch])
        enqueued += _queue(batch, found, now, opened, ports)
        for key, standing in found.items():
            # A failed refresh moves `due_at`; how belated it is shows since when it has been failing.
            since = now if standing.failing_since is None else standing.failing_since
            overdue[key.provider] = max(overdue[key.provider], now - since)
    # Last: counting must not keep anything from being refreshed.
    stranded = ports.flows.stranded(now - STRANDED_SECONDS[1], now - STRANDED_SECONDS[0])
    late = {provider: max(0, seconds) for provider, seconds in overdue.items()}
    return Swept(enqueued, max(late.values(), default=0), late, depth, stranded, tuple(sorted(opened)))


def _forget(queued: dict[DueRow, int], now: int, depth: int) -> None:
    """Forget what is no longer on its way: an empty queue means that everything was taken."""
    for row, at in list(queued.items()):
        if depth == 0 or now - at > QUEUED_SECONDS:
            del queued[row]


def _first_pages(
    providers: Sequence[str], until: int, ports: SweepPorts, pool: ThreadPoolExecutor
) -> dict[str, DuePage]:
    names = [shard for provider in providers for shard in shards(provider)]
    return dict(zip(names, pool.map(lambda shard: ports.due.due(shard, until, PAGE), names), strict=True))


def _by_provider(pages: Mapping[str, DuePage]) -> dict[str, list[DuePage]]:
    found: dict[str, list[DuePage]] = {}
    for shard, page in pages.items():
        found.setdefault(shard.partition("#")[0], []).append(page)
    return found


def _shares(
    firsts: Mapping[str, DuePage],
    opened: Mapping[str, object],
    limit: int,
    depth: int,
    queued: Mapping[DueRow, int],
) -> dict[str, int]:
    """How many rows of each provider may go out: its fair share of the limit, less what waits of it.

    What was queued may have been worked off since: how much of it tells the queue's depth.
    """
    sent = Counter(row.key.provider for row in queued)
    waiting = min(1.0, depth / max(1, sent.total()))
    pages = _by_provider(firsts)
    busy = [name for name, found in pages.items() if sent[name] or any(page.rows for page in found)]
    busy = [name for name in busy if name not in opened]
    return {name: max(1, limit // len(busy)) - int(sent[name] * waiting) for name in busy}


def _rows(
    firsts: Mapping[str, DuePage],
    opened: Mapping[str, object],
    shares: Mapping[str, int],
    until: int,
    ports: SweepPorts,
) -> Iterator[DueRow]:
    """Due rows that are not under way: of each provider the oldest first, and providers take turns.

    None has more than its fair share of the limit under way, so that one that answers slowly or not at
    all, whose connections are due again and again, does not keep the others waiting. Of one with an
    open circuit only a few go out, as trials.
    """
    yield from (row for row in _trials(firsts, opened) if row not in ports.queued)
    turns = []
    for name, share in shares.items():
        streams = [_stream(shard, firsts[shard], until, ports) for shard in shards(name)]
        oldest = heapq.merge(*streams, key=lambda row: row.due_at)
        fresh = (row for row in oldest if row not in ports.queued)
        turns.append(islice(fresh, max(0, share)))
    yield from _in_turn(turns)


def _in_turn(turns: Sequence[Iterator[DueRow]]) -> Iterator[DueRow]:
    for several in zip_longest(*turns):
        yield from (row for row in several if row is not None)


def _stream(shard: str, page: DuePage, until: int, ports: SweepPorts) -> Iterator[DueRow]:
    while True:
        yield from page.rows
        if page.next is None:
            return
        page = ports.due.due(shard, until, PAGE, page.next)


def _trials(firsts: Mapping[str, DuePage], opened: Mapping[str, object]) -> Iterator[DueRow]:
    """From different shards, so that one odd connection does not keep a circuit open."""
    for provider in opened:
        pages = _by_provider(firsts).get(provider, [])
        yield from sorted((page.rows[0] for page in pages if page.rows), key=lambda row: -row.due_at)[:TRIALS]


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
