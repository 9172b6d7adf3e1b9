"""The generations battery, on the fake and on DynamoDB, and how the latter is asked."""

from collections.abc import Iterator

import pytest

from mooring.adapters.dynamodb_generations import ATTRIBUTES, DynamoGenerations
from mooring.core.connection import Connection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.names import connection_key
from mooring.core.revocation import Revoked
from mooring.core.upkeep import Key
from tests.contract.aws_server import CONNECTIONS, AwsServer, Fault
from tests.contract.generations_battery import GenerationsBattery, Table, a_key
from tests.contract.samples import NOW, a_merchant
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlows
from tests.fakes.generations import FakeGenerations


class FakeTable:
    """Rows in memory."""

    def __init__(self) -> None:
        self._connections = FakeConnections(FakeFlows())
        self.generations = FakeGenerations(self._connections)

    def place(self, key: Key, status: Status, generation: int = 1, *, verified: bool = True) -> None:
        numbers = (generation, generation)
        connection = Connection(*key, status, *numbers, (), None, NOW, NOW, verified, None, {})
        self._connections.put(connection, None)

    def noted(self, key: Key) -> str | None:
        row = self._connections.row(key)
        assert row is not None
        return row.connection.revocation

    def fail(self) -> None:
        down = Failure(Reason.STORAGE_UNAVAILABLE)
        self.generations.broken.update(living=down, has_relatives=down, note=down)


class DynamoTable:
    """Rows in DynamoDB, put there with what a revocation looks at and nothing else."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self.generations = DynamoGenerations(aws.dynamodb(), CONNECTIONS)

    def place(self, key: Key, status: Status, generation: int = 1, *, verified: bool = True) -> None:
        name = {"S": connection_key(key.provider, key.account_id)}
        row = {"merchant_id": {"S": key.merchant_id}, "connection": name}
        more = {"status": {"S": status.value}, "generation": {"N": str(generation)}}
        self._aws.dynamodb().put_item(TableName=CONNECTIONS, Item={**row, **more, "announce": {"S": "x"}})
        if verified:
            pointer = {"merchant_id": {"S": f"@account#{name['S']}"}, "connection": {"S": key.merchant_id}}
            self._aws.dynamodb().put_item(TableName=CONNECTIONS, Item=pointer)

    def noted(self, key: Key) -> str | None:
        where = {
            "merchant_id": {"S": key.merchant_id},
            "connection": {"S": connection_key(key.provider, key.account_id)},
        }
        row = self._aws.dynamodb().get_item(TableName=CONNECTIONS, Key=where)["Item"]
        assert ("revocation" in row) != ("announce" in row), "every write takes off what was announced before"
        return row["revocation"]["S"] if "revocation" in row else None

    def fail(self) -> None:
        wrong = [Fault(name, "ThrottlingException") for name in ("GetItem", "Query", "UpdateItem")]
        self._aws.faults = wrong


class TestFakeGenerations(GenerationsBattery):
    @pytest.fixture
    def table(self) -> Table:
        return FakeTable()


class TestDynamoGenerations(GenerationsBattery):
    @pytest.fixture
    def table(self, aws: AwsServer) -> Iterator[Table]:
        with aws.failing():
            yield DynamoTable(aws)


def test_every_look_is_consistent_and_asks_for_nothing_sealed(aws: AwsServer) -> None:
    key, table = a_key(f"shop-of-{a_merchant()}"), DynamoTable(aws)
    table.place(key, Status.DISCONNECTED)
    before = len(aws.requests)
    table.generations.living(key)
    table.generations.has_relatives(key)
    asked = [given for name, given in aws.requests[before:] if name in ("GetItem", "Query")]
    assert len(asked) == 3
    for given in asked:
        assert given["ConsistentRead"] is True
        assert set(given["ExpressionAttributeNames"].values()) <= {"merchant_id", *ATTRIBUTES}
        assert given["ProjectionExpression"] == ", ".join(f"#{name}" for name in ATTRIBUTES)


def test_a_note_returns_nothing_of_the_row(aws: AwsServer) -> None:
    table = DynamoTable(aws)
    table.generations.note(a_key(), 1, Revoked.REVOKED)
    given = aws.asked("UpdateItem")[-1]
    assert given.get("ReturnValues", "NONE") == "NONE"
    assert "ReturnValuesOnConditionCheckFailure" not in given


def test_all_pages_of_a_merchant_are_looked_through(aws: AwsServer) -> None:
    key, table = a_key("shop-0"), DynamoTable(aws)
    table.place(key, Status.DISCONNECTED, verified=False)
    filler = {"B": b"x" * 300_000}
    for number in range(1, 5):
        name = {"S": connection_key(key.provider, f"shop-{number}")}
        row = {"merchant_id": {"S": key.merchant_id}, "connection": name, "generation": {"N": "1"}}
        status = {"S": "active" if number == 4 else "uninstalled"}
        aws.dynamodb().put_item(TableName=CONNECTIONS, Item={**row, "status": status, "x": filler})
    before = len(aws.asked("Query"))
    assert table.generations.has_relatives(key)
    assert len(aws.asked("Query")) - before == 2
