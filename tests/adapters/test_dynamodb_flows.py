"""Faults of the flows table: lost answers, refusals, and rows that somebody else changed."""

from typing import Any

import pytest

from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.ports import Burn, BurnStatus
from tests.contract.aws_server import FLOWS, AwsServer, Fault
from tests.contract.samples import NOW, a_link, a_state, sealed

LOST = Fault("UpdateItem", "InternalServerError", 500, after=True)


@pytest.fixture
def flows(aws: AwsServer) -> DynamoFlows:
    return DynamoFlows(aws.dynamodb(attempts=2), FLOWS)


def change(aws: AwsServer, link: Link, expression: str, values: dict[str, Any]) -> None:
    aws.dynamodb().update_item(
        TableName=FLOWS,
        Key={"pk": {"S": f"link#{link.merchant_id}#{link.jti}"}},
        UpdateExpression=expression,
        ExpressionAttributeValues=values,
    )


def test_a_burn_whose_answer_was_lost_is_ours(aws: AwsServer, flows: DynamoFlows) -> None:
    link, state = a_link(), a_state()
    with aws.failing(LOST):
        assert flows.burn(link, state, NOW) == Burn(BurnStatus.BURNED, NOW)
    assert flows.burn(link, state, NOW + 1) == Burn(BurnStatus.EXCHANGING, NOW)


def test_a_burn_is_one_write_and_no_read(aws: AwsServer, flows: DynamoFlows) -> None:
    link, state = a_link(), a_state()
    before = len(aws.requests)
    flows.burn(link, state, NOW)
    flows.burn(link, state, NOW)
    assert [operation for operation, _ in aws.requests[before:]] == ["UpdateItem", "UpdateItem"]


@pytest.mark.parametrize(("others", "writes"), [(0, 1), (1, 2), (5, 2)])
def test_a_failure_is_one_write_and_beside_others_two(
    aws: AwsServer, flows: DynamoFlows, others: int, writes: int
) -> None:
    link, state = a_link(), a_state()
    for each in (state, *(a_state() for _ in range(others))):
        flows.burn(link, each, NOW)
    before = len(aws.requests)
    flows.fail(link, state, "grant_refused")
    assert [operation for operation, _ in aws.requests[before:]] == ["UpdateItem"] * writes


@pytest.mark.parametrize("others", [0, 1])
def test_a_failure_whose_answer_was_lost_is_noted(aws: AwsServer, flows: DynamoFlows, others: int) -> None:
    link, states, at = a_link(), [a_state() for _ in range(others + 1)], NOW + 700_000 + others
    for state in states:
        flows.burn(link, state, at)
    with aws.failing(LOST):
        flows.fail(link, states[-1], "grant_refused")
    assert flows.burn(link, states[-1], at).status is BurnStatus.FAILED
    assert flows.stranded(at, at + 1) == others


def test_a_neighbour_that_cannot_be_understood_is_said(aws: AwsServer, flows: DynamoFlows) -> None:
    link, states = a_link(), [a_state(), a_state()]
    for state in states:
        flows.burn(link, state, NOW)
    change(aws, link, f"SET s_{states[0]} = :slot", {":slot": {"S": "odd"}})
    with pytest.raises(Failure) as caught:
        flows.fail(link, states[1], "grant_refused")
    assert caught.value.reason is Reason.INTERNAL


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ThrottlingException", "ResourceNotFoundException"]
)
def test_a_table_that_does_not_answer_is_said_by_its_code(
    aws: AwsServer, flows: DynamoFlows, code: str
) -> None:
    link = a_link()
    for call in (
        lambda: flows.burn(link, a_state(), NOW),
        lambda: flows.fail(link, a_state(), "internal"),
        lambda: flows.keep(link, a_state(), sealed()),
    ):
        with aws.out("UpdateItem", code), pytest.raises(Failure) as caught:
            call()
        assert (caught.value.reason, caught.value.detail) == (Reason.STORAGE_UNAVAILABLE, code)
        assert caught.value.__suppress_context__


def test_an_unknown_status_stops_the_request(aws: AwsServer, flows: DynamoFlows) -> None:
    link, state = a_link(), a_state()
    flows.burn(link, state, NOW)
    change(aws, link, f"SET s_{state} = :slot", {":slot": {"M": {"status": {"S": "odd"}, "at": {"N": "1"}}}})
    with pytest.raises(Failure) as caught:
        flows.burn(link, state, NOW)
    assert (caught.value.reason, caught.value.detail) == (
        Reason.INTERNAL,
        "a burned state has an unknown status",
    )


@pytest.mark.parametrize(
    "slot",
    [
        {"M": {"at": {"N": "1"}}},
        {"M": {"status": {"S": "done"}, "at": {"N": "1"}}},
        {"M": {"status": {"S": "done"}, "at": {"S": "1"}, "account": {"S": "a"}}},
        {"M": {"status": {"S": "kept"}, "at": {"N": "1.5"}}},
        {"M": {"status": {"S": "kept"}, "at": {"N": "1"}, "kept_access": {"B": b"x"}}},
        {"S": "done"},
    ],
)
def test_a_row_of_another_shape_stops_the_request(
    aws: AwsServer, flows: DynamoFlows, slot: dict[str, Any]
) -> None:
    link, state = a_link(), a_state()
    flows.burn(link, state, NOW)
    change(aws, link, f"SET s_{state} = :slot", {":slot": slot})
    with pytest.raises(Failure) as caught:
        flows.burn(link, state, NOW)
    assert caught.value.reason is Reason.INTERNAL
    assert "no usable attribute" in caught.value.detail
