"""Probes, reports and endings in memory, on the rows of the connections fake."""

from mooring.core.connection import ReadableConnection, Status
from mooring.core.errors import Reason
from mooring.core.token_end import next_look
from mooring.core.upkeep import (
    EXPIRING_SECONDS,
    LATE_SECONDS,
    REPORT_SECONDS,
    REPORTS_SECONDS,
    Expiry,
    Key,
    Seen,
)
from tests.fakes.connections import FakeConnections
from tests.fakes.faults import Fallible

LIVING = (Status.ACTIVE, Status.NEEDS_RECONNECT)


class FakeEndings(Fallible):
    """The endings port; tombstones and pointers are those of the connections fake.

    `buried_at` notes when an account was last buried.
    """

    def __init__(self, connections: FakeConnections, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.connections = connections
        self.buried_at: dict[tuple[str, str], int] = {}

    def probing(
        self, key: Key, seen: Seen | None, now: int, *, pause: int, due_at: int | None
    ) -> ReadableConnection | None:
        """Begin a round of probes."""
        self.called("probing")
        with self.connections.lock:
            if not self.connections.is_as(key, seen):
                return None
            rest = self.connections.rest(key)
            if rest.probed_at is not None and rest.probed_at > now - pause:
                return None
            rest.probed_at = now
            row = self.connections.row(key)
            if row is not None and due_at is not None:
                rest.due_at = next_look(row.connection.expires_at, now, due_at)
            return row

    def remind(self, key: Key, due_at: int) -> None:
        """Let it fall due, unless it does so earlier."""
        self.called("remind")
        with self.connections.lock:
            if self.connections.is_as(key, None):
                rest = self.connections.rest(key)
                rest.due_at = due_at if rest.due_at is None else min(due_at, rest.due_at)

    def postpone(self, key: Key, until: int, now: int) -> bool:
        """Let a hint wait, unless one waits already."""
        self.called("postpone")
        with self.connections.lock:
            rest = self.connections.rest(key)
            waits = rest.hinted_until is not None and rest.hinted_until > now
            if waits or not self.connections.is_as(key, None):
                return False
            rest.hinted_until = until
            return True

    def report(self, key: Key, seen: Seen, now: int) -> int | None:
        """Count a 401."""
        self.called("report")
        with self.connections.lock:
            rest = self.connections.rest(key)
            before = rest.unauthorized_at
            recent = before is not None and before > now - REPORT_SECONDS
            if recent or not self.connections.is_as(key, seen):
                return None
            in_a_row = before is not None and before > now - REPORTS_SECONDS
            rest.unauthorized_at = now
            rest.unauthorized_count = rest.unauthorized_count + 1 if in_a_row else 1
            return rest.unauthorized_count

    def expire(self, key: Key, seen: Seen | None, now: int, *, ends: bool) -> Expiry:
        """See to a token that nothing can refresh."""
        self.called("expire")
        with self.connections.lock:
            row = self.connections.row(key)
            if row is None or not self.connections.is_as(key, seen):
                return Expiry.OVER if ends and self._expired(row, seen, now) else Expiry.LIVES
            ends_at, rest = row.connection.expires_at, self.connections.rest(key)
            if ends_at is None or ends_at > now + EXPIRING_SECONDS or rest.refresh is not None:
                return Expiry.LIVES
            if ends and ends_at <= now - LATE_SECONDS:
                rest.settle()
                rest.due_at = None
                lost = {"status": Status.NEEDS_RECONNECT, "last_error": Reason.TOKEN_EXPIRED.value}
                self.connections.change(key, expiring_at=None, updated_at=now, **lost)
                return Expiry.OVER
            if row.connection.expiring_at is not None and row.connection.updated_at != now:
                return Expiry.LIVES
            rest.due_at = ends_at
            self.connections.change(key, expiring_at=ends_at, updated_at=now)
            return Expiry.NEAR

    def _expired(self, row: ReadableConnection | None, seen: Seen | None, now: int) -> bool:
        """Whether this very call was made before, and only its answer lost."""
        if row is None:
            return False
        one = row.connection
        if seen not in (None, Seen(one.generation, one.version)):
            return False
        mine = (Status.NEEDS_RECONNECT, Reason.TOKEN_EXPIRED.value, now)
        ended = one.expires_at is not None and one.expires_at <= now - LATE_SECONDS
        return ended and (one.status, one.last_error, one.updated_at) == mine

    def alive(self, key: Key, seen: Seen) -> None:
        """Forget counted 401s."""
        self.called("alive")
        with self.connections.lock:
            if self.connections.is_as(key, seen):
                rest = self.connections.rest(key)
                rest.unauthorized_count, rest.unauthorized_at = 0, None

    def refused(self, key: Key, seen: Seen, reason: Reason, now: int, *, uninstall: bool) -> bool:
        """The provider does not take its token."""
        self.called("refused")
        with self.connections.lock:
            if not self.connections.is_as(key, seen):
                return self._ended(key, seen, reason, now, uninstall)
            if uninstall:
                self.connections.erase(key, Status.UNINSTALLED, now, reason.value)
                self.connections.rest(key).uninstalled_at = now
                return True
            rest = self.connections.rest(key)
            rest.settle()
            rest.due_at = None
            gone = {"status": Status.NEEDS_RECONNECT, "last_error": reason.value, "updated_at": now}
            self.connections.change(key, expiring_at=None, **gone)
            return True

    def bury(self, provider: str, account_id: str, at: int, now: int) -> None:
        """Put a tombstone; the latest one stays."""
        self.called("bury")
        with self.connections.lock:
            stones = self.connections.tombstones
            stones[provider, account_id] = max(at, stones.get((provider, account_id), at))
            self.buried_at[provider, account_id] = now

    def holders(self, provider: str, account_id: str) -> list[str]:
        """The merchants of an account, in the order of their ids."""
        self.called("holders")
        return sorted(self.connections.pointers.get((provider, account_id), ()))

    def uninstall(self, key: Key, at: int, now: int) -> bool:
        """Mark it uninstalled, if it was connected before `at`."""
        self.called("uninstall")
        with self.connections.lock:
            row = self.connections.row(key)
            if row is None:
                return False
            if row.connection.status not in LIVING or row.connection.connected_at >= at:
                again = (Status.UNINSTALLED, now) == (row.connection.status, row.connection.updated_at)
                return again and self.connections.rest(key).uninstalled_at == at
            self.connections.erase(key, Status.UNINSTALLED, now)
            self.connections.rest(key).uninstalled_at = at
            return True

    def disconnect(self, key: Key, now: int) -> bool | None:
        """Mark it disconnected."""
        self.called("disconnect")
        with self.connections.lock:
            row = self.connections.row(key)
            if row is None:
                return None
            if row.connection.status not in LIVING:
                return (Status.DISCONNECTED, now) == (row.connection.status, row.connection.updated_at)
            self.connections.erase(key, Status.DISCONNECTED, now)
            return True

    def _ended(self, key: Key, seen: Seen, reason: Reason, now: int, uninstall: bool) -> bool:
        row = self.connections.row(key)
        if row is None:
            return False
        one, status = row.connection, Status.UNINSTALLED if uninstall else Status.NEEDS_RECONNECT
        mine = (status, reason.value, now, *seen)
        return (one.status, one.last_error, one.updated_at, one.generation, one.version) == mine
