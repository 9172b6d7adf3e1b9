"""Queues that feed functions: the simulated SQS and the toy in the Lambda runtime, nothing between mocked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from local.invoker import Invoker
from local.poller import Poller, failed_messages
from local.provision import client
from local.runtime import FunctionSpec, InvocationResult, RuntimePool
from local.template import TemplateError
from local.triggers import QueueTrigger
from tests.local.toybox import PACKAGES, TOYS, call, until

HIDDEN_SECONDS = 3


@dataclass
class Feed:
    """A queue of its own with a poller, and what the function was given."""

    sqs: Any
    url: str
    arn: str
    poller: Poller
    results: list[InvocationResult] = field(default_factory=list)

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        """The records of each event, in the order in which the events were done with."""
        return [
            [json.loads(line)["record"] for line in result.log_lines if '"record"' in line]
            for result in self.results
        ]

    @property
    def left(self) -> int:
        """Messages in the queue, hidden ones included."""
        return count(self.sqs, self.url)

    def send(self, *bodies: dict[str, Any]) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))


def count(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimePool]:
    spec = FunctionSpec("toy", (TOYS / "echo", PACKAGES), timeout_seconds=2)
    with RuntimePool(spec, log_path=tmp_path_factory.mktemp("logs") / "toy.log") as running:
        yield running


@pytest.fixture
def feed(aws_url: str, pool: RuntimePool, request: pytest.FixtureRequest) -> Iterator[Callable[..., Feed]]:
    made: list[Feed] = []

    def make(
        *,
        concurrency: int = 2,
        batch_size: int = 10,
        window: int = 0,
        hidden: int = HIDDEN_SECONDS,
        **more: str,
    ) -> Feed:
        sqs = client("sqs", aws_url)
        attributes = {"VisibilityTimeout": str(hidden), **more}
        name = f"feed-{md5(request.node.name.encode()).hexdigest()[:8]}-{len(made)}"
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        trigger = QueueTrigger("toy", arn, batch_size, window, concurrency, partial=True)
        results: list[InvocationResult] = []
        invoker = Invoker(lambda _, result: results.append(result))
        invoker.add("Toy", "toy", pool)
        poller = Poller(trigger, url, client("sqs", aws_url, poller_of="toy"), invoker)
        made.append(Feed(sqs, url, arn, poller, results))
        return made[-1]

    yield make
    for each in made:
        each.poller.stop()
    for each in made:
        each.poller.join(batches=True)


def test_a_message_arrives_as_lambda_shapes_it_and_is_deleted(feed: Callable[..., Feed]) -> None:
    fed = feed()
    fed.poller.start()
    body = json.dumps({"n": 1})
    attributes = {
        "text": {"DataType": "String", "StringValue": "one"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = fed.sqs.send_message(QueueUrl=fed.url, MessageBody=body, MessageAttributes=attributes)
    until(lambda: fed.results)
    [[record]] = fed.batches
    assert record["messageId"] == sent["MessageId"]
    assert record["receiptHandle"]
    assert (record["body"], record["md5OfBody"]) == (body, md5(body.encode()).hexdigest())
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert abs(int(record["attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60
    assert record["attributes"].keys() >= {"SenderId", "ApproximateFirstReceiveTimestamp"}
    lists: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "text": {"dataType": "String", "stringValue": "one", **lists},
        "raw": {"dataType": "Binary", "binaryValue": "AP8=", **lists},
    }
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", fed.arn)
    assert record["awsRegion"] == "us-east-1"
    until(lambda: fed.left == 0)


def test_what_failed_stays_and_comes_again_after_its_visibility_timeout(feed: Callable[..., Feed]) -> None:
    fed = feed()
    fed.send({"do": "done"}, {"do": "fail"})
    fed.poller.start()
    until(lambda: fed.left == 1)
    first = time.monotonic()
    until(lambda: len(_of(fed, "fail")) == 2, seconds=HIDDEN_SECONDS + 5)
    assert time.monotonic() - first > HIDDEN_SECONDS - 1
    assert _of(fed, "fail")[1]["attributes"]["ApproximateReceiveCount"] == "2"
    assert len(_of(fed, "done")) == 1


def test_a_function_that_raises_fails_its_whole_batch(feed: Callable[..., Feed]) -> None:
    fed = feed(concurrency=1)
    fed.send({"do": "done"}, {"do": "raise"})
    fed.poller.start()
    until(lambda: fed.results)
    assert fed.results[0].error == "ValueError"
    time.sleep(0.3)
    assert fed.left == 2


def test_what_fails_too_often_goes_to_the_dead_letter_queue(aws_url: str, feed: Callable[..., Feed]) -> None:
    sqs = client("sqs", aws_url)
    dead = sqs.create_queue(QueueName="feed-dead")["QueueUrl"]
    policy = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:feed-dead", "maxReceiveCount": 2}
    fed = feed(hidden=2, RedrivePolicy=json.dumps(policy))
    fed.send({"do": "fail"})
    fed.poller.start()
    until(lambda: count(sqs, dead) == 1, seconds=15)
    assert len(fed.results) == 2
    assert fed.left == 0


def test_batches_are_no_larger_and_no_more_at_once_than_declared(
    feed: Callable[..., Feed], pool: RuntimePool
) -> None:
    fed = feed(concurrency=2, batch_size=2)
    fed.send(*[{"n": n, "seconds": 0.2} for n in range(8)])
    fed.poller.start()
    most = 0
    deadline = time.monotonic() + 15
    while fed.left and time.monotonic() < deadline:
        most = max(most, sum(thread.name.startswith("queue-feed-") for thread in threading.enumerate()))
    assert fed.left == 0
    assert [len(batch) for batch in fed.batches] == [2, 2, 2, 2]
    assert most == 2


def test_a_window_lets_a_batch_become_full(feed: Callable[..., Feed]) -> None:
    fed = feed(batch_size=12, window=4)
    fed.poller.start()
    fed.send(*[{"n": n} for n in range(12)])
    until(lambda: fed.results, seconds=10)
    assert [len(batch) for batch in fed.batches] == [12]


def test_a_paused_queue_is_left_alone(feed: Callable[..., Feed]) -> None:
    fed = feed()
    fed.poller.start()
    fed.send({"seconds": 0.5})
    until(lambda: fed.left == 1)
    fed.poller.pause()
    assert fed.poller.paused
    seen = len(fed.results)
    fed.send({"do": "done"})
    time.sleep(1.5)
    assert len(fed.results) == seen
    assert _waiting(fed) >= 1
    fed.poller.resume()
    until(lambda: fed.left == 0)


def test_polls_survive_a_fault_of_sqs(feed: Callable[..., Feed], aws_url: str) -> None:
    fault = [{"target": "AmazonSQS.ReceiveMessage", "status": 500, "code": "InternalError", "times": 2}]
    port = int(aws_url.rpartition(":")[2])
    assert call(port, "POST", "/_local/faults", body=json.dumps(fault).encode()).status == 200
    fed = feed()
    fed.poller.start()
    fed.send({"do": "done"})
    until(lambda: fed.results, seconds=10)
    until(lambda: fed.left == 0)


def test_a_stopped_poller_ends_soon_and_takes_nothing_more(feed: Callable[..., Feed]) -> None:
    fed = feed()
    fed.poller.start()
    time.sleep(0.2)
    started = time.monotonic()
    fed.poller.stop()
    fed.poller.join(batches=False)
    assert time.monotonic() - started < 1.8
    fed.send({"do": "done"})
    time.sleep(0.5)
    assert fed.results == []
    assert fed.left == 1


def test_a_poller_whose_function_was_ended_leaves_no_thread(
    feed: Callable[..., Feed], aws_url: str, tmp_path: Path
) -> None:
    fed = feed()
    spec = FunctionSpec("slow", (TOYS / "echo", PACKAGES), timeout_seconds=HIDDEN_SECONDS)
    invoker = Invoker(lambda *_: None)
    trigger = QueueTrigger("slow", fed.arn, 1, 0, 1, partial=True)
    with RuntimePool(spec, log_path=tmp_path / "slow.log") as own:
        invoker.add("Slow", "slow", own)
        poller = Poller(trigger, fed.url, client("sqs", aws_url), invoker)
        poller.start()
        fed.send({"seconds": 2.5})
        until(lambda: own.size == 1)
        poller.stop()
        poller.join(batches=False)
    started = time.monotonic()
    poller.join(batches=True)
    assert time.monotonic() - started < 1
    assert fed.left == 1
    name = f"queue-{fed.arn.rpartition(':')[2]}"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_a_visibility_timeout_below_the_functions_limit_is_refused(feed: Callable[..., Feed]) -> None:
    with pytest.raises(TemplateError, match=r"VisibilityTimeout \(1 s\) is shorter"):
        feed(hidden=1).poller.start()


@pytest.mark.parametrize(
    ("payload", "partial", "failed"),
    [
        ({"batchItemFailures": []}, True, set()),
        ({"batchItemFailures": None}, True, set()),
        ({}, True, set()),
        (None, True, set()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, True, {"b"}),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, False, set()),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, True, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, True, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "z"}]}, True, {"a", "b"}),
        ({"batchItemFailures": [{"messageId": "a"}]}, True, {"a", "b"}),
        ({"batchItemFailures": "a"}, True, {"a", "b"}),
        (["a"], True, {"a", "b"}),
        ("text", False, set()),
    ],
)
def test_answers_are_read_as_lambda_reads_them(payload: object, partial: bool, failed: set[str]) -> None:
    result = InvocationResult(json.dumps(payload).encode(), None, (), 1.0, False)
    assert failed_messages(result, ["a", "b"], partial=partial) == failed


def _of(fed: Feed, do: str) -> list[dict[str, Any]]:
    return [record for batch in fed.batches for record in batch if json.loads(record["body"]).get("do") == do]


def _waiting(fed: Feed) -> int:
    names = ["ApproximateNumberOfMessages"]
    answer = fed.sqs.get_queue_attributes(QueueUrl=fed.url, AttributeNames=names)
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])
