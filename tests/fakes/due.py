"""The index `due` in memory, over the rows of the connections fake."""

from collections.abc import Mapping, Sequence

from mooring.core.connection import Connection
from mooring.core.errors import Failure, Reason
from mooring.core.schedule import due_shard
from mooring.core.upkeep import DuePage, DueRow, Key, Seen, Standing
from tests.fakes.connections import FakeConnections
from tests.fakes.faults import Fallible

MOST_KEYS = 100


class FakeDueIndex(Fallible):
    """The due index port. `pages` notes what was asked: (shard, until, limit).

    A row whose key is in `spoiled` cannot be understood.
    """

    def __init__(self, connections: FakeConnections, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.connections = connections
        self.pages: list[tuple[str, int, int]] = []
        self.spoiled: set[Key] = set()

    def due(self, shard: str, until: int, limit: int, start: Mapping[str, object] | None = None) -> DuePage:
        """One page of a shard, the earliest first."""
        self.called("due")
        with self.connections.lock:
            self.pages.append((shard, until, limit))
            found = sorted(self._of(shard, until), key=lambda row: (row.due_at, row.key))
        if start is not None:
            found = [row for row in found if (row.due_at, row.key) > (start["due_at"], start["key"])]
        page = tuple(found[:limit])
        more = len(found) > limit
        return DuePage(page, {"due_at": page[-1].due_at, "key": page[-1].key} if more else None)

    def standing(self, keys: Sequence[Key]) -> Mapping[Key, Standing | Failure]:
        """How those of them stand that are active."""
        if len(set(keys)) > MOST_KEYS:
            raise ValueError("at most 100 keys a call")
        self.called("standing")
        with self.connections.lock:
            rows = {key: self.connections.row(key) for key in keys if self.connections.is_as(key, None)}
            return {key: self._standing(key, row.connection) for key, row in rows.items() if row is not None}

    def _standing(self, key: Key, one: Connection) -> Standing | Failure:
        if key in self.spoiled:
            return Failure(Reason.INTERNAL, "a stored row has no usable attribute generation")
        return Standing(Seen(one.generation, one.version), self.connections.rest(key).failing_since)

    def _of(self, shard: str, until: int) -> list[DueRow]:
        found = []
        for (merchant_id, name), rest in self.connections.upkeep.items():
            provider, _, account_id = name.partition("#")
            due_at = rest.due_at
            if (
                due_at is not None
                and due_at <= until
                and due_shard(provider, merchant_id, account_id) == shard
            ):
                found.append(DueRow(Key(merchant_id, provider, account_id), due_at))
        return found
