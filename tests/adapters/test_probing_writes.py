"""A round of probes begins: how many writes that takes, and when the row is shown."""

from typing import Any

import pytest

from mooring.core.upkeep import Key
from tests.contract.aws_server import CONNECTIONS, AwsServer
from tests.contract.samples import BARE
from tests.contract.upkeep_world import DUE, DynamoWorld, connected

TOLD = "ReturnValuesOnConditionCheckFailure"
LATER = DUE + 30 * 86_400


@pytest.fixture
def world(aws: AwsServer) -> DynamoWorld:
    return DynamoWorld(aws)


def begun(aws: AwsServer, world: DynamoWorld, key: Key, due_at: int | None) -> list[dict[str, Any]]:
    """What a round that begins asks of the table."""
    before = len(aws.requests)
    assert world.endings.probing(key, None, DUE, pause=600, due_at=due_at)
    assert {operation for operation, _ in aws.requests[before:]} == {"UpdateItem"}
    return [asked for _, asked in aws.requests[before:]]


@pytest.mark.parametrize(
    ("expires_at", "due_at", "shown"),
    [
        (None, LATER, [True]),
        (None, None, [False]),
        (DUE, None, [False]),
        (DUE, LATER, [True, False]),
    ],
)
def test_only_a_row_that_ends_takes_a_second_write(
    aws: AwsServer, world: DynamoWorld, expires_at: int | None, due_at: int | None, shown: list[bool]
) -> None:
    key = connected(world, tokens=BARE._replace(expires_at=expires_at))
    assert [TOLD in asked for asked in begun(aws, world, key, due_at)] == shown


def test_of_a_row_that_ends_the_first_write_changes_nothing(aws: AwsServer, world: DynamoWorld) -> None:
    key = connected(world, tokens=BARE._replace(expires_at=DUE))
    before = stored(aws, key)
    first = begun(aws, world, key, LATER)[0]
    aws.dynamodb().put_item(TableName=CONNECTIONS, Item=before)
    with pytest.raises(aws.dynamodb().exceptions.ConditionalCheckFailedException):
        aws.dynamodb().update_item(**first)
    assert stored(aws, key) == before


def stored(aws: AwsServer, key: Key) -> dict[str, Any]:
    where = {"merchant_id": {"S": key.merchant_id}, "connection": {"S": f"{key.provider}#{key.account_id}"}}
    return dict(aws.dynamodb().get_item(TableName=CONNECTIONS, Key=where)["Item"])
