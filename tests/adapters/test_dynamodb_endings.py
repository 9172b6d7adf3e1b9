"""Endings: what comes back from the table to whom, lost answers, and faults."""

from collections.abc import Callable
from typing import Any

import pytest

from mooring.adapters.dynamodb_endings import DynamoEndings
from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Key, Seen
from tests.contract.aws_server import CONNECTIONS, FLOWS, AwsServer, Fault
from tests.contract.samples import NOW, a_merchant
from tests.contract.upkeep_world import DUE, DynamoWorld, connected, row

LOST = Fault("UpdateItem", "InternalServerError", 500, after=True)
SEALED = {"access", "access_key", "refresh", "refresh_key", "previous_refresh", "previous_refresh_key"}


@pytest.fixture
def world(aws: AwsServer) -> DynamoWorld:
    return DynamoWorld(aws)


@pytest.fixture
def endings(aws: AwsServer) -> DynamoEndings:
    """Endings whose client tries twice, as in production."""
    return DynamoEndings(aws.dynamodb(attempts=2), CONNECTIONS, FLOWS)


@pytest.mark.parametrize("again", [True, False])
def test_who_ends_a_connection_is_never_shown_the_row(
    aws: AwsServer, world: DynamoWorld, again: bool
) -> None:
    ends: list[Callable[[Key], object]] = [
        lambda key: world.endings.disconnect(key, DUE),
        lambda key: world.endings.uninstall(key, DUE, DUE),
    ]
    for end in ends:
        key = connected(world)
        if again:
            world.endings.disconnect(key, DUE - 1)
        before = len(aws.requests)
        end(key)
        for operation, asked in aws.requests[before:]:
            assert asked.get("ReturnValues", "NONE") == "NONE"
            assert "ReturnValuesOnConditionCheckFailure" not in asked
            if operation == "GetItem":
                assert asked["ExpressionAttributeNames"] == {"#status": "status"}


def test_whoever_ends_it_erases_everything_sealed(aws: AwsServer, world: DynamoWorld) -> None:
    ends: list[Callable[[Key], object]] = [
        lambda key: world.endings.disconnect(key, DUE),
        lambda key: world.endings.uninstall(key, DUE, DUE),
        lambda key: world.endings.refused(key, Seen(1, 1), Reason.TOKEN_REFUSED, DUE, uninstall=True),
    ]
    for end in ends:
        key = connected(world)
        change(aws, key, "SET previous_refresh = refresh, previous_refresh_key = refresh_key")
        end(key)
        assert not SEALED & set(stored(aws, key))


def test_an_uninstall_is_two_calls_and_one_for_each_merchant(aws: AwsServer, world: DynamoWorld) -> None:
    account = f"shop-{a_merchant()}"
    keys = [connected(world, account) for _ in range(2)]
    before = len(aws.requests)
    world.endings.bury("prov-a", account, DUE, DUE)
    for merchant in world.endings.holders("prov-a", account):
        world.endings.uninstall(Key(merchant, "prov-a", account), DUE, DUE)
    made = [operation for operation, _ in aws.requests[before:]]
    assert made == ["PutItem", "Query", "UpdateItem", "UpdateItem"]
    assert all(row(world, key).connection.status is Status.UNINSTALLED for key in keys)


def test_holders_are_read_consistently_and_by_name_alone(aws: AwsServer, world: DynamoWorld) -> None:
    world.endings.holders("prov-a", "shop-1")
    asked = aws.asked("Query")[-1]
    assert asked["ConsistentRead"] is True
    assert asked["ProjectionExpression"] == "#connection"
    assert asked["ExpressionAttributeValues"] == {":account": {"S": "@account#prov-a#shop-1"}}


def test_holders_on_many_pages_are_all_found(aws: AwsServer, world: DynamoWorld) -> None:
    # DynamoDB ends a page at 1 MB, and a projection does not make its rows smaller.
    account = f"@account#prov-a#shop-{a_merchant()}"
    for number in range(5):
        pointer = {"merchant_id": {"S": account}, "connection": {"S": f"m-{number}"}}
        aws.dynamodb().put_item(TableName=CONNECTIONS, Item=pointer | {"note": {"S": "x" * 300_000}})
    before = len(aws.asked("Query"))
    found = world.endings.holders("prov-a", account.rpartition("#")[2])
    assert found == [f"m-{number}" for number in range(5)]
    assert len(aws.asked("Query")) - before > 1


def test_a_tombstone_outlives_whatever_may_wait_on_a_queue(aws: AwsServer, world: DynamoWorld) -> None:
    account = f"shop-{a_merchant()}"
    world.endings.bury("prov-a", account, DUE, DUE + 5)
    stone = aws.dynamodb().get_item(TableName=FLOWS, Key={"pk": {"S": f"tombstone#prov-a#{account}"}})["Item"]
    assert stone == {
        "pk": {"S": f"tombstone#prov-a#{account}"},
        "at": {"N": str(DUE)},
        "expires_at": {"N": str(DUE + 5 + 15 * 86_400)},
    }


