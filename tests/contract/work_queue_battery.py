"""What every implementation of the work queue port must do."""

from typing import Protocol

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Delayed, Hint, Work
from mooring.core.upkeep_ports import Depth, WorkQueue
from tests.contract.work_samples import DUE, WORK, orders


class Queue(Protocol):
    """The port, and what a worker would find behind it."""

    @property
    def work(self) -> WorkQueue:
        """The port."""

    def waiting(self) -> list[Delayed]:
        """Everything that was queued, in any order."""

    def fail(self) -> None:
        """Let the queue be unreachable from now on."""


class WorkQueueBattery:
    """Inherit it, and give the fixture `queue`."""

    @pytest.fixture
    def queue(self) -> Queue:
        raise NotImplementedError

    @pytest.mark.parametrize(
        "work", [*WORK, Hint("prov-a", "shop-1", again=True)], ids=lambda work: type(work).__name__
    )
    def test_what_was_put_is_what_waits(self, queue: Queue, work: Work) -> None:
        queue.work.put([Delayed(work)])
        assert queue.waiting() == [Delayed(work, 0)]

    def test_each_has_its_own_delay(self, queue: Queue) -> None:
        work = [Delayed(DUE, 0), Delayed(WORK[5], 30), Delayed(WORK[6], 900)]
        queue.work.put(work)
        assert queue.waiting() == work

    @pytest.mark.parametrize("delay", [-1, 901])
    def test_another_delay_is_a_defect_and_queues_nothing(self, queue: Queue, delay: int) -> None:
        with pytest.raises(ValueError, match="0 to 900"):
            queue.work.put([Delayed(DUE, 0), Delayed(DUE, delay)])
        assert queue.waiting() == []

    @pytest.mark.parametrize("count", [1, 9, 10, 11, 64])
    def test_any_number_goes_in_once_each(self, queue: Queue, count: int) -> None:
        work = [Delayed(order, number) for number, order in enumerate(orders(count))]
        queue.work.put(work)
        assert sorted(queue.waiting(), key=lambda each: each.delay) == work

    def test_nothing_is_nothing(self, queue: Queue) -> None:
        queue.work.put([])
        assert queue.waiting() == []
        assert queue.work.depth() == Depth(0, 0)

    def test_the_depth_tells_what_is_delayed_apart(self, queue: Queue) -> None:
        queue.work.put([Delayed(order, number % 2 * 60) for number, order in enumerate(orders(7))])
        assert queue.work.depth() == Depth(ready=4, delayed=3)

    @pytest.mark.parametrize("count", [1, 25])
    def test_an_outage_is_said(self, queue: Queue, count: int) -> None:
        queue.fail()
        with pytest.raises(Failure) as putting:
            queue.work.put([Delayed(order) for order in orders(count)])
        with pytest.raises(Failure) as asking:
            queue.work.depth()
        assert putting.value.reason is asking.value.reason is Reason.STORAGE_UNAVAILABLE
