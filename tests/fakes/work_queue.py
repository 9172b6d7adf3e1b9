"""The refresh queue in memory."""

from collections.abc import Sequence

from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Delayed, Work
from mooring.core.upkeep_ports import Depth
from tests.fakes.faults import Fallible

MAX_DELAY = 900


class FakeWorkQueue(Fallible):
    """The work queue port, open to tests.

    `messages` is what waits, with its delay (seconds), which passes by `advance`. `backlog` counts as further
    messages in `depth` that are ready; once `room` messages are in it, a `put` fails half-way.
    """

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.messages: list[Delayed] = []
        self.backlog = 0
        self.room: int | None = None

    def put(self, work: Sequence[Delayed]) -> None:
        """Queue all of it; a delay that SQS would refuse is a defect of the caller."""
        if not all(0 <= each.delay <= MAX_DELAY for each in work):
            raise ValueError("a delay is 0 to 900 seconds")
        self.called("put")
        for each in work:
            if self.room is not None and len(self.messages) >= self.room:
                raise Failure(Reason.STORAGE_UNAVAILABLE)
            self.messages.append(each)

    def depth(self) -> Depth:
        """How many messages wait, with the backlog, and how many are delayed."""
        self.called("depth")
        delayed = sum(each.delay > 0 for each in self.messages)
        return Depth(len(self.messages) - delayed + self.backlog, delayed)

    def advance(self, seconds: int) -> None:
        """Let so much of each delay pass."""
        self.messages = [each._replace(delay=max(0, each.delay - seconds)) for each in self.messages]

    @property
    def works(self) -> list[Work]:
        """What waits, without its delays."""
        return [each.work for each in self.messages]

    def take(self) -> Work:
        """The next message, taken out."""
        return self.messages.pop(0).work
