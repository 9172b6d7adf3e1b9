"""Connections in memory, in one world with the flows fake: one lock stands for the transaction."""

from dataclasses import dataclass
from threading import RLock
from typing import Any

from mooring.core.connection import Connection, NewConnection, Page, ReadableConnection, Status, Wanted
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.names import DEFAULT_ACCOUNT, connection_key
from mooring.core.ports import BurnStatus
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key, Seen
from tests.fakes.faults import Fallible
from tests.fakes.flows import FakeFlow, FakeFlows


@dataclass
class Upkeep:
    """What a row holds besides what readers see; None, an empty text or an empty tuple is absent."""

    refresh: SealedField | None = None
    refresh_expires_at: int | None = None
    due_at: int | None = None
    lease_owner: str = ""
    lease_until: int | None = None
    attempts: tuple[str, ...] = ()
    attempt_at: int | None = None
    retry_at: int | None = None
    failures: int = 0
    failing_since: int | None = None
    previous_refresh: SealedField | None = None
    previous_until: int | None = None
    written_by: str = ""
    unauthorized_count: int = 0
    unauthorized_at: int | None = None
    probed_at: int | None = None
    hinted_until: int | None = None
    uninstalled_at: int | None = None

    def release(self) -> None:
        """The lease is over."""
        self.lease_owner, self.lease_until = "", None

    def settle(self) -> None:
        """Nothing is under way, in doubt or put off any more."""
        self.release()
        self.attempts, self.attempt_at, self.retry_at, self.failures = (), None, None, 0
        self.failing_since = None


