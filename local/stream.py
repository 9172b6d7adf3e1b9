"""Feeds a table's stream to a function, as Lambda's event source mappings do.

Records come in their order, and what a batch is stuck at holds up what follows: it is tried again, split
where the function failed as a whole, and given up to a bucket when it is too old or was tried too often.
Not like Lambda: there is one shard, and one batch at a time.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import batched
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.feeder import Feeder
from local.filters import passes
from local.invoker import Invoker
from local.runtime import InvocationResult
from local.triggers import StreamTrigger

_POLL_SECONDS = 0.5
_READ_AT_ONCE = 1000
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0

type Record = Mapping[str, Any]


class StreamPoller(Feeder):
    """One stream and the function that it feeds.

    Args:
        trigger: the mapping.
        streams: a DynamoDB Streams client with the function's own credentials; taken over.
        s3: an S3 client with the function's own credentials; taken over.
        invoker: runs the function.
    """

    def __init__(self, trigger: StreamTrigger, streams: Any, s3: Any, invoker: Invoker) -> None:
        self._trigger = trigger
        self._streams = streams
        self._s3 = s3
        self._invoker = invoker
        self._shard = ""
        self._after: str | None = None
        self._working = threading.Lock()
        super().__init__(f"stream-{trigger.table}")

    def start(self) -> None:
        """Feed the function from now on, beginning with the oldest record."""
        answer = self._streams.describe_stream(StreamArn=self._trigger.stream_arn)
        self._shard = answer["StreamDescription"]["Shards"][0]["ShardId"]
        super().start()

    def pause(self) -> None:
        """Leave records lying; returns when no batch is under way any more."""
        self._paused.set()
        with self._working:
            pass

    def join(self, *, batches: bool) -> None:
        """Wait for the batch that is under way, if `batches` says so."""
        super().join(batches=batches)
        if batches:
            self._streams.close()
            self._s3.close()

    def _run(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            with self._working:
                if not self._paused.is_set():
                    self._take()

    def _take(self) -> None:
        """Everything that is there, in batches of what passes the filter."""
        records = self._read()
        wanted = [record for record in records if passes(self._trigger.filters, record)]
        for batch in batched(wanted, self._trigger.batch_size, strict=False):
            if not self._work(list(batch), time.monotonic()):
                return
        if records:
            self._after = _number(records[-1])

    def _read(self) -> list[Record]:
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if self._after is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._after}
        try:
            # Anew each time: an iterator of the simulated AWS is worthless once it has undone a transaction.
            found = self._streams.get_shard_iterator(
                StreamArn=self._trigger.stream_arn, ShardId=self._shard, **where
            )
            answer = self._streams.get_records(ShardIterator=found["ShardIterator"], Limit=_READ_AT_ONCE)
        except (ClientError, BotoCoreError):
            # A test made it fail, or the simulated AWS is going.
            return []
        return [{**record, "eventSourceARN": self._trigger.stream_arn} for record in answer["Records"]]

    def _work(self, batch: list[Record], since: float, tries: int = 0) -> bool:
        """Feed one batch until it is done with or given up; False when that was called off."""
        while batch:
            if self._stopping.is_set() or self._paused.is_set():
                return False
            result = self._invoker.attempt(self._trigger.function, _event(batch))
            place = first_failed(result, [_number(record) for record in batch], partial=self._trigger.partial)
            if place is None:
                break
            self._done(batch[:place])
            batch = batch[place:]
            if result.error is not None and self._trigger.bisect and len(batch) > 1:
                half = len(batch) // 2
                return self._work(batch[:half], since, tries) and self._work(batch[half:], since, tries)
            tries += 1
            if self._is_over(since, tries):
                self._give_up(batch, result, tries)
                break
            self._stopping.wait(min(_FIRST_PAUSE_SECONDS * 2**tries, _LONGEST_PAUSE_SECONDS))
        self._done(batch)
        return True

    def _done(self, records: Sequence[Record]) -> None:
        if records:
            self._after = _number(records[-1])

    def _is_over(self, since: float, tries: int) -> bool:
        too_often = 0 <= self._trigger.retries < tries
        return too_often or 0 <= self._trigger.age_seconds < time.monotonic() - since

    def _give_up(self, batch: Sequence[Record], result: InvocationResult, tries: int) -> None:
        """Put the whole batch into the bucket, if there is one, as Lambda writes it."""
        if self._trigger.bucket is None:
            return
        now = datetime.now(UTC)
        body = {
            "version": "1.0",
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": tries},
            "responseContext": {"statusCode": 200, "functionError": result.error},
            "DDBStreamBatchInfo": {
                "shardId": self._shard,
                "startSequenceNumber": _number(batch[0]),
                "endSequenceNumber": _number(batch[-1]),
                "batchSize": len(batch),
                "streamArn": self._trigger.stream_arn,
            },
            "payload": _event(batch).decode(),
        }
        stamp = now.strftime("%Y-%m-%dT%H.%M.%S")
        key = f"aws/lambda/{self._trigger.name}/{self._shard}/{now:%Y/%m/%d}/{stamp}-{uuid.uuid4()}"
        # Lambda does not try that again either; and what follows is to be fed all the same.
        with suppress(ClientError, BotoCoreError):
            self._s3.put_object(Bucket=self._trigger.bucket, Key=key, Body=json.dumps(body).encode())


def first_failed(result: InvocationResult, numbers: Sequence[str], *, partial: bool) -> int | None:
    """Place of the first record that a function did not finish; None when it finished all.

    Args:
        result: of the function.
        numbers: sequence numbers of the batch's records.
        partial: whether the answer may name the failed ones. An answer that cannot be understood, or that
            names a record nobody sent, fails the whole batch; an empty one none.
    """
    if result.error is not None:
        return 0
    if not partial:
        return None
    try:
        failures = (result.json() or {}).get("batchItemFailures") or []
        places = [numbers.index(failure["itemIdentifier"]) for failure in failures]
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0
    return min(places, default=None)


def _event(batch: Sequence[Record]) -> bytes:
    return json.dumps({"Records": batch}, default=_plain).encode()


def _plain(value: object) -> object:
    """Binary values in base64, times in seconds: so Lambda writes them."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)


def _number(record: Record) -> str:
    return str(record["dynamodb"]["SequenceNumber"])
