"""How a row stands, whichever table it stands in."""

from typing import NamedTuple, Protocol

from mooring.core.connection import Status
from mooring.core.link import Link
from mooring.core.ports import BurnStatus
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key, Seen
from tests.flows.upkeep_world import UpkeepWorld

ENDED = (Status.UNINSTALLED, Status.DISCONNECTED)
OPEN = (BurnStatus.EXCHANGING, BurnStatus.KEPT)


class Row(NamedTuple):
    """As much of a row as the invariants speak of."""

    status: Status
    seen: Seen
    last_error: str | None
    access: SealedField | None
    refresh: SealedField | None
    previous: SealedField | None
    attempts: tuple[str, ...]
    connected_at: int
    updated_at: int

    @property
    def generation(self) -> int:
        return self.seen.generation


class Tables(Protocol):
    """Looks at the tables behind Mooring's back."""

    def row(self, key: Key) -> Row | None:
        """A connection's row."""

    def flow_is_open(self, link: Link, state_hash: str) -> bool:
        """Whether a flow was burned and has not ended."""


class FakeTables:
    """The tables of the fakes."""

    def __init__(self, world: UpkeepWorld) -> None:
        self._connections, self._flows = world.connections, world.flows

    def row(self, key: Key) -> Row | None:
        found = self._connections.row(key)
        if found is None:
            return None
        one, rest = found.connection, self._connections.rest(key)
        return Row(
            one.status,
            Seen(one.generation, one.version),
            one.last_error,
            found.access,
            rest.refresh,
            rest.previous_refresh,
            rest.attempts,
            one.connected_at,
            one.updated_at,
        )

    def flow_is_open(self, link: Link, state_hash: str) -> bool:
        found = self._flows.find(link, state_hash)
        return found is not None and found.status in OPEN
