"""The due index and the circuits: what they ask for, keys that are left unanswered, and faults."""

from collections.abc import Callable
from typing import Any

import pytest

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.adapters.dynamodb_due import SEEN_ATTRIBUTES, DynamoDueIndex
from mooring.adapters.patience import Patience
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Key, Seen, Standing
from tests.contract.aws_server import CONNECTIONS, FLOWS, AwsServer, Fault
from tests.contract.samples import NOW
from tests.contract.upkeep_world import DynamoWorld, connected


class Setting:
    """Both adapters, with a clock that only the pauses move."""

    def __init__(self, aws: AwsServer) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        patience = Patience(lambda: self.seconds, self.sleep, lambda: 1.0)
        self.due = DynamoDueIndex(aws.dynamodb(), CONNECTIONS, patience)
        self.circuits = DynamoCircuits(aws.dynamodb(), FLOWS, lambda: NOW, patience)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


@pytest.fixture
def setting(aws: AwsServer) -> Setting:
    return Setting(aws)


def unanswered(table: str, *keys: dict[str, Any]) -> Fault:
    """A batch that answers nothing and leaves `keys` over, as DynamoDB does when it is short of capacity."""
    left = {table: {"Keys": list(keys)}} if keys else {}
    return Fault("BatchGetItem", "", 200, more={"Responses": {table: []}, "UnprocessedKeys": left})


def where(key: Key) -> dict[str, Any]:
    return {"merchant_id": {"S": key.merchant_id}, "connection": {"S": f"{key.provider}#{key.account_id}"}}


def test_the_sweep_asks_for_nothing_but_what_it_needs(aws: AwsServer, setting: Setting) -> None:
    key = connected(DynamoWorld(aws))
    setting.due.standing([key])
    (asked,) = aws.asked("BatchGetItem")[-1]["RequestItems"].values()
    aliases = [alias.strip() for alias in asked["ProjectionExpression"].split(",")]
    assert {asked["ExpressionAttributeNames"][alias] for alias in aliases} == set(SEEN_ATTRIBUTES)
    assert not asked.get("ConsistentRead")


def test_the_index_is_asked_in_order_of_time(aws: AwsServer, setting: Setting) -> None:
    setting.due.due("prov-a#0", NOW, 7)
    asked = aws.asked("Query")[-1]
    assert (asked["IndexName"], asked["Limit"], asked["ScanIndexForward"]) == ("due", 7, True)


def test_keys_that_were_left_unanswered_are_asked_for_again(aws: AwsServer, setting: Setting) -> None:
    world = DynamoWorld(aws)
    keys = [connected(world), connected(world)]
    with aws.failing(unanswered(CONNECTIONS, *map(where, keys)), unanswered(CONNECTIONS, where(keys[1]))):
        found = setting.due.standing(keys)
    assert found == {keys[1]: Standing(Seen(1, 1))}, "the first was answered with nothing the second time"
    assert setting.pauses == [0.05, 0.1]


def test_keys_that_stay_unanswered_are_a_failure(aws: AwsServer, setting: Setting) -> None:
    key = connected(DynamoWorld(aws))
    with aws.failing(*[unanswered(CONNECTIONS, where(key))] * 50), pytest.raises(Failure) as caught:
        setting.due.standing([key])
    assert (caught.value.reason, caught.value.detail) == (Reason.STORAGE_UNAVAILABLE, "UnprocessedKeys")


def test_circuits_that_were_left_unanswered_are_asked_for_again(aws: AwsServer, setting: Setting) -> None:
    setting.circuits.open("prov-left", Reason.PROVIDER_MISCONFIGURED, NOW)
    with aws.failing(unanswered(FLOWS, {"pk": {"S": "circuit#prov-left"}})):
        assert list(setting.circuits.known(["prov-left"])) == ["prov-left"]
    assert setting.pauses == [0.05]
    assert aws.asked("BatchGetItem")[-1]["RequestItems"][FLOWS]["ConsistentRead"] is True


def test_a_circuit_as_it_lies(aws: AwsServer, setting: Setting) -> None:
    setting.circuits.open("prov-lies", Reason.PROVIDER_MISCONFIGURED, NOW)
    assert aws.dynamodb().get_item(TableName=FLOWS, Key={"pk": {"S": "circuit#prov-lies"}})["Item"] == {
        "pk": {"S": "circuit#prov-lies"},
        "provider": {"S": "prov-lies"},
        "reason": {"S": "provider_misconfigured"},
        "opened_at": {"N": str(NOW)},
        "not_before": {"N": "0"},
        "expires_at": {"N": str(NOW + 30 * 86_400)},
    }


def test_a_table_that_does_not_answer_is_said_by_its_code(aws: AwsServer, setting: Setting) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("Query", lambda: setting.due.due("prov-a#0", NOW, 1)),
        ("BatchGetItem", lambda: setting.due.standing([Key("m", "prov-a", "x")])),
        ("BatchGetItem", lambda: setting.circuits.known(["prov-a"])),
        ("PutItem", lambda: setting.circuits.open("prov-a", Reason.PROVIDER_MISCONFIGURED, NOW)),
        ("UpdateItem", lambda: setting.circuits.put_off("prov-a", NOW + 60)),
        ("UpdateItem", lambda: setting.circuits.close("prov-a", NOW)),
    ]
    for operation, call in calls:
        with aws.out(operation, "AccessDeniedException"), pytest.raises(Failure) as caught:
            call()
        told = (caught.value.reason, caught.value.detail)
        assert told == (Reason.STORAGE_UNAVAILABLE, "AccessDeniedException")
