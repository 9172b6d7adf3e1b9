"""Feeds a queue's messages to a function, as Lambda's event source mappings do.

What the function finished is deleted; what failed stays and comes again when its visibility timeout has
passed. Not like Lambda: nothing slows down after failures, and `triggers.CONCURRENCY` bounds the batches.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import threading
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local import REGION
from local.feeder import Feeder
from local.invoker import Invoker
from local.runtime import InvocationResult
from local.template import TemplateError
from local.triggers import QueueTrigger

_RECEIVED_AT_ONCE = 10
#: How long one look into the queue lasts; short, because nobody can call off one that is under way.
_WAIT_SECONDS = 1
_PAUSE_SECONDS = 0.5
_Message = Mapping[str, Any]


class Poller(Feeder):
    """One queue and the function that it feeds.

    Args:
        trigger: the mapping.
        queue_url: of the queue.
        sqs: a client with the function's own credentials; taken over.
        invoker: runs the function.
    """

    def __init__(self, trigger: QueueTrigger, queue_url: str, sqs: Any, invoker: Invoker) -> None:
        self._trigger = trigger
        self._queue_url = queue_url
        self._sqs = sqs
        self._invoker = invoker
        self._pausing = threading.Lock()
        # One for each batch that may be under way, from the look into the queue to the deletion.
        self._slots = threading.Semaphore(trigger.concurrency)
        self._workers = ThreadPoolExecutor(trigger.concurrency, thread_name_prefix=f"queue-{trigger.queue}")
        super().__init__(f"poller-{trigger.queue}")

    def start(self) -> None:
        """Feed the function from now on.

        Raises:
            TemplateError: a message would come again before the function's time is up, which AWS refuses.
        """
        asked = ["QueueArn", "VisibilityTimeout"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=asked)
        hidden_seconds = int(answer["Attributes"]["VisibilityTimeout"])
        limit_seconds = self._invoker.pool(self._trigger.function).spec.timeout_seconds
        if hidden_seconds < limit_seconds:
            raise TemplateError(
                f"{self._trigger.queue}: its VisibilityTimeout ({hidden_seconds} s) is shorter than the time "
                f"limit of the function that it feeds ({limit_seconds} s)"
            )
        super().start()

    def pause(self) -> None:
        """Leave messages lying; returns when no batch is under way any more."""
        self._paused.set()
        # One at a time: two that each hold some of the slots would wait for each other.
        with self._pausing:
            for _ in range(self._trigger.concurrency):
                self._slots.acquire()
            self._slots.release(self._trigger.concurrency)

    def join(self, *, batches: bool) -> None:
        """Wait until no more messages are taken.

        Args:
            batches: also until those that were taken are done with.
        """
        if self._thread.is_alive():
            self._thread.join()
        self._workers.shutdown(wait=batches, cancel_futures=True)
        if batches:
            self._sqs.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._paused.is_set():
                self._stopping.wait(_PAUSE_SECONDS / 10)
            elif self._slots.acquire(timeout=_PAUSE_SECONDS):
                # Somebody may have asked for a pause meanwhile; with the slot in hand they wait for us.
                batch = [] if self._paused.is_set() else self._gather()
                if batch and not self._stopping.is_set():
                    self._workers.submit(self._work, batch)
                else:
                    self._slots.release()

    def _gather(self) -> list[_Message]:
        """One batch: what one look finds, or with a window what comes until it is full or time is up."""
        deadline = time.monotonic() + self._trigger.window_seconds
        batch = self._receive(self._trigger.batch_size)
        while batch and time.monotonic() < deadline and not self._stopping.is_set():
            if len(batch) >= self._trigger.batch_size:
                break
            batch += self._receive(self._trigger.batch_size - len(batch))
        return batch

    def _receive(self, wanted: int) -> list[_Message]:
        try:
            answer = self._sqs.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=min(wanted, _RECEIVED_AT_ONCE),
                WaitTimeSeconds=_WAIT_SECONDS,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (ClientError, BotoCoreError):
            # A test made it fail, or the simulated AWS is going.
            self._stopping.wait(_PAUSE_SECONDS)
            return []
        return list(answer.get("Messages", []))

    def _work(self, batch: Sequence[_Message]) -> None:
        try:
            event = {"Records": [_record(message, self._trigger.queue_arn) for message in batch]}
            result = self._invoker.attempt(self._trigger.function, event)
            ids = [message["MessageId"] for message in batch]
            failed = failed_messages(result, ids, partial=self._trigger.partial)
            self._delete([message for message in batch if message["MessageId"] not in failed])
        finally:
            self._slots.release()

    def _delete(self, messages: Sequence[_Message]) -> None:
        for first in range(0, len(messages), _RECEIVED_AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages[first : first + _RECEIVED_AT_ONCE])
            ]
            try:
                self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
            except (ClientError, BotoCoreError):
                # They come again, as they may on AWS.
                return


def failed_messages(result: InvocationResult, ids: Sequence[str], *, partial: bool) -> set[str]:
    """Ids of the messages that a function did not finish.

    Args:
        result: of the function.
        ids: of the batch's messages.
        partial: whether the answer may name the failed ones. An answer that cannot be understood, or that
            names a message nobody sent, fails the whole batch; an empty one none.
    """
    if result.error is not None:
        return set(ids)
    if not partial:
        return set()
    try:
        answer = result.json()
        failures = (answer or {}).get("batchItemFailures") or []
        named = {failure["itemIdentifier"] for failure in failures}
    except (ValueError, TypeError, KeyError, AttributeError):
        return set(ids)
    return set(ids) if named - set(ids) else named


def _record(message: _Message, queue_arn: str) -> dict[str, Any]:
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }
    if digest := message.get("MD5OfMessageAttributes"):
        record["md5OfMessageAttributes"] = digest
    return record


def _attribute(given: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": given["DataType"]}
    if "StringValue" in given:
        said["stringValue"] = given["StringValue"]
    if "BinaryValue" in given:
        said["binaryValue"] = b64encode(given["BinaryValue"]).decode()
    return said
