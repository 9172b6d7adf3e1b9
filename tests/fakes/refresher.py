"""The refresh function, answering as a test says."""

from mooring.core.upkeep import Answer, Order
from tests.fakes.faults import Fallible
from tests.fakes.scripts import Scripted, play


class FakeRefresher(Fallible):
    """The refresher port. `answer` is its script, `orders` what was asked of it."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.orders: list[Order] = []
        self.answer: Scripted[Order, Answer] = Answer("refreshed")

    def refresh(self, order: Order) -> Answer:
        """Record the order; answer or raise."""
        self.called("refresh")
        self.orders.append(order)
        return play(self.answer, order)
