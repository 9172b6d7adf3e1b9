"""The recovery battery, on the fake and on SQS."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from mooring.adapters.sqs import SqsRecoveryQueue, parse
from mooring.core.connection import NewConnection
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Recovered, Refreshed
from tests.contract.aws_server import AwsServer, Fault
from tests.contract.recovery_battery import Queue, RecoveryBattery
from tests.fakes.recovery import FakeRecoveryQueue


class FakeQueue:
    """A queue in memory."""

    def __init__(self) -> None:
        self.recovery = FakeRecoveryQueue()

    def take(self) -> tuple[NewConnection, str, str, str]:
        new, link, state_hash = self.recovery.messages.pop(0)
        return new, link.merchant_id, link.jti, state_hash

    def take_refreshed(self) -> Refreshed:
        return self.recovery.refreshed.pop(0)

    def receive(self) -> str:
        return f"receipt of {len(self.recovery.refreshed)}"

    def comes_again(self) -> list[tuple[str, int]]:
        return self.recovery.again

    def fail(self) -> None:
        down = Failure(Reason.STORAGE_UNAVAILABLE)
        self.recovery.broken.update(put=down, put_refreshed=down, again_soon=down)


class SqsQueue:
    """A queue in SQS."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self._url = aws.sqs().create_queue(QueueName=f"recovery-{uuid4().hex}")["QueueUrl"]
        self.recovery = SqsRecoveryQueue(aws.sqs(), self._url)

    def take(self) -> tuple[NewConnection, str, str, str]:
        found = self._next()
        assert isinstance(found, Recovered)
        return found.new, found.link.merchant_id, found.link.jti, found.state_hash

    def take_refreshed(self) -> Refreshed:
        found = self._next()
        assert isinstance(found, Refreshed)
        return found

    def _next(self) -> Recovered | Refreshed:
        message = self._aws.sqs().receive_message(QueueUrl=self._url)["Messages"][0]
        self._aws.sqs().delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return parse(message["Body"])

    def receive(self) -> str:
        return self._aws.sqs().receive_message(QueueUrl=self._url)["Messages"][0]["ReceiptHandle"]

    def comes_again(self) -> list[tuple[str, int]]:
        asked = self._aws.asked("ChangeMessageVisibility")
        return [
            (each["ReceiptHandle"], each["VisibilityTimeout"])
            for each in asked
            if each["QueueUrl"] == self._url
        ]

    def fail(self) -> None:
        self._aws.faults = [
            Fault("SendMessage", "KmsThrottled"),
            Fault("ChangeMessageVisibility", "RequestThrottled"),
        ]


class TestFakeRecoveryQueue(RecoveryBattery):
    @pytest.fixture
    def queue(self) -> Queue:
        return FakeQueue()


class TestSqsRecoveryQueue(RecoveryBattery):
    @pytest.fixture
    def queue(self, aws: AwsServer) -> Iterator[Queue]:
        with aws.failing():
            yield SqsQueue(aws)
