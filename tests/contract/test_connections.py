"""The connections battery, on the fakes and on DynamoDB."""

import pytest

from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.adapters.dynamodb_flows import DynamoFlows
from tests.contract.aws_server import CONNECTIONS, FLOWS, AwsServer
from tests.contract.connections_battery import ConnectionsBattery, World
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlows


class FakeWorld:
    """Flows and connections in memory."""

    def __init__(self) -> None:
        self.flows = FakeFlows()
        self.connections = FakeConnections(self.flows)

    def tombstone(self, provider: str, account_id: str, at: int) -> None:
        self.connections.tombstones[provider, account_id] = at

    def pointers(self, provider: str, account_id: str) -> set[str]:
        return self.connections.pointers.get((provider, account_id), set())

    def waits(self, merchant_id: str, confirmation_hash: str) -> bool:
        return (merchant_id, confirmation_hash) in self.connections.pending


class DynamoWorld:
    """Flows and connections in DynamoDB."""

    def __init__(self, aws: AwsServer) -> None:
        self._client = aws.dynamodb()
        self.flows = DynamoFlows(self._client, FLOWS)
        self.connections = DynamoConnections(self._client, CONNECTIONS, FLOWS)

    def tombstone(self, provider: str, account_id: str, at: int) -> None:
        row = {"pk": {"S": f"tombstone#{provider}#{account_id}"}, "at": {"N": str(at)}}
        self._client.put_item(TableName=FLOWS, Item=row)

    def pointers(self, provider: str, account_id: str) -> set[str]:
        found = self._client.query(
            TableName=CONNECTIONS,
            KeyConditionExpression="merchant_id = :account",
            ExpressionAttributeValues={":account": {"S": f"@account#{provider}#{account_id}"}},
        )
        return {row["connection"]["S"] for row in found["Items"]}

    def waits(self, merchant_id: str, confirmation_hash: str) -> bool:
        key = {"merchant_id": {"S": merchant_id}, "connection": {"S": f"@pending#{confirmation_hash}"}}
        return "Item" in self._client.get_item(TableName=CONNECTIONS, Key=key)


class TestFakeConnections(ConnectionsBattery):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestDynamoConnections(ConnectionsBattery):
    @pytest.fixture
    def world(self, aws: AwsServer) -> World:
        return DynamoWorld(aws)
