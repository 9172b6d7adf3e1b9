"""What a revocation looks at, in memory, on the rows of the connections fake."""

from mooring.core.connection import Status
from mooring.core.revocation import Revoked
from mooring.core.upkeep import Key
from tests.fakes.connections import FakeConnections
from tests.fakes.faults import Fallible

_ENDED = (Status.UNINSTALLED, Status.DISCONNECTED)


class FakeGenerations(Fallible):
    """The generations port."""

    def __init__(self, connections: FakeConnections, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.connections = connections

    def living(self, key: Key) -> int | None:
        """The generation of a connection that lives."""
        self.called("living")
        row = self.connections.row(key)
        return row.connection.generation if row and row.connection.status not in _ENDED else None

    def has_relatives(self, key: Key) -> bool:
        """Whether another connection lives of this merchant at this provider, or of this account."""
        self.called("has_relatives")
        holders = self.connections.pointers.get((key.provider, key.account_id), set())
        for row in self.connections.rows.values():
            one = row.connection
            other = Key(one.merchant_id, one.provider, one.account_id)
            mine = (other.merchant_id, other.provider) == (key.merchant_id, key.provider)
            theirs = other == key._replace(merchant_id=other.merchant_id) and other.merchant_id in holders
            if other != key and one.status not in _ENDED and (mine or theirs):
                return True
        return False

    def note(self, key: Key, generation: int, revoked: Revoked) -> bool:
        """Note what became of it."""
        self.called("note")
        row = self.connections.row(key)
        if row is None or (row.connection.status, row.connection.generation) != (
            Status.DISCONNECTED,
            generation,
        ):
            return False
        self.connections.change(key, revocation=revoked.value)
        return True
