"""The due index battery, on the fake and on DynamoDB."""

import pytest

from tests.contract.aws_server import AwsServer
from tests.contract.due_battery import DueBattery
from tests.contract.upkeep_world import DynamoWorld, FakeWorld, World


class TestFakeDueIndex(DueBattery):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestDynamoDueIndex(DueBattery):
    @pytest.fixture
    def world(self, aws: AwsServer) -> World:
        return DynamoWorld(aws)
