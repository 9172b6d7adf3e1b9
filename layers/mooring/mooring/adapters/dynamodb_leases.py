"""Leases: the right to one token call, and the fenced writes that follow it (see `transitions`)."""

from typing import TYPE_CHECKING

from mooring.adapters import transitions
from mooring.adapters.expressions import Update
from mooring.adapters.items import Item, number, number_or_none, text_or_none, texts
from mooring.adapters.patience import Patience
from mooring.adapters.rows import Written, connection, sealed_field, status, write
from mooring.core.connection import Connection, Status
from mooring.core.errors import Reason
from mooring.core.upkeep import (
    DOUBT_SECONDS,
    READ_SECONDS,
    REPORT_SECONDS,
    Cause,
    Hindrance,
    Leased,
    Order,
    Refreshed,
    Refused,
    Seen,
    Setback,
    Storing,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoLeases:
    """Leases in DynamoDB: each method is one conditional update and no read.

    What may pass is tried again for three seconds; every method finds its own mark where only its answer
    was lost. Every method raises `Failure`: STORAGE_UNAVAILABLE, and INTERNAL for a row that cannot be
    understood.

    Args:
        client: a DynamoDB client that does not try again by itself.
        table: name of the connections table.
        patience: how to try again.
    """

    def __init__(self, client: "DynamoDBClient", table: str, patience: Patience | None = None) -> None:
        self._client = client
        self._table = table
        self._patience = patience or Patience()

    def lease(self, order: Order, attempt_id: str, now: int, *, rotates: bool) -> Leased | Refused:
        """Take the right to one token call and note the attempt (`now` in epoch seconds)."""
        found = self._write(transitions.leased(self._table, order, attempt_id, now, rotates=rotates))
        if found.done:
            earlier = _attempts(found.row) if rotates else ()
            unheard = bool(earlier) and "attempt_at" in found.row
            return _leased(order, attempt_id, found.row, (*earlier, attempt_id), unheard=unheard)
        if text_or_none(found.row, "lease_owner") == attempt_id:
            attempts = _attempts(found.row)
            # The row as it was before is not to be had any more: better heard twice than never.
            return _leased(order, attempt_id, found.row, attempts, unheard=len(attempts) > 1)
        if not found.row:
            return Refused(Hindrance.NOT_FOUND)
        standing = connection(found.row)
        why, until = _hindrance(order, standing, found.row, now, rotates=rotates)
        return Refused(why, standing, until)

    def store(self, refreshed: Refreshed, now: int) -> Storing:
        """Write new tokens as their lease's owner."""
        found = self._write(transitions.refreshed(self._table, refreshed, now))
        if found.done or _written(found.row, refreshed):
            return Storing.STORED
        if not _as_seen(found.row, refreshed):
            return _superseded(found.row, refreshed)
        wanted = status(found.row) is Status.ACTIVE or _given_up_in_doubt(found.row, refreshed)
        return Storing.LATER if wanted else Storing.OBSOLETE

    def recover(self, refreshed: Refreshed, now: int) -> Storing:
        """Write tokens that came by the recovery queue."""
        found = self._write(transitions.recovered(self._table, refreshed, now, last=0))
        attempts = _attempts(found.row)
        if not found.done and len(attempts) > 1:
            last = len(attempts) - 1 if attempts[-1] == refreshed.attempt_id else None
            found = self._write(transitions.recovered(self._table, refreshed, now, last))
        if found.done or _written(found.row, refreshed):
            return Storing.STORED
        if not _as_seen(found.row, refreshed):
            return _superseded(found.row, refreshed)
        wanted = refreshed.attempt_id in _attempts(found.row) and _leased_until(found.row) > now
        return Storing.LATER if wanted else Storing.OBSOLETE

    def put_off(self, leased: Leased, setback: Setback, now: int) -> None:
        """Release the lease after a failed call. Whoever leases it meanwhile goes on undisturbed."""
        self._write(transitions.put_off(self._table, leased, setback, now))

    def lose(self, leased: Leased, reason: Reason, now: int) -> bool:
        """Mark it `needs_reconnect`, unless it is not what was leased any more."""
        return self._write(transitions.lost(self._table, leased, reason, now)).done

    def _write(self, update: Update) -> Written:
        return self._patience.until_done(lambda: write(self._client, update))


def _superseded(row: Item, refreshed: Refreshed) -> Storing:
    """What stands in its place: newer tokens of the same generation, or another generation, or nothing."""
    newer = bool(row) and number(row, "generation") == refreshed.seen.generation
    return Storing.SUPERSEDED if newer and status(row) is Status.ACTIVE else Storing.OBSOLETE


def _given_up_in_doubt(row: Item, refreshed: Refreshed) -> bool:
    """Whether the merchant is asked to come back only because this very answer was missing."""
    lost = text_or_none(row, "last_error") == Reason.LOST_ROTATION.value
    noted = refreshed.attempt_id in _attempts(row)
    return lost and noted and status(row) is Status.NEEDS_RECONNECT


def _leased(order: Order, attempt_id: str, row: Item, attempts: tuple[str, ...], *, unheard: bool) -> Leased:
    return Leased(
        key=order.key,
        attempt_id=attempt_id,
        connection=connection(row),
        access=sealed_field(row, "access"),
        refresh=sealed_field(row, "refresh"),
        attempts=attempts,
        failures=number_or_none(row, "failures") or 0,
        refresh_expires_at=number_or_none(row, "refresh_expires_at"),
        unheard=unheard,
        previous=sealed_field(row, "previous_refresh") if "previous_refresh" in row else None,
        previous_until=number_or_none(row, "previous_until") or 0,
    )


def _hindrance(
    order: Order, standing: Connection, row: Item, now: int, *, rotates: bool
) -> tuple[Hindrance, int]:
    """Which part of the lease's condition the row does not meet, and until when."""
    if standing.status is not Status.ACTIVE:
        return Hindrance.NOT_ACTIVE, 0
    if order.seen not in (None, Seen(standing.generation, standing.version)):
        return Hindrance.SUPERSEDED, 0
    if "refresh" not in row:
        return Hindrance.NOT_REFRESHABLE, 0
    if _leased_until(row) > now:
        return Hindrance.LEASED, _leased_until(row)
    attempt_at = number_or_none(row, "attempt_at")
    if rotates and attempt_at is not None and attempt_at > now - DOUBT_SECONDS:
        return Hindrance.IN_DOUBT, attempt_at + DOUBT_SECONDS
    retry_at = number_or_none(row, "retry_at") or 0
    if order.cause is Cause.READ:
        retry_at = max(retry_at, (standing.issued_at or 0) + READ_SECONDS)
    if retry_at > now:
        return Hindrance.PUT_OFF, retry_at
    if order.cause is Cause.UNAUTHORIZED:
        return Hindrance.TOO_SOON, (standing.issued_at or 0) + REPORT_SECONDS
    return Hindrance.TOO_SOON, number_or_none(row, "due_at") or 0


def _written(row: Item, refreshed: Refreshed) -> bool:
    return text_or_none(row, "written_by") == refreshed.attempt_id


def _as_seen(row: Item, refreshed: Refreshed) -> bool:
    return bool(row) and Seen(number(row, "generation"), number(row, "version")) == refreshed.seen


def _leased_until(row: Item) -> int:
    return number_or_none(row, "lease_until") or 0


def _attempts(row: Item) -> tuple[str, ...]:
    return texts(row, "attempts") if "attempts" in row else ()
