"""A recovery queue in memory."""

from mooring.core.connection import NewConnection
from mooring.core.link import Link
from tests.fakes.faults import Fallible


class FakeRecoveryQueue(Fallible):
    """The recovery queue port. `messages` is open to tests."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.messages: list[tuple[NewConnection, Link, str]] = []

    def put(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Queue it."""
        self.called("put")
        self.messages.append((new, link, state_hash))
