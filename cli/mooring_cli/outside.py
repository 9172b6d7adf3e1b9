"""What `mooring doctor` reads besides the connections: circuits, queues, and when the last sweep ended."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.core.errors import Failure
from mooring.core.upkeep import Circuit
from mooring_cli.errors import CommandError
from mooring_cli.stage import QUEUES, Stage, asking, is_absent, physical

WINDOW_SECONDS = 900
"""How far back CloudWatch is asked: its numbers come a few minutes late."""
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Queue(NamedTuple):
    """A queue: messages that wait, are in work and are delayed, and the age of the oldest, if known (s)."""

    name: str
    waiting: int
    in_work: int
    delayed: int
    oldest_seconds: int | None

    @property
    def depth(self) -> int:
        """All its messages."""
        return self.waiting + self.in_work + self.delayed


class Metrics(NamedTuple):
    """What CloudWatch knows: seconds since a sweep ended (None: longer than the window), ages by queue."""

    swept_seconds: int | None
    ages: dict[str, int]
    known: bool = True


def circuits(stage: Stage, providers: Sequence[str], now: int) -> list[Circuit]:
    """The circuits of these providers that are open or were closed lately, by name. Raises CommandError."""
    client = stage.client("dynamodb", attempts=1)
    try:
        known = DynamoCircuits(client, stage.flows_table, lambda: now).known(providers)
    except Failure as failure:
        raise CommandError(
            f"The table {stage.flows_table} cannot be read ({failure.detail}). Your credentials need "
            "dynamodb:BatchGetItem on it"
        ) from None
    return [known[provider] for provider in sorted(known)]


def queues(stage: Stage, ages: dict[str, int]) -> dict[str, Queue | None]:
    """Every queue by its short name; None for one that is not there. Raises CommandError."""
    sqs = stage.client("sqs")
    return {name: _queue(stage, sqs, name, ages.get(name)) for name in QUEUES}


def _queue(stage: Stage, sqs: Any, name: str, oldest_seconds: int | None) -> Queue | None:
    with asking(stage):
        try:
            url = stage.queue_url(name, sqs)
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))
        except ClientError as error:
            if is_absent(error):
                return None
            raise
    waiting, in_work, delayed = (int(found["Attributes"][count]) for count in _COUNTS)
    return Queue(name, waiting, in_work, delayed, oldest_seconds if waiting + in_work + delayed else None)


def metrics(stage: Stage, now: int) -> Metrics | None:
    """What CloudWatch knows; None for the local stack, which has none."""
    if stage.stack is not None:
        return None
    names = {f"q{number}": name for number, name in enumerate(QUEUES)}
    wanted = [
        _metric(
            key,
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            "Maximum",
            "QueueName",
            physical(stage.name, name),
        )
        for key, name in names.items()
    ]
    wanted.append(_metric("swept", f"Mooring/{stage.name}", "Swept", "Sum", "service", "sweep"))
    moment = datetime.fromtimestamp(now, UTC)
    try:
        answer = stage.client("cloudwatch").get_metric_data(
            MetricDataQueries=wanted,
            StartTime=moment - timedelta(seconds=WINDOW_SECONDS),
            EndTime=moment + timedelta(seconds=60),
            ScanBy="TimestampDescending",
        )
    except (BotoCoreError, ClientError):
        return Metrics(None, {}, known=False)
    latest = {found["Id"]: found for found in answer["MetricDataResults"] if found["Values"]}
    swept = latest["swept"]["Timestamps"][0].timestamp() if "swept" in latest else None
    ages = {name: int(latest[key]["Values"][0]) for key, name in names.items() if key in latest}
    return Metrics(None if swept is None else max(0, now - int(swept)), ages)


def _metric(
    key: str, namespace: str, name: str, statistic: str, dimension: str, value: str
) -> dict[str, Any]:
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": dimension, "Value": value}]}
    return {"Id": key, "MetricStat": {"Metric": metric, "Period": 60, "Stat": statistic}}
