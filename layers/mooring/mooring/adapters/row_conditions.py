"""What the changes of a connection's row have in common: its key, its conditions, its place in the index."""

from collections.abc import Mapping
from typing import Any

from mooring.adapters.expressions import Update
from mooring.adapters.items import attributes
from mooring.core.announcement import Announce
from mooring.core.connection import Status
from mooring.core.names import connection_key
from mooring.core.schedule import due_shard
from mooring.core.upkeep import Key, Seen

LEASE = ("lease_owner", "lease_until")
ATTEMPTS = ("attempts", "attempt_at")
UNDER_WAY = (*LEASE, *ATTEMPTS, "retry_at", "failures", "failing_since")
PREVIOUS = ("previous_refresh", "previous_refresh_key", "previous_until")
DUE = ("due_shard", "due_at")


def row_key(merchant_id: str, connection: str) -> Mapping[str, str]:
    """The key of a row of the connections table."""
    return {"merchant_id": merchant_id, "connection": connection}


def item_key(key: Key) -> dict[str, Any]:
    """The key of a connection's row, as DynamoDB's calls take it."""
    return attributes(dict(row_key(key.merchant_id, connection_key(key.provider, key.account_id))))


def connection_row(table: str, key: Key, announce: Announce | None = None) -> Update:
    """An update of a connection's row that changes nothing yet.

    `announce` is what it may have to tell. With None it takes off what the write before had to tell: the
    stream still has that, and would tell it again with every write.
    """
    update = Update(table, row_key(key.merchant_id, connection_key(key.provider, key.account_id)))
    return update.set("announce", announce and announce.value)


def fall_due(update: Update, key: Key, due_at: int | None) -> Update:
    """Put the row into the index `due` at `due_at` (epoch seconds), or take it out."""
    shard = None if due_at is None else due_shard(key.provider, key.merchant_id, key.account_id)
    return update.set("due_shard", shard).set("due_at", due_at)


def while_active(update: Update, seen: Seen | None) -> Update:
    """Only while it is active and, where somebody speaks of one, of this generation and version."""
    update.when("#status = :active", ("status",), {"active": Status.ACTIVE.value})
    return update if seen is None else while_seen(update, seen)


def while_seen(update: Update, seen: Seen) -> Update:
    """Only while it is of this generation and version."""
    values = {"seen_generation": seen.generation, "seen_version": seen.version}
    return update.when(
        "#generation = :seen_generation AND #version = :seen_version", ("generation", "version"), values
    )


def or_again(condition: str, *marks: str) -> str:
    """`condition`, or that this very update was made before and only its answer was lost.

    The update's own status, time and `marks` tell.
    """
    made = " AND ".join(f"#{name} = :{name}" for name in ("status", "updated_at", *marks))
    return f"({condition}) OR ({made})"


def give_up(update: Update, reason: str, now: int) -> Update:
    """The merchant has to come back; what is sealed stays."""
    update.set("status", Status.NEEDS_RECONNECT.value).set("last_error", reason).set("updated_at", now)
    return update.remove(*DUE, *LEASE, "retry_at", "failures", "failing_since", "expiring_at")
