"""The simulated AWS: no lost updates, long polls that hold nobody up, and nothing for web pages."""

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.aws import SerializedApp
from local.provision import client
from tests.local.toybox import Answer, call

THREADS = 8
ROUNDS = 12


@pytest.fixture
def port(aws_url: str) -> int:
    return int(aws_url.rpartition(":")[2])


def test_compare_and_set_from_eight_threads_loses_no_update(aws_url: str) -> None:
    table = "counters"
    first = client("dynamodb", aws_url)
    first.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    first.put_item(TableName=table, Item={"pk": {"S": "c"}, "version": {"N": "0"}})
    start = threading.Barrier(THREADS)

    def raise_version(_: int) -> int:
        dynamodb = client("dynamodb", aws_url)
        start.wait()
        won = 0
        for _ in range(ROUNDS):
            seen = int(dynamodb.get_item(TableName=table, Key={"pk": {"S": "c"}})["Item"]["version"]["N"])
            won += _set_version(dynamodb, table, seen)
        return won

    with ThreadPoolExecutor(THREADS) as threads:
        winners = sum(threads.map(raise_version, range(THREADS)))
    stored = first.get_item(TableName=table, Key={"pk": {"S": "c"}})["Item"]["version"]["N"]
    assert winners == int(stored)
    assert winners >= ROUNDS


def _set_version(dynamodb: Any, table: str, seen: int) -> int:
    try:
        dynamodb.update_item(
            TableName=table,
            Key={"pk": {"S": "c"}},
            UpdateExpression="SET version = :next",
            ConditionExpression="version = :seen",
            ExpressionAttributeValues={":next": {"N": str(seen + 1)}, ":seen": {"N": str(seen)}},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return 0
    return 1


def test_a_long_poll_holds_nobody_up_and_ends_when_a_message_comes(aws_url: str) -> None:
    sqs = client("sqs", aws_url)
    url = sqs.create_queue(QueueName="polled")["QueueUrl"]
    with ThreadPoolExecutor(1) as threads:
        poll = threads.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=10)
        time.sleep(0.3)
        started = time.monotonic()
        client("kms", aws_url).create_key()
        client("sqs", aws_url).send_message(QueueUrl=url, MessageBody="hello")
        received = poll.result()
    assert time.monotonic() - started < 3
    assert [message["Body"] for message in received["Messages"]] == ["hello"]


def test_a_long_poll_without_a_message_ends_after_its_time(aws_url: str) -> None:
    sqs = client("sqs", aws_url)
    url = sqs.create_queue(QueueName="empty")["QueueUrl"]
    started = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert 0.9 < time.monotonic() - started < 3


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:80"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_web_pages_cannot_read_the_tables(port: int, headers: dict[str, str]) -> None:
    assert _list_tables(port, headers).status == 403
    assert _list_tables(port, {}).status == 200


def test_it_listens_on_loopback_only(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.2", port, timeout=2)
    with pytest.raises(ConnectionRefusedError):
        connection.connect()


def _list_tables(port: int, headers: dict[str, str]) -> Answer:
    own = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    return call(port, "POST", "/", {**own, **headers}, b"{}")


def test_requests_reach_the_application_one_by_one() -> None:
    inside = []
    most = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inside.append(environ)
        most.append(len(inside))
        time.sleep(0.005)
        inside.remove(environ)
        start_response("200 OK", [])
        return [b"{}"]

    serialized = SerializedApp(app)

    def ask(number: int) -> bytes:
        environ = {"HTTP_HOST": "127.0.0.1:1", "number": number}
        return b"".join(serialized(environ, lambda *_: None))

    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(ask, range(40))) == [b"{}"] * 40
    assert max(most) == 1
