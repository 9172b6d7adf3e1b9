"""The flows battery, on the fake and on DynamoDB."""

import pytest

from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.core.ports import Flows
from tests.contract.aws_server import FLOWS, AwsServer
from tests.contract.flows_battery import FlowsBattery
from tests.fakes.flows import FakeFlows


class TestFakeFlows(FlowsBattery):
    @pytest.fixture
    def flows(self) -> Flows:
        return FakeFlows()


class TestDynamoFlows(FlowsBattery):
    @pytest.fixture
    def flows(self, aws: AwsServer) -> Flows:
        return DynamoFlows(aws.dynamodb(), FLOWS)
