"""Recovered exchanges in memory, on the rows of the connections fake."""

from mooring.core.connection import NewConnection, Status
from mooring.core.link import Link
from mooring.core.ports import BurnStatus
from mooring.core.upkeep import Key, Storing
from tests.fakes.connections import FakeConnections
from tests.fakes.faults import Fallible
from tests.fakes.flows import FakeFlow

OPEN = (BurnStatus.EXCHANGING, BurnStatus.KEPT, BurnStatus.FAILED)


class FakeRecoveries(Fallible):
    """The recoveries port."""

    def __init__(self, connections: FakeConnections, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.connections = connections

    def restore(self, new: NewConnection, link: Link, state_hash: str) -> Storing:
        """Store an exchange whose callback could not."""
        self.called("restore")
        with self.connections.lock:
            flow = self.connections.flows.find(link, state_hash)
            stored = self._stored(new, flow)
            if stored in (Storing.OBSOLETE, Storing.SUPERSEDED):
                return stored
            if stored is None:
                self.connections.accept(new)
            if flow is not None and flow.status in OPEN:
                self.connections.finish(new, flow)
            return Storing.STORED

    def _stored(self, new: NewConnection, flow: FakeFlow | None) -> Storing | None:
        """What a condition says against it; None when nothing does."""
        if self.connections.buried(new):
            return Storing.OBSOLETE
        done = flow is not None and flow.status is BurnStatus.DONE
        if new.confirmation_hash is not None:
            waits = (new.merchant_id, new.confirmation_hash) in self.connections.pending
            return Storing.STORED if waits or done else None
        row = self.connections.row(Key(new.merchant_id, new.provider, new.account.account_id))
        if row is None:
            return Storing.SUPERSEDED if done else None
        one, access = row.connection, new.tokens.access
        if one.connected_at == new.connected_at and row.access:
            same = row.access.wrapped_key == access.wrapped_key
            return Storing.STORED if same else Storing.SUPERSEDED
        living = one.status in (Status.ACTIVE, Status.NEEDS_RECONNECT)
        newer = one.connected_at < new.connected_at and (living or one.updated_at < new.connected_at)
        if newer and not self.connections.outranked(new):
            return Storing.SUPERSEDED if done else None
        unknown = (done or flow is None) and one.connected_at > new.connected_at and row.access
        return Storing.SUPERSEDED if unknown else Storing.OBSOLETE
