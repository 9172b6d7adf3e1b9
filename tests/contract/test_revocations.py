"""The revocations battery, on the fake and on SQS."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from mooring.adapters.revocation_queue import SqsRevocations, parse
from mooring.core.errors import Failure, Reason
from mooring.core.revocation import Revocation
from tests.contract.aws_server import AwsServer, Fault
from tests.contract.revocations_battery import Queue, RevocationsBattery
from tests.fakes.revocations import FakeRevocations


class FakeQueue:
    """A queue in memory."""

    def __init__(self) -> None:
        self.revocations = FakeRevocations()

    def take(self) -> Revocation:
        return self.revocations.messages.pop(0)

    def receive(self) -> str:
        return f"receipt of {len(self.revocations.messages)}"

    def comes_again(self) -> list[tuple[str, int]]:
        return self.revocations.again

    def fail(self) -> None:
        down = Failure(Reason.STORAGE_UNAVAILABLE)
        self.revocations.broken.update(ask=down, again_in=down)


class SqsQueue:
    """A queue in SQS."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self._url = aws.sqs().create_queue(QueueName=f"revoke-{uuid4().hex}")["QueueUrl"]
        self.revocations = SqsRevocations(aws.sqs(), self._url)

    def take(self) -> Revocation:
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


class TestFakeRevocations(RevocationsBattery):
    @pytest.fixture
    def queue(self) -> Queue:
        return FakeQueue()


class TestSqsRevocations(RevocationsBattery):
    @pytest.fixture
    def queue(self, aws: AwsServer) -> Iterator[Queue]:
        with aws.failing():
            yield SqsQueue(aws)
