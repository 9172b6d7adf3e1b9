"""The work queue battery, on the fake and on SQS."""

from collections.abc import Iterator
from itertools import count

import pytest

from mooring.adapters.work_messages import parse
from mooring.adapters.work_queue import SqsWorkQueue
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Delayed
from mooring.core.upkeep_ports import Depth
from tests.contract.aws_server import AwsServer, Fault
from tests.contract.work_queue_battery import Queue, WorkQueueBattery
from tests.contract.work_samples import DUE
from tests.fakes.work_queue import FakeWorkQueue

_numbers = count(1)


class FakeQueue:
    """A queue in memory."""

    def __init__(self) -> None:
        self.work = FakeWorkQueue()

    def waiting(self) -> list[Delayed]:
        return self.work.messages

    def fail(self) -> None:
        down = Failure(Reason.STORAGE_UNAVAILABLE)
        self.work.broken.update(put=down, depth=down)


class SqsQueue:
    """A queue in SQS; what waits is read off the wire, because SQS hides what is delayed."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self._url = aws.sqs().create_queue(QueueName=f"refresh-{next(_numbers)}")["QueueUrl"]
        self.work = SqsWorkQueue(aws.sqs(), self._url)

    def waiting(self) -> list[Delayed]:
        calls = [each for each in self._aws.asked("SendMessageBatch") if each["QueueUrl"] == self._url]
        entries = [entry for call in calls for entry in call["Entries"]]
        return [Delayed(parse(entry["MessageBody"]), entry["DelaySeconds"]) for entry in entries]

    def fail(self) -> None:
        wrong = ["SendMessageBatch"] * 10 + ["GetQueueAttributes"]
        self._aws.faults = [Fault(operation, "KmsThrottled") for operation in wrong]


class TestFakeWorkQueue(WorkQueueBattery):
    @pytest.fixture
    def queue(self) -> Queue:
        return FakeQueue()


class TestSqsWorkQueue(WorkQueueBattery):
    @pytest.fixture
    def queue(self, aws: AwsServer) -> Iterator[Queue]:
        with aws.failing():
            yield SqsQueue(aws)


def test_the_fake_can_have_a_backlog_and_run_full() -> None:
    queue = FakeWorkQueue()
    queue.backlog, queue.room = 5_990, 1
    with pytest.raises(Failure):
        queue.put([Delayed(DUE), Delayed(DUE, 30)])
    assert queue.depth() == Depth(5_991, 0)
    assert (queue.works, queue.take(), queue.messages) == ([DUE], DUE, [])
