"""The endings battery, on the fake and on DynamoDB."""

import pytest

from tests.contract.aws_server import AwsServer
from tests.contract.endings_battery import EndingsBattery
from tests.contract.upkeep_world import DynamoWorld, FakeWorld, World


class TestFakeEndings(EndingsBattery):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestDynamoEndings(EndingsBattery):
    @pytest.fixture
    def world(self, aws: AwsServer) -> World:
        return DynamoWorld(aws)
