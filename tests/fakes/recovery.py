"""A recovery queue in memory."""

from mooring.core.connection import NewConnection
from mooring.core.link import Link
from mooring.core.upkeep import Refreshed
from tests.fakes.queue import FakeQueue

_SOON_SECONDS = 15


class FakeRecoveryQueue(FakeQueue):
    """The recovery queue. `messages`, `refreshed` and `again` (receipt handle, seconds) are open to tests."""

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

    def again_soon(self, receipt_handle: str) -> None:
        """Let a message come again before its time."""
        self.called("again_soon")
        self.again.append((receipt_handle, _SOON_SECONDS))
