"""Connections in memory, in one world with the flows fake: one lock stands for the transaction."""

from mooring.core.connection import Connection, NewConnection, ReadableConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.names import DEFAULT_ACCOUNT, connection_key
from mooring.core.ports import BurnStatus
from tests.fakes.faults import Fallible
from tests.fakes.flows import FakeFlow, FakeFlows


class FakeConnections(Fallible):
    """The connections port. Its dictionaries are open to tests."""

    def __init__(self, flows: FakeFlows, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.flows = flows
        self.rows: dict[tuple[str, str], ReadableConnection] = {}
        self.stored: list[NewConnection] = []
        self.pending: dict[tuple[str, str], NewConnection] = {}
        self.pointers: dict[tuple[str, str], set[str]] = {}
        self.tombstones: dict[tuple[str, str], int] = {}

    def connect(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Store a finished exchange, unless a notice came after the burn or the flow is over."""
        self.called("connect")
        with self.flows.lock:
            if self.tombstones.get((new.provider, new.account.account_id), -1) >= new.burned_at:
                raise Failure(Reason.UNINSTALLED_MEANWHILE)
            flow = self.flows.find(link, state_hash)
            if flow and flow.status is BurnStatus.DONE and flow.account_id == new.account.account_id:
                return
            if flow is None or flow.status not in (BurnStatus.EXCHANGING, BurnStatus.KEPT):
                raise Failure(Reason.STORAGE_UNAVAILABLE)
            key = (new.merchant_id, connection_key(new.provider, new.account.account_id))
            old = self.rows.get(key) if new.confirmation_hash is None else None
            if old and old.connection.account_verified and not new.account.verified:
                raise Failure(Reason.ACCOUNT_MISMATCH)
            self._store(new, flow)

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        """One connection."""
        self.called("read")
        return self.rows.get((merchant_id, connection_key(provider, account_id)))

    def list(self, merchant_id: str) -> list[Connection]:
        """All connections of a merchant, in the order of their keys."""
        self.called("list")
        return [row.connection for key, row in sorted(self.rows.items()) if key[0] == merchant_id]

    def _store(self, new: NewConnection, flow: FakeFlow) -> None:
        account = new.account
        flow.status, flow.account_id, flow.kept = BurnStatus.DONE, account.account_id, None
        flow.pending = new.confirmation_hash is not None
        self.stored.append(new)
        if new.confirmation_hash is not None:
            self.pending[new.merchant_id, new.confirmation_hash] = new
            return
        key = (new.merchant_id, connection_key(new.provider, account.account_id))
        old = self.rows.get(key)
        self.rows[key] = ReadableConnection(
            _connection(new, old.connection if old else None), new.tokens.access
        )
        if account.verified and account.account_id != DEFAULT_ACCOUNT:
            self.pointers.setdefault((new.provider, account.account_id), set()).add(new.merchant_id)


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
    )
