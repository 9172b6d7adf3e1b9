"""A recovery queue in memory."""

from mooring.core.connection import NewConnection
from mooring.core.link import Link
from mooring.core.upkeep import Refreshed
from tests.fakes.faults import Fallible


class FakeRecoveryQueue(Fallible):
    """The recovery queue's two ports. `messages` and `refreshed` are open to tests."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.messages: list[tuple[NewConnection, Link, str]] = []
        self.refreshed: list[Refreshed] = []

    def put(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Queue a finished exchange."""
        self.called("put")
        self.messages.append((new, link, state_hash))

    def put_refreshed(self, refreshed: Refreshed) -> None:
        """Queue a refreshed token set."""
        self.called("put_refreshed")
        self.refreshed.append(refreshed)
