"""How the refresh queue is written: in tens, side by side, and what is refused once more."""

from collections import Counter
from itertools import count
from threading import Barrier, Lock
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from mooring.adapters.work_messages import parse
from mooring.adapters.work_queue import WORKERS, SqsWorkQueue
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Delayed
from mooring.core.upkeep_ports import Depth
from tests.contract.aws_server import AwsServer, Fault
from tests.contract.work_samples import DUE, orders

_numbers = count(1)


class Setting:
    """A queue of its own."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self.url = aws.sqs().create_queue(QueueName=f"work-{next(_numbers)}")["QueueUrl"]
        self.queue = SqsWorkQueue(aws.sqs(), self.url)

    def calls(self) -> list[dict[str, Any]]:
        return [each for each in self._aws.asked("SendMessageBatch") if each["QueueUrl"] == self.url]

    def received(self) -> list[str]:
        answer = self._aws.sqs().receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        return [each["Body"] for each in answer.get("Messages", [])]


def refusing(*ids: str, sender: bool = False) -> Fault:
    """A call that succeeds and refuses single entries."""
    failed = [{"Id": each, "Code": "InternalError", "SenderFault": sender, "Message": "m"} for each in ids]
    return Fault("SendMessageBatch", "none", 200, more={"Failed": failed, "Successful": []})


def test_ten_go_in_one_call(aws: AwsServer) -> None:
    setting = Setting(aws)
    setting.queue.put([Delayed(order) for order in orders(43)])
    sizes = sorted(len(each["Entries"]) for each in setting.calls())
    assert sizes == [3, 10, 10, 10, 10]


def test_a_worker_finds_what_is_not_delayed(aws: AwsServer) -> None:
    setting = Setting(aws)
    setting.queue.put([Delayed(DUE), Delayed(orders(1)[0], 900)])
    assert [parse(each) for each in setting.received()] == [DUE]
    assert setting.queue.depth() == Depth(ready=1, delayed=1), "what is in work is not delayed"


def test_what_is_in_work_counts(aws: AwsServer) -> None:
    setting = Setting(aws)
    setting.queue.put([Delayed(DUE)] * 3)
    assert len(setting.received()) == 3
    assert setting.queue.depth() == Depth(ready=3, delayed=0)


def test_a_refused_entry_goes_once_more_and_the_others_do_not(aws: AwsServer) -> None:
    setting = Setting(aws)
    work = orders(4)
    with aws.failing(refusing("1", "3")):
        setting.queue.put([Delayed(order) for order in work])
    first, second = setting.calls()
    assert [entry["Id"] for entry in first["Entries"]] == ["0", "1", "2", "3"]
    assert [parse(entry["MessageBody"]) for entry in second["Entries"]] == [work[1], work[3]]


def test_a_second_refusal_is_said_by_its_code(aws: AwsServer) -> None:
    setting = Setting(aws)
    with aws.failing(refusing("0", "1"), refusing("1", sender=True)), pytest.raises(Failure) as caught:
        setting.queue.put([Delayed(order) for order in orders(2)])
    assert str(caught.value) == "storage_unavailable: InternalError"
    assert len(setting.calls()) == 2


def test_a_refusal_in_the_middle_of_many_batches_loses_none(aws: AwsServer) -> None:
    setting = Setting(aws)
    with aws.failing(refusing(*map(str, range(10)))):
        setting.queue.put([Delayed(order) for order in orders(60)])
    sent = Counter(entry["MessageBody"] for call in setting.calls() for entry in call["Entries"])
    assert len(sent) == 60
    assert sum(sent.values()) == 70


def test_a_failed_call_is_said_without_what_it_carried(aws: AwsServer) -> None:
    setting = Setting(aws)
    with aws.failing(Fault("SendMessageBatch", "AccessDenied", 403)), pytest.raises(Failure) as caught:
        setting.queue.put([Delayed(DUE)])
    assert str(caught.value) == "storage_unavailable: AccessDenied"
    assert caught.value.__suppress_context__


class _Client:
    """An SQS client that counts; each call waits for seven others, or fails."""

    def __init__(self, *, fails: bool) -> None:
        self.calls = 0
        self._fails = fails
        self._lock = Lock()
        self._all_here = Barrier(WORKERS)

    def send_message_batch(self, **_: object) -> dict[str, object]:
        with self._lock:
            self.calls += 1
        if self._fails:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessageBatch")
        self._all_here.wait(timeout=5)
        return {"Successful": []}


def put(client: _Client, number: int) -> None:
    SqsWorkQueue(cast("Any", client), "http://queue.example").put([Delayed(each) for each in orders(number)])


def test_eight_calls_run_side_by_side() -> None:
    client = _Client(fails=False)
    put(client, WORKERS * 10 * 2)
    assert client.calls == WORKERS * 2


def test_a_sick_queue_is_not_asked_six_hundred_times() -> None:
    client = _Client(fails=True)
    with pytest.raises(Failure) as caught:
        put(client, 6_000)
    assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
    assert client.calls <= WORKERS
