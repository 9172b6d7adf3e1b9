"""The circuits battery, on the fake and on DynamoDB."""

import pytest

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.core.upkeep_ports import Circuits
from tests.contract.aws_server import FLOWS, AwsServer
from tests.contract.circuits_battery import CircuitsBattery
from tests.fakes.circuits import FakeCircuits
from tests.fakes.clock import FakeClock


class TestFakeCircuits(CircuitsBattery):
    @pytest.fixture
    def circuits(self, clock: FakeClock) -> Circuits:
        return FakeCircuits(clock=clock)


class TestDynamoCircuits(CircuitsBattery):
    @pytest.fixture
    def circuits(self, clock: FakeClock, aws: AwsServer) -> Circuits:
        return DynamoCircuits(aws.dynamodb(), FLOWS, clock)
