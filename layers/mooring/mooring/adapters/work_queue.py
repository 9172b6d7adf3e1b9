"""The refresh queue in SQS: written in batches of ten, several of them side by side.

A sweep may have thousands of connections to queue, and a call takes some milliseconds: eight at a
time, 20,000 messages are 250 rounds.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from threading import Event
from typing import TYPE_CHECKING

from mooring.adapters.aws_errors import failing_as
from mooring.adapters.work_messages import message
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Delayed
from mooring.core.upkeep_ports import Depth

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

    type _Entries = Sequence[SendMessageBatchRequestEntryTypeDef]

BATCH = 10
"""SQS takes no more in one call."""
MAX_DELAY = 900
"""The longest delay of a message, in seconds."""
WORKERS = 8
_READY: "list[QueueAttributeNameType]" = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
]
_DELAYED: "QueueAttributeNameType" = "ApproximateNumberOfMessagesDelayed"


class SqsWorkQueue:
    """The refresh queue.

    Args:
        client: an SQS client that may be shared by threads.
        queue_url: the queue's URL.
    """

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def put(self, work: Sequence[Delayed]) -> None:
        """Queue all of it, delayed by 0 to 900 seconds each.

        Raises:
            ValueError: for another delay; nothing was queued.
            Failure: STORAGE_UNAVAILABLE when something could not be queued; some of it may be.
        """
        if not all(0 <= each.delay <= MAX_DELAY for each in work):
            raise ValueError("a delay is 0 to 900 seconds")
        batches = [_entries(batch) for batch in batched(work, BATCH, strict=False)]
        if len(batches) > 1:
            self._side_by_side(batches)
        elif batches:
            self._send(batches[0])

    def depth(self) -> Depth:
        """About how many messages wait or are in work, and how many are delayed.

        Raises:
            Failure: STORAGE_UNAVAILABLE.
        """
        asked = [*_READY, _DELAYED]
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            answer = self._client.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=asked)
        counts = {name: int(answer["Attributes"][name]) for name in asked}
        return Depth(sum(counts[name] for name in _READY), counts[_DELAYED])

    def _side_by_side(self, batches: "Sequence[_Entries]") -> None:
        failed = Event()

        def send(entries: "_Entries") -> None:
            # A sick queue is not asked hundreds of times: after a failure no further call begins.
            if failed.is_set():
                return
            try:
                self._send(entries)
            except Failure:
                failed.set()
                raise

        with ThreadPoolExecutor(min(WORKERS, len(batches))) as pool:
            list(pool.map(send, batches))

    def _send(self, entries: "_Entries") -> None:
        """One batch. SQS may refuse single entries of a call that succeeds; these get a second chance."""
        refused = self._refused(entries)
        if refused:
            refused = self._refused([entry for entry in entries if entry["Id"] in refused])
        if refused:
            raise Failure(Reason.STORAGE_UNAVAILABLE, next(iter(refused.values())))

    def _refused(self, entries: "_Entries") -> dict[str, str]:
        """Send entries; the id and the error code of each that was not taken."""
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            answer = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
        return {each["Id"]: each["Code"] for each in answer.get("Failed", [])}


def _entries(batch: Sequence[Delayed]) -> "_Entries":
    return [
        {"Id": str(number), "MessageBody": message(each.work), "DelaySeconds": each.delay}
        for number, each in enumerate(batch)
    ]
