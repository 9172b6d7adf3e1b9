"""The listing battery, on the fake and on DynamoDB."""

import pytest

from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.core.connection import Connection
from tests.contract.aws_server import CONNECTIONS, AwsServer
from tests.contract.listing_battery import ListingBattery, World
from tests.contract.samples import a_link, exchange
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlows


class FakeWorld:
    """Connections in memory."""

    def __init__(self) -> None:
        self.connections = FakeConnections(FakeFlows())

    def place(self, connection: Connection) -> None:
        self.connections.put(connection, None)

    def remove(self, merchant_id: str, key: str) -> None:
        del self.connections.rows[merchant_id, key]

    def place_others(self, merchant_id: str) -> None:
        self.connections.pending[merchant_id, "hash"] = exchange(a_link(merchant_id))


class DynamoWorld:
    """Connections in DynamoDB."""

    def __init__(self, aws: AwsServer) -> None:
        self._client = aws.dynamodb()
        self.connections = DynamoConnections(self._client, CONNECTIONS)

    def place(self, connection: Connection) -> None:
        row = {
            "status": {"S": connection.status.value},
            "generation": {"N": str(connection.generation)},
            "version": {"N": str(connection.version)},
            "scopes": {"L": [{"S": scope} for scope in connection.scopes]},
            "connected_at": {"N": str(connection.connected_at)},
            "updated_at": {"N": str(connection.updated_at)},
            "account_verified": {"BOOL": connection.account_verified},
            "details": {"M": {name: {"S": text} for name, text in connection.details.items()}},
            "refresh": {"B": b"a sealed refresh token"},
        }
        key = self._key(connection.merchant_id, f"{connection.provider}#{connection.account_id}")
        self._client.put_item(TableName=CONNECTIONS, Item={**key, **row})  # type: ignore[dict-item]

    def remove(self, merchant_id: str, key: str) -> None:
        self._client.delete_item(TableName=CONNECTIONS, Key=self._key(merchant_id, key))

    def place_others(self, merchant_id: str) -> None:
        for key in ("@pending#hash", "@account#prov-a#1"):
            item = {**self._key(merchant_id, key), "status": {"S": "pending_confirmation"}}
            self._client.put_item(TableName=CONNECTIONS, Item=item)

    def _key(self, merchant_id: str, key: str) -> dict[str, dict[str, str]]:
        return {"merchant_id": {"S": merchant_id}, "connection": {"S": key}}


class TestFakeListing(ListingBattery):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestDynamoListing(ListingBattery):
    @pytest.fixture
    def world(self, aws: AwsServer) -> World:
        return DynamoWorld(aws)
