"""What the queues in memory have in common."""

from tests.fakes.faults import Fallible


class FakeQueue(Fallible):
    """A queue. `again` (receipt handle, seconds) is open to tests."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.again: list[tuple[str, int]] = []

    def again_in(self, receipt_handle: str, seconds: int) -> None:
        """Let a message come again in so many seconds."""
        self.called("again_in")
        self.again.append((receipt_handle, seconds))
