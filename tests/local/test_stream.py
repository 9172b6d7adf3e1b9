"""A table's stream that feeds a function: order, filters, what fails, and what is given up."""

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from local.invoker import Invoker
from local.provision import client
from local.runtime import InvocationResult
from local.stream import StreamPoller, first_failed
from local.triggers import StreamTrigger
from tests.local.toybox import until

SECONDS = 30
TOLD = ({"dynamodb": {"NewImage": {"told": {"S": [{"exists": True}]}}}},)


class Function(Invoker):
    """A function that a test plays. `events` are what it was given; `fail` names what of each it failed.

    `fail` gets the names of a batch's records and returns the error's name, or which of them failed.
    """

    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.events: list[list[dict[str, Any]]] = []
        self.fail: Callable[[list[str]], str | list[str]] = lambda _: []

    @property
    def batches(self) -> list[list[str]]:
        """Names of the records of each event."""
        return [[name(record) for record in event] for event in self.events]

    @property
    def got(self) -> list[str]:
        """All names, in order, those that came again included."""
        return [each for batch in self.batches for each in batch]

    def attempt(self, _name: str, event: Any) -> InvocationResult:
        records = json.loads(event)["Records"]
        self.events.append(records)
        failed = self.fail([name(record) for record in records])
        if isinstance(failed, str):
            return InvocationResult(b"{}", failed, (), 0.0, False)
        numbers = [r["dynamodb"]["SequenceNumber"] for r in records if name(r) in failed]
        body = {"batchItemFailures": [{"itemIdentifier": number} for number in numbers]}
        return InvocationResult(json.dumps(body).encode(), None, (), 0.0, False)


def name(record: dict[str, Any]) -> str:
    found: str = record["dynamodb"]["Keys"]["pk"]["S"]
    return found


class Feed:
    """A table with a stream, its poller, and a bucket."""

    def __init__(self, aws_url: str, **more: Any) -> None:
        self.table = f"t-{uuid4().hex}"
        self.db, self.s3 = client("dynamodb", aws_url), client("s3", aws_url)
        made = self.db.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.s3.create_bucket(Bucket=self.table)
        arn = made["TableDescription"]["LatestStreamArn"]
        settings: dict[str, Any] = {"partial": True, "bucket": self.table, **more}
        self.trigger = StreamTrigger("Source", "toy", arn, **settings)
        self.function = Function()
        streams = client("dynamodbstreams", aws_url, poller_of="toy")
        self.poller = StreamPoller(
            self.trigger, streams, client("s3", aws_url, poller_of="toy"), self.function
        )

    def put(self, *names: str, **more: Any) -> None:
        for each in names:
            self.db.put_item(TableName=self.table, Item={"pk": {"S": each}, "told": {"S": "x"}, **more})

    def kept(self) -> list[list[str]]:
        """Names of the records in each object of the bucket."""
        found = self.s3.list_objects_v2(Bucket=self.table).get("Contents", [])
        bodies = [
            json.loads(self.s3.get_object(Bucket=self.table, Key=o["Key"])["Body"].read()) for o in found
        ]
        return [[name(record) for record in json.loads(body["payload"])["Records"]] for body in bodies]


@pytest.fixture
def feed(aws_url: str) -> Iterator[Callable[..., Feed]]:
    made: list[Feed] = []

    def make(**more: Any) -> Feed:
        made.append(Feed(aws_url, **more))
        return made[-1]

    yield make
    for each in made:
        each.poller.stop()
        with suppress(RuntimeError):
            each.poller.join(batches=True)


def test_a_change_arrives_as_lambda_shapes_it(feed: Callable[..., Feed]) -> None:
    fed = feed()
    fed.put("a", sealed={"B": b"\x00\xff"}, inner={"M": {"x": {"B": b"\x01"}}})
    fed.put("a")
    fed.poller.start()
    until(lambda: len(fed.function.got) == 2, seconds=SECONDS)
    first, second = (record for event in fed.function.events for record in event)
    assert (first["eventName"], second["eventName"]) == ("INSERT", "MODIFY")
    assert first["eventSource"] == "aws:dynamodb"
    assert first["eventSourceARN"] == fed.trigger.stream_arn
    assert first["dynamodb"]["NewImage"]["sealed"] == {"B": "AP8="}
    assert b64decode(first["dynamodb"]["NewImage"]["inner"]["M"]["x"]["B"]) == b"\x01"
    assert "OldImage" not in first["dynamodb"]
    assert second["dynamodb"]["OldImage"] == first["dynamodb"]["NewImage"]
    assert isinstance(first["dynamodb"]["ApproximateCreationDateTime"], (int, float))


def test_what_was_written_before_the_start_comes_too_in_order_and_in_batches(
    feed: Callable[..., Feed],
) -> None:
    fed = feed(batch_size=4)
    names = [f"n-{number}" for number in range(10)]
    fed.put(*names)
    fed.poller.start()
    until(lambda: len(fed.function.got) == 10, seconds=SECONDS)
    assert fed.function.got == names
    assert [len(batch) for batch in fed.function.batches] == [4, 4, 2]
    fed.put("later")
    until(lambda: fed.function.got[-1] == "later", seconds=SECONDS)


