"""What a product hears of its merchants' connections, from the bus of the running stack."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mooring.core.upkeep import LEASE_SECONDS
from tests.adapters.test_changes import image, record
from tests.docs.schemas import check_event
from tests.e2e.inbox import Inbox, listening
from tests.e2e.running import FIFTH, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep, doubt_passes, refresh_unstored, sweep, wait_for


@pytest.fixture
def inbox(stack: RunningStack) -> Iterator[Inbox]:
    with listening(stack) as inbox:
        yield inbox


def last(inbox: Inbox, merchant: Merchant, *types: str) -> dict[str, Any]:
    """The detail of the latest event, when exactly these have been told; every one is as its schema says."""
    events = inbox.wait(merchant.name, *types)
    for event in events:
        check_event(event)
    detail: dict[str, Any] = events[-1]["detail"]
    return detail


def test_a_connections_life_is_told(
    stack: RunningStack, merchant: Merchant, service: Service, inbox: Inbox, shop: str
) -> None:
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    told = last(inbox, merchant, "Established")
    assert (told["provider"], told["account_id"]) == (FIFTH, shop)
    assert (told["generation"], told["version"], told["status"]) == (1, 1, "active")
    assert told["time"] == one.row()["connected_at"]

    assert service.refresh(one.key).ok
    stack.simulator(FIFTH).revoke(token=service.token(one.key).json()["access_token"])
    assert not service.refresh(one.key).ok
    told = last(inbox, merchant, "Established", "Needs Reconnect")
    assert (told["version"], told["reason"], told["status"]) == (2, "grant_refused", "needs_reconnect")

    merchant.connect(FIFTH, store=shop)
    told = last(inbox, merchant, "Established", "Needs Reconnect", "Established")
    assert (told["generation"], told["version"]) == (2, 3)

    assert service.disconnect(one.key).ok
    life = ("Established", "Needs Reconnect", "Established", "Disconnected")
    told = last(inbox, merchant, *life)
    assert (told["generation"], told["status"], told["reason"]) == (2, "disconnected", None)
    assert service.disconnect(one.key).ok, "a second time changes nothing"

    merchant.connect(FIFTH, store=shop)
    last(inbox, merchant, *life, "Established")
    wait_for(lambda: time.time() >= one.row()["connected_at"] + 1, "the next second")
    assert stack.fifth.send(stack.fifth.event(shop)) == 200
    told = last(inbox, merchant, *life, "Established", "Uninstalled")
    assert (told["status"], told["reason"]) == ("uninstalled", None)


@pytest.mark.usefixtures("by_hand")
def test_a_lost_answer_that_comes_after_it_was_given_up_is_told(
    stack: RunningStack, merchant: Merchant, service: Service, inbox: Inbox, shop: str
) -> None:
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    with stack.paused("queues/recovery"):
        assert refresh_unstored(one, service).json()["reason"] == "store_delayed"
        one.pass_time(LEASE_SECONDS)
        doubt_passes(one, service)
        assert service.refresh(one.key).json()["reason"] == "connection_not_active"
        told = last(inbox, merchant, "Established", "Needs Reconnect")
        assert told["reason"] == "lost_rotation"
    told = last(inbox, merchant, "Established", "Needs Reconnect", "Recovered")
    assert (told["status"], told["generation"], told["version"]) == ("active", 1, 2)
    given = service.token(one.key).json()["access_token"]
    assert stack.simulator(FIFTH).accepts(shop, given)
    assert service.disconnect(one.key).ok


def test_a_refresh_tells_nobody(
    stack: RunningStack, merchant: Merchant, service: Service, inbox: Inbox
) -> None:
    merchant.connect("whatconverts")
    one = Upkeep.of(merchant, "whatconverts")
    inbox.wait(merchant.name, "Established")
    for _ in range(3):
        assert service.refresh(one.key).ok
    # What is told after them has come, so they would have.
    assert service.disconnect(one.key).ok
    events = inbox.wait(merchant.name, "Established", "Disconnected")
    assert len(events) == 2
    about = [line for line in stack.log_lines("announce") if line.get("merchant_id") == merchant.name]
    assert [line["outcome"] for line in about] == ["announced", "announced"]


@pytest.mark.usefixtures("by_hand")
def test_an_end_that_is_near_is_told_once(
    stack: RunningStack, merchant: Merchant, service: Service, inbox: Inbox
) -> None:
    merchant.connect("yotpo")
    (row,) = merchant.rows()
    one = Upkeep.of(merchant, "yotpo", row["connection"]["S"].partition("#")[2])
    ends_at = int(time.time()) + 86_400
    one.set(expires_at=ends_at)
    one.fall_due()
    sweep(stack)
    told = last(inbox, merchant, "Established", "Expiring")
    assert told["expiring_at"] == ends_at
    one.fall_due()
    sweep(stack)
    wait_for(lambda: one.row()["due_at"] > time.time(), "a second look")
    assert service.disconnect(one.key).ok
    inbox.wait(merchant.name, "Established", "Expiring", "Disconnected")


def test_what_cannot_be_put_is_put_later_and_nothing_is_left_over(
    stack: RunningStack, merchant: Merchant, inbox: Inbox
) -> None:
    with stack.failing("AWSEvents.PutEvents", code="ThrottlingException", function="announce"):
        merchant.connect("whatconverts")
        wait_for(
            lambda: [
                line
                for line in stack.log_lines("announce")
                if line.get("merchant_id") == merchant.name and line.get("reason") == "bus_unavailable"
            ],
            "a failure",
            60,
        )
        assert inbox.about(merchant.name) == []
    (event,) = inbox.wait(merchant.name, "Established")
    check_event(event)
    assert undelivered(stack, merchant.name) == []


def test_a_record_that_nobody_understands_costs_only_itself(
    stack: RunningStack, merchant: Merchant, inbox: Inbox
) -> None:
    """A word of a later release: it lies whole in the bucket, and those behind it are told."""
    table = stack.info["tables"]["connections"]
    poison = {"merchant_id": {"S": f"{merchant.name}-poison"}, "connection": {"S": "xeno#a"}}
    stack.aws("dynamodb").put_item(TableName=table, Item={**poison, "announce": {"S": "of-tomorrow"}})
    try:
        merchant.connect("whatconverts")
        inbox.wait(merchant.name, "Established")
        (record,) = wait_for(lambda: undelivered(stack, merchant.name), "the record in the bucket", 60)
        assert record["dynamodb"]["NewImage"]["announce"] == {"S": "of-tomorrow"}
    finally:
        stack.aws("dynamodb").delete_item(TableName=table, Key=poison)


def test_what_was_set_aside_can_be_told_later_and_what_is_still_not_understood_stays(
    stack: RunningStack, merchant: Merchant, inbox: Inbox
) -> None:
    """As the runbook does it: hand over the payload, and delete the version that was handed over."""
    (bucket,) = stack.info["buckets"]
    good, bad = (f"{merchant.name}-{kind}" for kind in ("good", "bad"))
    name = f"aws/lambda/test/{merchant.name}"
    records = [told_of(good, "established"), told_of(bad, "of-tomorrow")]
    body = json.dumps({"payload": json.dumps({"Records": records})})
    version = stack.aws("s3").put_object(Bucket=bucket, Key=name, Body=body.encode())["VersionId"]
    answer = stack.aws("lambda").invoke(
        FunctionName=stack.info["functions"]["announce"], Payload=json.loads(body)["payload"].encode()
    )
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}
    stack.aws("s3").delete_object(Bucket=bucket, Key=name, VersionId=version)
    (event,) = inbox.wait(good, "Established")
    check_event(event)
    (left,) = undelivered(stack, merchant.name)
    assert left["dynamodb"]["NewImage"]["merchant_id"] == {"S": bad}


def told_of(merchant: str, word: str) -> dict[str, Any]:
    """A record of the stream about a merchant."""
    row = {"merchant_id": {"S": merchant}, "announce": {"S": word}}
    return {**record(image(**row)), "eventID": merchant.replace("-", "")}


def test_no_token_is_in_any_event(
    stack: RunningStack, merchant: Merchant, service: Service, inbox: Inbox
) -> None:
    merchant.connect("whatconverts")
    key = Upkeep.of(merchant, "whatconverts").key
    assert service.refresh(key).ok
    token = service.token(key).json()["access_token"]
    assert service.disconnect(key).ok
    inbox.wait(merchant.name, "Established", "Disconnected")
    said = json.dumps(inbox.all())
    simulator = stack.simulator("whatconverts")
    secret = {token, *stack.canaries, *(each["access_token"] for each in simulator.tokens())}
    assert [one for one in secret if one in said] == []
    assert not {"access", "refresh", "sealed", "token"} & set(inbox.about(merchant.name)[0]["detail"])


def undelivered(stack: RunningStack, merchant: str) -> list[dict[str, Any]]:
    """The records in the bucket of the undelivered that speak of a merchant."""
    (bucket,) = stack.info["buckets"]
    s3 = stack.aws("s3")
    names = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    bodies = [json.loads(s3.get_object(Bucket=bucket, Key=name)["Body"].read()) for name in names]
    records = [record for body in bodies for record in json.loads(body["payload"])["Records"]]
    return [record for record in records if merchant in json.dumps(record)]
