"""The flows battery, on the fake and on DynamoDB."""

import pytest

from mooring.adapters.dynamodb_flows import DynamoFlows
from tests.contract.aws_server import FLOWS, AwsServer
from tests.contract.flows_battery import AllFlows, FlowsBattery
from tests.fakes.flows import FakeFlows


class TestFakeFlows(FlowsBattery):
    @pytest.fixture
    def flows(self) -> AllFlows:
        return FakeFlows()


class TestDynamoFlows(FlowsBattery):
    @pytest.fixture
    def flows(self, aws: AwsServer) -> AllFlows:
        return DynamoFlows(aws.dynamodb(), FLOWS)