def test_what_the_filter_does_not_let_through_reaches_nobody(feed: Callable[..., Feed]) -> None:
    fed = feed(filters=TOLD)
    fed.poller.start()
    fed.db.put_item(TableName=fed.table, Item={"pk": {"S": "quiet"}})
    fed.put("loud")
    fed.db.delete_item(TableName=fed.table, Key={"pk": {"S": "loud"}})
    fed.put("last")
    until(lambda: "last" in fed.function.got, seconds=SECONDS)
    assert fed.function.got == ["loud", "last"]


def test_from_the_first_that_failed_on_they_come_again(feed: Callable[..., Feed]) -> None:
    fed = feed()
    fed.put("a", "b", "c", "d")
    tries: list[int] = []

    def fail(names: list[str]) -> list[str]:
        tries.append(1)
        return [each for each in names if each in ("b", "d")] if len(tries) < 3 else []

    fed.function.fail = fail
    fed.poller.start()
    until(lambda: len(tries) == 3, seconds=SECONDS)
    assert fed.function.batches == [["a", "b", "c", "d"], ["b", "c", "d"], ["b", "c", "d"]]
    fed.put("e")
    until(lambda: fed.function.got[-1] == "e", seconds=SECONDS)
    assert fed.kept() == []


def test_a_record_that_breaks_the_function_ends_up_alone_and_in_the_bucket(
    feed: Callable[..., Feed],
) -> None:
    fed = feed(bisect=True, retries=1)
    fed.put("a", "b", "bad", "c")
    fed.function.fail = lambda names: "Runtime.ExitError" if "bad" in names else []
    fed.poller.start()
    until(fed.kept, seconds=SECONDS)
    assert fed.kept() == [["bad"]]
    fed.put("d")
    until(lambda: "d" in fed.function.got, seconds=SECONDS)
    assert {"a", "b", "c", "d"} <= set(fed.function.got)


def test_what_is_too_old_goes_whole_into_the_bucket(feed: Callable[..., Feed]) -> None:
    fed = feed(age_seconds=0)
    fed.put("a", "b")
    fed.function.fail = lambda _: "Exception"
    fed.poller.start()
    until(fed.kept, seconds=SECONDS)
    assert fed.kept() == [["a", "b"]]


def test_a_bucket_that_takes_nothing_does_not_end_the_feeding(feed: Callable[..., Feed]) -> None:
    fed = feed(retries=0, bucket="no-such-bucket")
    fed.function.fail = lambda names: ["bad"] if "bad" in names else []
    fed.poller.start()
    fed.put("bad")
    until(lambda: "bad" in fed.function.got, seconds=SECONDS)
    fed.put("good")
    until(lambda: "good" in fed.function.got, seconds=SECONDS)


def test_without_a_bucket_what_is_given_up_is_gone(feed: Callable[..., Feed]) -> None:
    fed = feed(retries=0, bucket=None)
    fed.put("a")
    fed.function.fail = lambda names: "Exception" if "a" in names else []
    fed.poller.start()
    fed.put("b")
    until(lambda: "b" in fed.function.got, seconds=SECONDS)
    assert fed.kept() == []


def test_a_pause_leaves_records_lying_and_calls_off_what_fails(feed: Callable[..., Feed]) -> None:
    fed = feed()
    failing = threading.Event()
    failing.set()
    fed.function.fail = lambda _: "Exception" if failing.is_set() else []
    fed.put("a")
    fed.poller.start()
    until(lambda: fed.function.events, seconds=SECONDS)
    fed.poller.pause()
    assert fed.poller.paused
    seen = len(fed.function.events)
    failing.clear()
    fed.put("b")
    assert len(fed.function.events) == seen
    fed.poller.resume()
    until(lambda: fed.function.got[-1] == "b", seconds=SECONDS)
    assert fed.function.got[-2:] == ["a", "b"]


def test_an_undone_transaction_leaves_no_trace_and_what_follows_comes(feed: Callable[..., Feed]) -> None:
    fed = feed()
    fed.poller.start()
    fed.put("a")
    until(lambda: fed.function.got == ["a"], seconds=SECONDS)
    items = [
        {"Put": {"TableName": fed.table, "Item": {"pk": {"S": "never"}}}},
        {
            "Put": {
                "TableName": fed.table,
                "Item": {"pk": {"S": "a"}},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
    ]
    with pytest.raises(fed.db.exceptions.TransactionCanceledException):
        fed.db.transact_write_items(TransactItems=items)
    fed.put("b")
    until(lambda: fed.function.got[-1] == "b", seconds=SECONDS)
    assert fed.function.got == ["a", "b"]


@pytest.mark.parametrize(
    ("payload", "error", "place"),
    [
        (b"{}", None, None),
        (b"null", None, None),
        (b'{"batchItemFailures": []}', None, None),
        (b'{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}', None, 1),
        (b'{"batchItemFailures": [{"itemIdentifier": "9"}]}', None, 0),
        (b'{"batchItemFailures": [{}]}', None, 0),
        (b"no json", None, 0),
        (b"[1]", None, 0),
        (b"{}", "ValueError", 0),
    ],
)
def test_the_answer_says_where_it_failed(payload: bytes, error: str | None, place: int | None) -> None:
    result = InvocationResult(payload, error, (), 0.0, False)
    assert first_failed(result, ["1", "2", "3"], partial=True) == place


def test_where_no_record_can_be_named_only_an_error_fails() -> None:
    named = b'{"batchItemFailures": [{"itemIdentifier": "1"}]}'
    assert first_failed(InvocationResult(named, None, (), 0.0, False), ["1"], partial=False) is None
