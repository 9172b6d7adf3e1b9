"""The recovery battery, on the fake and on SQS."""

from collections.abc import Iterator

import pytest

from mooring.adapters.recovery_queue import SqsRecoveryQueue, parse
from mooring.core.connection import NewConnection
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Recovered, Refreshed
from tests.contract.aws_server import AwsServer
from tests.contract.queues import SqsWorld
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
        self.recovery.broken.update(put=down, put_refreshed=down, again_in=down, again_soon=down)


class SqsQueue(SqsWorld):
    """A queue in SQS."""

    def __init__(self, aws: AwsServer) -> None:
        super().__init__(aws)
        self.recovery = SqsRecoveryQueue(self.client, self.url)

    def take(self) -> tuple[NewConnection, str, str, str]:
        found = parse(self.next_body())
        assert isinstance(found, Recovered)
        return found.new, found.link.merchant_id, found.link.jti, found.state_hash

    def take_refreshed(self) -> Refreshed:
        found = parse(self.next_body())
        assert isinstance(found, Refreshed)
        return found


class TestFakeRecoveryQueue(RecoveryBattery):
    @pytest.fixture
    def queue(self) -> Queue:
        return FakeQueue()


class TestSqsRecoveryQueue(RecoveryBattery):
    @pytest.fixture
    def queue(self, aws: AwsServer) -> Iterator[Queue]:
        with aws.failing():
            yield SqsQueue(aws)