class FakeConnections(Fallible):
    """The connections port, and the rows that the fakes of leases, endings and `due` share.

    Its dictionaries are open to tests. `rows` is what readers see, `upkeep` the rest of the same rows.
    """

    def __init__(self, flows: FakeFlows, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.flows = flows
        self.rows: dict[tuple[str, str], ReadableConnection] = {}
        self.upkeep: dict[tuple[str, str], Upkeep] = {}
        self.stored: list[NewConnection] = []
        self.pending: dict[tuple[str, str], NewConnection] = {}
        self.pointers: dict[tuple[str, str], set[str]] = {}
        self.tombstones: dict[tuple[str, str], int] = {}

    @property
    def lock(self) -> RLock:
        """The lock of the whole world."""
        return self.flows.lock

    def connect(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Store a finished exchange, unless a notice came after the burn or the flow is over."""
        self.called("connect")
        with self.lock:
            if self.buried(new):
                raise Failure(Reason.UNINSTALLED_MEANWHILE)
            flow = self.flows.find(link, state_hash)
            if flow and flow.status is BurnStatus.DONE and flow.account_id == new.account.account_id:
                return
            if flow is None or flow.status not in (BurnStatus.EXCHANGING, BurnStatus.KEPT):
                raise Failure(Reason.STORAGE_UNAVAILABLE)
            if self.outranked(new):
                raise Failure(Reason.ACCOUNT_MISMATCH)
            self.accept(new)
            self.finish(new, flow)

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        """One connection."""
        self.called("read")
        return self.rows.get((merchant_id, connection_key(provider, account_id)))

    def list(self, merchant_id: str, wanted: Wanted) -> Page:
        """Some connections of a merchant, in the order of their keys."""
        self.called("list")
        found = [
            (key, row.connection)
            for (merchant, key), row in sorted(self.rows.items())
            if merchant == merchant_id
            and key > (wanted.after or "")
            and wanted.provider in (None, row.connection.provider)
            and wanted.status in (None, row.connection.status)
        ]
        shown = found[: wanted.limit]
        more = len(found) > len(shown)
        return Page(tuple(one for _, one in shown), shown[-1][0] if more else None)

    def put(self, connection: Connection, access: SealedField | None, **upkeep: Any) -> Key:
        """Place a row as a test wants it: `refresh`, `due_at`, `attempts` and so on (see `Upkeep`)."""
        key = Key(connection.merchant_id, connection.provider, connection.account_id)
        self.rows[place(key)] = ReadableConnection(connection, access)
        self.upkeep[place(key)] = Upkeep(**upkeep)
        if connection.account_verified and connection.account_id != DEFAULT_ACCOUNT:
            self.pointers.setdefault((key.provider, key.account_id), set()).add(key.merchant_id)
        return key

    def row(self, key: Key) -> ReadableConnection | None:
        """What readers would see, without a word in the journal."""
        return self.rows.get(place(key))

    def rest(self, key: Key) -> Upkeep:
        """The rest of a row, to read and to change."""
        return self.upkeep.setdefault(place(key), Upkeep())

    def is_as(self, key: Key, seen: Seen | None) -> bool:
        """Whether a connection is active and as `seen`."""
        row = self.row(key)
        if row is None or row.connection.status is not Status.ACTIVE:
            return False
        return seen is None or seen == Seen(row.connection.generation, row.connection.version)

    def change(self, key: Key, **changes: Any) -> None:
        """Change what readers see of a connection."""
        row = self.rows[place(key)]
        access = changes.pop("access", row.access)
        self.rows[place(key)] = ReadableConnection(row.connection._replace(**changes), access)

    def erase(self, key: Key, status: Status, now: int, last_error: str | None = None) -> None:
        """End a connection and erase its tokens, with all that speaks of them."""
        ended = {"status": status, "updated_at": now, "last_error": last_error, "expiring_at": None}
        self.change(key, access=None, expires_at=None, issued_at=None, **ended)
        old = self.rest(key)
        self.upkeep[place(key)] = Upkeep(
            written_by=old.written_by,
            unauthorized_count=old.unauthorized_count,
            unauthorized_at=old.unauthorized_at,
            probed_at=old.probed_at,
            hinted_until=old.hinted_until,
        )

    def buried(self, new: NewConnection) -> bool:
        """Whether a notice for the account came at or after the burn."""
        return self.tombstones.get((new.provider, new.account.account_id), -1) >= new.burned_at

    def outranked(self, new: NewConnection) -> bool:
        """Whether an unverified account would take a verified one's place."""
        old = self.rows.get(_place(new)) if new.confirmation_hash is None else None
        return bool(old and old.connection.account_verified and not new.account.verified)

    def finish(self, new: NewConnection, flow: FakeFlow) -> None:
        """The flow of a stored exchange is done."""
        flow.status, flow.account_id, flow.kept = BurnStatus.DONE, new.account.account_id, None
        flow.pending = new.confirmation_hash is not None

    def accept(self, new: NewConnection) -> None:
        """Store a finished exchange whatever stands there."""
        account = new.account
        self.stored.append(new)
        if new.confirmation_hash is not None:
            self.pending[new.merchant_id, new.confirmation_hash] = new
            return
        old = self.rows.get(_place(new))
        self.rows[_place(new)] = ReadableConnection(
            _connection(new, old.connection if old else None), new.tokens.access
        )
        self.upkeep[_place(new)] = Upkeep(
            refresh=new.tokens.refresh,
            refresh_expires_at=new.tokens.refresh_expires_at,
            due_at=new.due_at,
        )
        if account.verified and account.account_id != DEFAULT_ACCOUNT:
            self.pointers.setdefault((new.provider, account.account_id), set()).add(new.merchant_id)


def place(key: Key) -> tuple[str, str]:
    """Where a connection stands in `rows` and `upkeep`."""
    return key.merchant_id, connection_key(key.provider, key.account_id)


def _place(new: NewConnection) -> tuple[str, str]:
    return place(Key(new.merchant_id, new.provider, new.account.account_id))


def _connection(new: NewConnection, old: Connection | None) -> Connection:
    return Connection(
        merchant_id=new.merchant_id,
        provider=new.provider,
        account_id=new.account.account_id,
        status=Status.ACTIVE,
        generation=old.generation + 1 if old else 1,
        version=old.version + 1 if old else 1,
        scopes=new.tokens.scopes,
        expires_at=new.tokens.expires_at,
        connected_at=new.connected_at,
        updated_at=new.connected_at,
        account_verified=new.account.verified,
        last_error=None,
        details=dict(new.tokens.details),
        issued_at=new.connected_at,
    )
