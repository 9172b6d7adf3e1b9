"""The queue of revocations in memory."""

from mooring.core.revocation import Revocation
from tests.fakes.faults import Fallible


class FakeRevocations(Fallible):
    """The queue of revocations. `messages` and `again` (receipt handle, seconds) are open to tests."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.messages: list[Revocation] = []
        self.again: list[tuple[str, int]] = []

    def ask(self, revocation: Revocation) -> None:
        """Queue it."""
        self.called("ask")
        self.messages.append(revocation)

    def again_in(self, receipt_handle: str, seconds: int) -> None:
        """Let a message come again in so many seconds."""
        self.called("again_in")
        self.again.append((receipt_handle, seconds))
