"""Telling the product what became of a connection: which changes of a row are events, and what they say.

A change that may have to be told writes its word into the row's attribute `announce`; what the row was
before decides the rest. The same change always makes the same events, with the same ids.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from mooring.core.connection import Connection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField

SOURCE = "mooring"
"""Who puts the events."""
_ID_DIGITS = 32


class Announce(StrEnum):
    """What a change may have to tell, as the row says."""

    ESTABLISHED = "established"
    NEEDS_RECONNECT = "needs_reconnect"
    RECOVERED = "recovered"
    UNINSTALLED = "uninstalled"
    DISCONNECTED = "disconnected"
    EXPIRING = "expiring"


DETAIL_TYPES: Mapping[Announce, str] = {
    word: f"Connection {word.value.replace('_', ' ').title()}" for word in Announce
}
"""The type of event that each word becomes."""
_HAVE_REASONS = frozenset({Announce.NEEDS_RECONNECT, Announce.UNINSTALLED})


class Change(NamedTuple):
    """A change of a connection's row; `before` is None where there was none.

    `access` and `refresh` are the sealed tokens that the row held before.
    """

    announce: Announce
    before: Connection | None
    after: Connection
    access: SealedField | None = None
    refresh: SealedField | None = None

    @property
    def cut_off(self) -> bool:
        """Whether we ended it, while its provider still takes the tokens that the row held."""
        return self.announce is Announce.DISCONNECTED and self.access is not None

    @property
    def lost(self) -> bool:
        """Whether a grant was lost with a token that never reached us; whoever found out may have died."""
        return (
            self.announce is Announce.NEEDS_RECONNECT and self.after.last_error == Reason.LOST_ROTATION.value
        )


class Event(NamedTuple):
    """One event. `time` is epoch seconds; what `detail` holds is told in docs/events."""

    event_id: str
    detail_type: str
    time: int
    detail: Mapping[str, str | int | None]


class Bus(Protocol):
    """The event bus."""

    def put(self, events: Sequence[Event]) -> Sequence[Failure | None]:
        """Put events; for each of them None, or why it could not be put.

        BUS_UNAVAILABLE may pass. EVENT_REFUSED will not: the bus never takes this event.
        """
        ...


class Undelivered(Protocol):
    """Where a change goes that cannot be told: whole, so that it can be told later."""

    def keep(self, record: Mapping[str, object]) -> None:
        """Keep a record of the stream; twice the same is once. Raises `Failure(STORAGE_UNAVAILABLE)`."""
        ...


def events_of(change: Change) -> tuple[Event, ...]:
    """What a change tells, in order: one event nearly always, none when it is no news, two at most."""
    return tuple(_event(word, change.after) for word in _told(change))


def _told(change: Change) -> Iterator[Announce]:
    """Two words depend on what was before, which who writes a row cannot know."""
    before, after = change.before, change.after
    if change.announce not in (Announce.RECOVERED, Announce.EXPIRING):
        yield change.announce
        return
    if change.announce is Announce.RECOVERED and (before is None or before.status is not Status.ACTIVE):
        yield Announce.RECOVERED
    if after.expiring_at is not None and (before is None or before.expiring_at is None):
        yield Announce.EXPIRING


def _event(word: Announce, after: Connection) -> Event:
    detail: dict[str, str | int | None] = {
        "merchant_id": after.merchant_id,
        "provider": after.provider,
        "account_id": after.account_id,
        "generation": after.generation,
        "version": after.version,
        "status": after.status.value,
        "reason": after.last_error if word in _HAVE_REASONS else None,
        "time": after.updated_at,
    }
    if word is Announce.EXPIRING:
        detail["expiring_at"] = after.expiring_at
    event_id = _id(word, after)
    return Event(event_id, DETAIL_TYPES[word], after.updated_at, {"id": event_id, **detail})


def _id(word: Announce, after: Connection) -> str:
    """What makes it this event and no other; no part can hold the separator."""
    names = (word.value, after.merchant_id, after.provider, after.account_id)
    numbers = (after.generation, after.version, after.updated_at)
    whole = "/".join((*names, *map(str, numbers)))
    return hashlib.sha256(whole.encode()).hexdigest()[:_ID_DIGITS]
