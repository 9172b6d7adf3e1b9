"""Announce what became of connections: events on the bus, and revocations of what was cut off.

Both are done at least once: whoever calls again with the same changes puts the same events, with the same
ids, and asks for the same revocations.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mooring.core.announcement import Bus, Change, Event, events_of
from mooring.core.errors import Failure
from mooring.core.revocation import Revocation, Revocations
from mooring.core.upkeep import Key


class AnnouncePorts(NamedTuple):
    """What `announce` needs."""

    bus: Bus
    revocations: Revocations


class Announced(NamedTuple):
    """What became of one change: the types of its events, and why not all was done, or None."""

    detail_types: tuple[str, ...]
    failure: Failure | None = None


def announce(changes: Sequence[Change], ports: AnnouncePorts) -> list[Announced]:
    """Tell every change; what one of them meets touches no other.

    Args:
        changes: in the order in which they happened.
        ports: the outside world.

    Returns:
        One answer for each, in the same order: `failure` is STORAGE_UNAVAILABLE or BUS_UNAVAILABLE, which
        may pass, or EVENT_REFUSED.
    """
    asked = [_revoke(change, ports.revocations) for change in changes]
    events = [events_of(change) for change in changes]
    answers = iter(ports.bus.put([event for own in events for event in own]))
    return [
        _told(own, [failure, *(next(answers) for _ in own)])
        for failure, own in zip(asked, events, strict=True)
    ]


def _told(events: Sequence[Event], answers: Sequence[Failure | None]) -> Announced:
    failure = next((answer for answer in answers if answer is not None), None)
    return Announced(tuple(event.detail_type for event in events), failure)


def _revoke(change: Change, revocations: Revocations) -> Failure | None:
    """Have the tokens revoked that the row held until we ended it; only the row before still has them."""
    if change.before is None or change.access is None or not change.cut_off:
        return None
    row = change.before
    key = Key(row.merchant_id, row.provider, row.account_id)
    details = tuple(row.details.items())
    try:
        revocations.ask(Revocation(key, row.generation, change.access, change.refresh, details))
    except Failure as failure:
        return failure
    return None
