"""Leases in memory, on the rows of the connections fake."""

from mooring.core.connection import ReadableConnection, Status
from mooring.core.errors import Reason
from mooring.core.tokens import SealedField
from mooring.core.upkeep import (
    DOUBT_SECONDS,
    LEASE_SECONDS,
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
from tests.fakes.connections import FakeConnections, Upkeep
from tests.fakes.faults import Fallible

EARLY = 5
KEPT_ATTEMPTS = 20
UNREADABLE = SealedField(b"", b"")


class FakeLeases(Fallible):
    """The leases port."""

    def __init__(self, connections: FakeConnections, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.connections = connections

    def lease(self, order: Order, attempt_id: str, now: int, *, rotates: bool) -> Leased | Refused:
        """Lease a row, or tell why not."""
        self.called("lease")
        with self.connections.lock:
            row = self.connections.row(order.key)
            if row is None:
                return Refused(Hindrance.NOT_FOUND)
            rest = self.connections.rest(order.key)
            if rest.lease_owner == attempt_id:
                unheard = len(rest.attempts) > 1  # as it was before is not known to who asks again
            else:
                hindered = self._hindered(order, row, rest, now, rotates)
                if hindered is not None:
                    return Refused(hindered[0], row.connection, hindered[1])
                earlier = rest.attempts if rotates else ()
                unheard = bool(earlier) and rest.attempt_at is not None
                rest.attempts = (*earlier, attempt_id)
                rest.attempt_at = now
                rest.lease_owner, rest.lease_until = attempt_id, now + LEASE_SECONDS
            return Leased(
                order.key,
                attempt_id,
                row.connection,
                row.access or UNREADABLE,
                rest.refresh or UNREADABLE,
                rest.attempts,
                rest.failures,
                rest.refresh_expires_at,
                unheard,
                rest.previous_refresh,
                rest.previous_until or 0,
            )

    def store(self, refreshed: Refreshed, now: int) -> Storing:
        """Write new tokens as the lease's owner."""
        self.called("store")
        with self.connections.lock:
            rest = self.connections.rest(refreshed.key)
            if rest.written_by == refreshed.attempt_id:
                return Storing.STORED
            if not self.connections.is_as(refreshed.key, refreshed.seen):
                return Storing.LATER if self._given_up(refreshed, rest) else self._superseded(refreshed)
            if rest.lease_owner != refreshed.attempt_id:
                return Storing.LATER
            self._write(refreshed, rest, now)
            return Storing.STORED

    def recover(self, refreshed: Refreshed, now: int) -> Storing:
        """Write tokens whose attempt is still in doubt."""
        self.called("recover")
        with self.connections.lock:
            rest = self.connections.rest(refreshed.key)
            if rest.written_by == refreshed.attempt_id:
                return Storing.STORED
            if not self._recoverable(refreshed, rest):
                return self._superseded(refreshed)
            if (rest.lease_until or 0) > now and rest.lease_owner != refreshed.attempt_id:
                return Storing.LATER
            newer = rest.attempts[-1:] != (refreshed.attempt_id,)
            notes = (rest.attempts, rest.attempt_at) if newer else ((), None)
            self._write(refreshed, rest, now)
            rest.attempts, rest.attempt_at = notes
            return Storing.STORED

    def put_off(self, leased: Leased, setback: Setback, now: int) -> None:
        """Give the lease back; an attempt that may have been answered stays noted."""
        self.called("put_off")
        with self.connections.lock:
            rest = self.connections.rest(leased.key)
            if not self._mine(leased, rest):
                return
            noted = leased.attempts if setback.in_doubt else leased.attempts[:-1]
            rest.release()
            rest.attempts = noted[-KEPT_ATTEMPTS:]
            rest.attempt_at = rest.attempt_at if setback.in_doubt and setback.wait else None
            rest.retry_at = rest.due_at = setback.retry_at
            rest.failures += 1
            rest.failing_since = now if rest.failing_since is None else rest.failing_since
            self.connections.change(leased.key, last_error=setback.reason.value, updated_at=now)

    def lose(self, leased: Leased, reason: Reason, now: int) -> bool:
        """The grant is lost."""
        self.called("lose")
        with self.connections.lock:
            rest = self.connections.rest(leased.key)
            if not self._mine(leased, rest):
                return self._lost(leased, reason, now)
            doubt = (leased.attempts[:-1], rest.attempt_at) if leased.in_doubt else ((), None)
            rest.settle()
            rest.due_at = None
            rest.attempts, rest.attempt_at = doubt
            lost = {"status": Status.NEEDS_RECONNECT, "last_error": reason.value, "updated_at": now}
            self.connections.change(leased.key, expiring_at=None, **lost)
            return True

    def _hindered(
        self, order: Order, row: ReadableConnection, rest: Upkeep, now: int, rotates: bool
    ) -> tuple[Hindrance, int] | None:
        connection = row.connection
        if connection.status is not Status.ACTIVE:
            return Hindrance.NOT_ACTIVE, 0
        if order.seen not in (None, Seen(connection.generation, connection.version)):
            return Hindrance.SUPERSEDED, 0
        if rest.refresh is None:
            return Hindrance.NOT_REFRESHABLE, 0
        if (rest.lease_until or 0) > now:
            return Hindrance.LEASED, rest.lease_until or 0
        if rotates and rest.attempt_at is not None and rest.attempt_at > now - DOUBT_SECONDS:
            return Hindrance.IN_DOUBT, rest.attempt_at + DOUBT_SECONDS
        return _too_early(order.cause, connection.issued_at, rest, now)

    def _superseded(self, refreshed: Refreshed) -> Storing:
        row, seen = self.connections.row(refreshed.key), refreshed.seen
        if row is None or row.connection.status is not Status.ACTIVE:
            return Storing.OBSOLETE
        newer = row.connection.generation == seen.generation and row.connection.version != seen.version
        return Storing.SUPERSEDED if newer else Storing.OBSOLETE

    def _given_up(self, refreshed: Refreshed, rest: Upkeep) -> bool:
        row = self.connections.row(refreshed.key)
        given_up = row is not None and row.connection.status is Status.NEEDS_RECONNECT
        return given_up and self._recoverable(refreshed, rest)

    def _recoverable(self, refreshed: Refreshed, rest: Upkeep) -> bool:
        row = self.connections.row(refreshed.key)
        if row is None or refreshed.attempt_id not in rest.attempts:
            return False
        one = row.connection
        if Seen(one.generation, one.version) != refreshed.seen:
            return False
        given_up = one.status is Status.NEEDS_RECONNECT and one.last_error == Reason.LOST_ROTATION
        return one.status is Status.ACTIVE or given_up

    def _mine(self, leased: Leased, rest: Upkeep) -> bool:
        return rest.lease_owner == leased.attempt_id and self.connections.is_as(leased.key, leased.seen)

    def _lost(self, leased: Leased, reason: Reason, now: int) -> bool:
        row = self.connections.row(leased.key)
        if row is None:
            return False
        one = row.connection
        mine = (Status.NEEDS_RECONNECT, reason.value, now, *leased.seen)
        return (one.status, one.last_error, one.updated_at, one.generation, one.version) == mine

    def _write(self, refreshed: Refreshed, rest: Upkeep, now: int) -> None:
        fresh, key = refreshed.fresh, refreshed.key
        row = self.connections.rows[key.merchant_id, f"{key.provider}#{key.account_id}"].connection
        rotated = fresh.refresh is not None and fresh.previous_until is not None
        rest.settle()
        rest.previous_refresh = rest.refresh if rotated else None
        rest.previous_until = fresh.previous_until if rotated else None
        rest.refresh = fresh.refresh or rest.refresh
        rest.refresh_expires_at, rest.due_at = fresh.refresh_expires_at, fresh.due_at
        rest.written_by, rest.unauthorized_count, rest.unauthorized_at = refreshed.attempt_id, 0, None
        self.connections.change(
            key,
            access=fresh.access,
            status=Status.ACTIVE,
            version=row.version + 1,
            scopes=row.scopes if fresh.scopes is None else fresh.scopes,
            expires_at=fresh.expires_at,
            details=dict(fresh.details),
            issued_at=fresh.issued_at,
            expiring_at=fresh.expiring_at,
            updated_at=now,
            last_error=None,
        )


def _too_early(cause: Cause, issued_at: int | None, rest: Upkeep, now: int) -> tuple[Hindrance, int] | None:
    if cause is Cause.ASKED:
        return None
    retry_at = rest.retry_at or 0
    if cause is Cause.READ:
        retry_at = max(retry_at, (issued_at or 0) + READ_SECONDS)
    if retry_at > now:
        return Hindrance.PUT_OFF, retry_at
    if cause is Cause.DUE and (rest.due_at is None or rest.due_at > now + EARLY):
        return Hindrance.TOO_SOON, rest.due_at or 0
    if cause is Cause.UNAUTHORIZED and issued_at is not None and issued_at > now - REPORT_SECONDS:
        return Hindrance.TOO_SOON, issued_at + REPORT_SECONDS
    return None
