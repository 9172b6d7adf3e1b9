"""The batteries of the ports with conditional writes, on an implementation of DynamoDB that is not moto.

What both agree on is a property of the expressions, and not of one emulator's reading of them.
"""

from typing import cast

import pytest

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.core.upkeep_ports import Circuits
from tests.concurrency.database import Database
from tests.contract.aws_server import FLOWS, AwsServer
from tests.contract.circuits_battery import CircuitsBattery
from tests.contract.connections_battery import ConnectionsBattery
from tests.contract.connections_battery import World as ConnectionsWorld
from tests.contract.endings_battery import EndingsBattery
from tests.contract.leases_battery import LeasesBattery
from tests.contract.recoveries_battery import RecoveriesBattery
from tests.contract.test_connections import DynamoWorld as DynamoConnectionsWorld
from tests.contract.upkeep_world import DynamoWorld, World
from tests.fakes.clock import FakeClock


@pytest.fixture
def aws(ministack: Database) -> AwsServer:
    """As much of a server as the worlds of the batteries use: its DynamoDB client."""
    return cast("AwsServer", ministack)


class OnMinistack:
    """The rows of upkeep."""

    @pytest.fixture
    def world(self, aws: AwsServer) -> World:
        return DynamoWorld(aws)


class TestLeases(OnMinistack, LeasesBattery):
    pass


class TestEndings(OnMinistack, EndingsBattery):
    pass


class TestRecoveries(OnMinistack, RecoveriesBattery):
    pass


class TestConnections(ConnectionsBattery):
    @pytest.fixture
    def world(self, aws: AwsServer) -> ConnectionsWorld:
        return DynamoConnectionsWorld(aws)


class TestCircuits(CircuitsBattery):
    @pytest.fixture
    def circuits(self, clock: FakeClock, aws: AwsServer) -> Circuits:
        return DynamoCircuits(aws.dynamodb(), FLOWS, clock)