def test_an_end_whose_answer_was_lost_is_told(
    aws: AwsServer, world: DynamoWorld, endings: DynamoEndings
) -> None:
    cut, gone, refused, doubted = (connected(world) for _ in range(4))
    with aws.failing(LOST):
        assert endings.disconnect(cut, DUE) is True
    with aws.failing(LOST):
        assert endings.uninstall(gone, DUE, DUE)
    for key, uninstall in ((refused, True), (doubted, False)):
        with aws.failing(LOST):
            assert endings.refused(key, Seen(1, 1), Reason.TOKEN_REFUSED, DUE, uninstall=uninstall)


def test_who_counts_or_postpones_is_never_shown_the_row(aws: AwsServer, world: DynamoWorld) -> None:
    key = connected(world)
    before = len(aws.requests)
    for now in (DUE, DUE + 1, DUE + 60):
        world.endings.report(key, Seen(1, 1), now)
        world.endings.postpone(key, now + 30, now)
    made = aws.requests[before:]
    assert {operation for operation, _ in made} == {"UpdateItem"}
    assert all("ReturnValuesOnConditionCheckFailure" not in asked for _, asked in made)
    assert {asked.get("ReturnValues", "NONE") for _, asked in made} == {"NONE", "UPDATED_NEW"}


def test_a_first_report_is_one_write_and_a_later_one_two(aws: AwsServer, world: DynamoWorld) -> None:
    key = connected(world)
    writes = []
    for now in (DUE, DUE + 60, DUE + 61, DUE + 960):
        before = len(aws.requests)
        world.endings.report(key, Seen(1, 1), now)
        writes.append(len(aws.requests) - before)
    assert writes == [1, 2, 2, 1]


def test_a_report_whose_answer_was_lost_counts_once(
    aws: AwsServer, world: DynamoWorld, endings: DynamoEndings
) -> None:
    key = connected(world)
    with aws.failing(LOST):
        assert endings.report(key, Seen(1, 1), DUE) is None
    assert world.rest(key).unauthorized_count == 1
    assert world.endings.report(key, Seen(1, 1), DUE + 60) == 2


def test_a_hint_whose_answer_was_lost_is_taken_for_a_second_one(
    aws: AwsServer, world: DynamoWorld, endings: DynamoEndings
) -> None:
    key = connected(world)
    with aws.failing(LOST):
        assert endings.postpone(key, DUE + 600, DUE) is False
    assert world.rest(key).hinted_until == DUE + 600


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_a_table_that_does_not_answer_is_said_by_its_code(
    aws: AwsServer, world: DynamoWorld, code: str
) -> None:
    key, endings = connected(world), world.endings
    calls: list[tuple[str, Callable[[], object]]] = [
        ("UpdateItem", lambda: endings.probing(key, None, DUE, pause=0, due_at=None)),
        ("UpdateItem", lambda: endings.remind(key, DUE)),
        ("UpdateItem", lambda: endings.postpone(key, DUE + 600, DUE)),
        ("UpdateItem", lambda: endings.report(key, Seen(1, 1), DUE)),
        ("UpdateItem", lambda: endings.alive(key, Seen(1, 1))),
        ("UpdateItem", lambda: endings.refused(key, Seen(1, 1), Reason.TOKEN_REFUSED, DUE, uninstall=True)),
        ("UpdateItem", lambda: endings.uninstall(key, DUE, DUE)),
        ("UpdateItem", lambda: endings.disconnect(key, DUE)),
        ("GetItem", lambda: endings.disconnect(Key(a_merchant(), "prov-a", "x"), DUE)),
        ("PutItem", lambda: endings.bury("prov-a", "shop-1", DUE, DUE)),
        ("Query", lambda: endings.holders("prov-a", "shop-1")),
    ]
    for operation, call in calls:
        with aws.out(operation, code), pytest.raises(Failure) as caught:
            call()
        assert (caught.value.reason, caught.value.detail) == (Reason.STORAGE_UNAVAILABLE, code)
    assert row(world, key).connection.updated_at == NOW + 2


def stored(aws: AwsServer, key: Key) -> dict[str, Any]:
    where = {"merchant_id": {"S": key.merchant_id}, "connection": {"S": f"{key.provider}#{key.account_id}"}}
    return dict(aws.dynamodb().get_item(TableName=CONNECTIONS, Key=where)["Item"])


def change(aws: AwsServer, key: Key, expression: str) -> None:
    where = {"merchant_id": {"S": key.merchant_id}, "connection": {"S": f"{key.provider}#{key.account_id}"}}
    aws.dynamodb().update_item(TableName=CONNECTIONS, Key=where, UpdateExpression=expression)
