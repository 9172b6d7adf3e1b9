"""The queue of revocations in memory."""

from mooring.core.revocation import Revocation
from tests.fakes.queue import FakeQueue


class FakeRevocations(FakeQueue):
    """The queue of revocations. `messages` and `again` (receipt handle, seconds) are open to tests."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.messages: list[Revocation] = []

    def ask(self, revocation: Revocation) -> None:
        """Queue it."""
        self.called("ask")
        self.messages.append(revocation)
