"""How much of the queue each provider may have, so that none keeps the others waiting."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from sys import maxsize

from mooring.core.upkeep import Circuit, DuePage, DueRow

MINUTE = 60
RAMP_FIRST = 100
"""So many connections of a provider go out in the first minute after its circuit closed."""


def fair_shares(
    pages: Mapping[str, Sequence[DuePage]],
    circuits: Mapping[str, Circuit],
    queued: Mapping[DueRow, int],
    *,
    limit: int,
    depth: int,
    now: int,
) -> dict[str, int]:
    """How many rows of each provider with something due may go out now.

    The limit is divided evenly; what one does not need goes to the others. One part stays free while
    there is a provider that has nothing due, because what falls due there next must not find the queue
    full of another's. A provider whose circuit was closed lately is not met by all that waited at
    once: its share begins with `RAMP_FIRST` and doubles each minute.

    Args:
        pages: the first page of each shard, by provider.
        circuits: those that are known; with an open one a provider has no share.
        queued: what was queued by earlier sweeps, and may wait still.
        limit: how many messages the workers drain in two minutes.
        depth: about how many messages wait.
        now: epoch seconds.
    """
    sent = Counter(row.key.provider for row in queued)
    limit -= max(0, depth - sent.total())  # what others queued, or waits for longer than is remembered
    # What was queued may have been worked off since: how much of it tells the queue's depth.
    waiting = min(1.0, depth / max(1, sent.total()))
    held = {name: int(sent[name] * waiting) for name in pages}
    closed = [name for name in pages if name not in circuits or not circuits[name].is_open]
    busy = [name for name in closed if sent[name] or any(page.rows for page in pages[name])]
    divided = _divided({name: held[name] + _due(pages[name]) for name in busy}, limit, len(pages) > len(busy))
    return {name: min(share - held[name], _ramp(circuits.get(name), now)) for name, share in divided.items()}


def unused(shares: Mapping[str, int], taken: Mapping[str, int]) -> int:
    """How many rows may go out besides, because some providers had fewer due than their shares."""
    return sum(max(0, share) for share in shares.values()) - sum(taken.values())


def _due(pages: Sequence[DuePage]) -> float:
    """How many rows are due; of more than the first pages show, nobody knows."""
    return inf if any(page.next is not None for page in pages) else sum(len(page.rows) for page in pages)


def _divided(wanted: Mapping[str, float], limit: int, idle: bool) -> dict[str, int]:
    """Who wants least is served first, so that what it leaves is known when the next one is."""
    left, shares = limit, {}
    parts = len(wanted) + idle
    for name in sorted(wanted, key=lambda name: wanted[name]):
        even = max(1, left // parts)
        shares[name] = even if wanted[name] > even else int(wanted[name])
        left, parts = max(0, left - shares[name]), parts - 1
    return shares


def _ramp(circuit: Circuit | None, now: int) -> int:
    if circuit is None or circuit.closed_at is None:
        return maxsize
    return RAMP_FIRST << (max(0, now - circuit.closed_at) // MINUTE)
