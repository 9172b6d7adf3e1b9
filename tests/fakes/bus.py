"""The event bus in memory, and the bucket of the undelivered."""

from collections.abc import Mapping, Sequence

from mooring.core.announcement import Event
from mooring.core.errors import Failure
from tests.fakes.faults import Fallible


class FakeBus:
    """The event bus. `events` are those that it took, in order.

    `refusing` maps a merchant to what the bus answers to every event about them, until a test takes it out.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refusing: dict[str, Failure] = {}

    def put(self, events: Sequence[Event]) -> Sequence[Failure | None]:
        """Take events, and refuse those that are to be refused."""
        answers = [self.refusing.get(str(event.detail["merchant_id"])) for event in events]
        self.events += [event for event, answer in zip(events, answers, strict=True) if answer is None]
        return answers


class FakeUndelivered(Fallible):
    """The bucket of the undelivered. `records` holds each by its own id."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.records: dict[str, Mapping[str, object]] = {}

    def keep(self, record: Mapping[str, object]) -> None:
        """Keep a record."""
        self.called("keep")
        self.records[str(record["eventID"])] = record
