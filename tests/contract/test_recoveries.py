"""The recoveries battery, on the fake and on DynamoDB."""

import pytest

from tests.contract.aws_server import AwsServer
from tests.contract.recoveries_battery import RecoveriesBattery
from tests.contract.upkeep_world import DynamoWorld, FakeWorld, World


class TestFakeRecoveries(RecoveriesBattery):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestDynamoRecoveries(RecoveriesBattery):
    @pytest.fixture
    def world(self, aws: AwsServer) -> World:
        return DynamoWorld(aws)
