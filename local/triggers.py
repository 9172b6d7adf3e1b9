"""What starts functions besides requests, as the template declares it: queues, streams and schedules.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html,
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.filters import read_filters
from local.template import TemplateError

CONCURRENCY = 4
"""Batches of one queue that are worked on at once at most: what a small machine bears."""

_LAMBDAS_LONGEST_RECEIVE = 10
_SIZES = (("BatchSize", 10), ("MaximumBatchingWindowInSeconds", 0))
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_QUEUE_PROPERTIES = frozenset(
    {"BatchSize", "Enabled", "EventSourceArn", "FunctionName", "FunctionResponseTypes"}
    | {"MaximumBatchingWindowInSeconds", "MetricsConfig", "ScalingConfig", "Tags"}
)
_STREAM_PROPERTIES = frozenset(
    {"BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "Enabled", "EventSourceArn"}
    | {"FilterCriteria", "FunctionName", "FunctionResponseTypes", "MaximumRecordAgeInSeconds"}
    | {"MaximumRetryAttempts", "ParallelizationFactor", "StartingPosition", "Tags"}
)
_DEFAULT_STREAM_BATCH = 100
_FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """An event source mapping: messages of a queue go to a function.

    Attributes:
        function: physical name or ARN.
        queue_arn: the queue.
        batch_size: messages in one event at most.
        window_seconds: how long a batch may wait to become full.
        concurrency: batches at once.
        partial: whether the function says which messages failed.
    """

    function: str
    queue_arn: str
    batch_size: int
    window_seconds: int
    concurrency: int
    partial: bool

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.queue_arn.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class StreamTrigger:
    """An event source mapping: changes of a table go to a function.

    Attributes:
        name: as the template names it.
        function: physical name or ARN.
        stream_arn: the table's stream.
        filters: patterns; a record that matches none does not reach the function.
        batch_size: records in one event at most.
        partial: whether the function says from which record on it failed.
        bisect: whether a batch at which the function failed is split.
        retries: how often a batch is tried again; -1 for ever.
        age_seconds: how old a record may become meanwhile; -1 for ever.
        bucket: what takes a batch that is given up; None loses it.
    """

    name: str
    function: str
    stream_arn: str
    filters: tuple[Mapping[str, Any], ...] = ()
    batch_size: int = _DEFAULT_STREAM_BATCH
    partial: bool = False
    bisect: bool = False
    retries: int = _FOR_EVER
    age_seconds: int = _FOR_EVER
    bucket: str | None = None

    @property
    def table(self) -> str:
        """The table's name."""
        return self.stream_arn.partition(":table/")[2].partition("/")[0]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that starts a function again and again.

    Attributes:
        name: as the template names it.
        function: physical name or ARN.
        seconds: from one firing to the next.
        given: the event as the template writes it, JSON; None for the scheduler's own notice.
    """

    name: str
    function: str
    seconds: int
    given: str | None


def queue_trigger(name: str, properties: Mapping[str, Any]) -> QueueTrigger | None:
    """An `AWS::Lambda::EventSourceMapping`, resolved; None when it is switched off.

    Args:
        name: logical id.
        properties: its properties.

    Raises:
        TemplateError: it is not a queue, or asks for what the local stack does not do.
    """
    if properties.keys() - _QUEUE_PROPERTIES or ":sqs:" not in properties["EventSourceArn"]:
        odd = ", ".join(sorted(properties.keys() - _QUEUE_PROPERTIES)) or properties["EventSourceArn"]
        raise TemplateError(f"{name}: the local stack does not know how to feed a function from {odd}")
    size, window = (int(properties.get(key, default)) for key, default in _SIZES)
    if size > _LAMBDAS_LONGEST_RECEIVE and window == 0:
        raise TemplateError(f"{name}: a BatchSize above 10 needs a MaximumBatchingWindowInSeconds")
    if str(properties.get("Enabled", True)).lower() == "false":
        return None
    wanted = int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", CONCURRENCY))
    return QueueTrigger(
        function=properties["FunctionName"],
        queue_arn=properties["EventSourceArn"],
        batch_size=size,
        window_seconds=window,
        concurrency=min(wanted, CONCURRENCY),
        partial="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
    )


def stream_trigger(name: str, properties: Mapping[str, Any]) -> StreamTrigger | None:
    """An `AWS::Lambda::EventSourceMapping` of a table's stream, resolved; None when it is switched off.

    Args:
        name: logical id.
        properties: its properties.

    Raises:
        TemplateError: it asks for what the local stack does not do.
    """
    destination = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    odd = [*sorted(properties.keys() - _STREAM_PROPERTIES)]
    odd += [str(destination)] if destination and ":s3:::" not in destination else []
    if properties.get("StartingPosition") != "TRIM_HORIZON":
        odd.append("StartingPosition")
    if odd:
        raise TemplateError(f"{name}: the local stack feeds no stream with {', '.join(odd)}")
    if str(properties.get("Enabled", True)).lower() == "false":
        return None
    return StreamTrigger(
        name=name,
        function=properties["FunctionName"],
        stream_arn=properties["EventSourceArn"],
        filters=read_filters(name, properties.get("FilterCriteria", {})),
        batch_size=int(properties.get("BatchSize", _DEFAULT_STREAM_BATCH)),
        partial="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        bisect=str(properties.get("BisectBatchOnFunctionError", False)).lower() == "true",
        retries=int(properties.get("MaximumRetryAttempts", _FOR_EVER)),
        age_seconds=int(properties.get("MaximumRecordAgeInSeconds", _FOR_EVER)),
        bucket=destination.rpartition(":")[2] if destination else None,
    )


def schedule(name: str, properties: Mapping[str, Any]) -> Schedule | None:
    """An `AWS::Scheduler::Schedule`, resolved; None when it is switched off.

    Args:
        name: logical id.
        properties: its properties.

    Raises:
        TemplateError: it is no rate, or its target is no function.
    """
    expression = properties["ScheduleExpression"]
    rate, target = _RATE.fullmatch(expression), properties["Target"]
    if rate is None or int(rate[1]) == 0:
        raise TemplateError(f"{name}: the local stack fires rates only, such as rate(1 minute): {expression}")
    if ":lambda:" not in target["Arn"]:
        raise TemplateError(f"{name}: the local stack's schedules start functions only: {target['Arn']}")
    if properties.get("State", "ENABLED") == "DISABLED":
        return None
    return Schedule(
        name=properties.get("Name", name),
        function=target["Arn"],
        seconds=int(rate[1]) * _SECONDS[rate[2]],
        given=target.get("Input"),
    )
