"""The revocations battery, on the fake and on SQS."""

from collections.abc import Iterator

import pytest

from mooring.adapters.revocation_queue import SqsRevocations, parse
from mooring.core.errors import Failure, Reason
from mooring.core.revocation import Revocation
from tests.contract.aws_server import AwsServer
from tests.contract.queues import SqsWorld
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


class SqsQueue(SqsWorld):
    """A queue in SQS."""

    def __init__(self, aws: AwsServer) -> None:
        super().__init__(aws)
        self.revocations = SqsRevocations(self.client, self.url)

    def take(self) -> Revocation:
        return parse(self.next_body())


class TestFakeRevocations(RevocationsBattery):
    @pytest.fixture
    def queue(self) -> Queue:
        return FakeQueue()


class TestSqsRevocations(RevocationsBattery):
    @pytest.fixture
    def queue(self, aws: AwsServer) -> Iterator[Queue]:
        with aws.failing():
            yield SqsQueue(aws)
