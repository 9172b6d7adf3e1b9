"""The leases battery, on the fake and on DynamoDB."""

import pytest

from tests.contract.aws_server import AwsServer
from tests.contract.leases_battery import LeasesBattery
from tests.contract.upkeep_world import DynamoWorld, FakeWorld, World


class TestFakeLeases(LeasesBattery):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestDynamoLeases(LeasesBattery):
    @pytest.fixture
    def world(self, aws: AwsServer) -> World:
        return DynamoWorld(aws)
