"""Which queues and schedules are understood, and what is said of the others."""

from typing import Any

import pytest

from local.template import TemplateError
from local.triggers import (
    CONCURRENCY,
    QueueTrigger,
    Schedule,
    StreamTrigger,
    queue_trigger,
    schedule,
    stream_trigger,
)

QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:mooring-local-refresh"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:mooring-local-sweep"


def mapping(**more: Any) -> QueueTrigger | None:
    return queue_trigger("Source", {"EventSourceArn": QUEUE_ARN, "FunctionName": "f", **more})


def plan(expression: str = "rate(1 minute)", arn: str = FUNCTION_ARN, **more: Any) -> Schedule | None:
    return schedule("Tick", {"ScheduleExpression": expression, "Target": {"Arn": arn}, **more})


def test_a_mapping_has_lambdas_defaults() -> None:
    found = mapping()
    assert found == QueueTrigger("f", QUEUE_ARN, 10, 0, CONCURRENCY, partial=False)
    assert found.queue == "mooring-local-refresh"


def test_a_mapping_says_how_it_feeds() -> None:
    given = {"MaximumBatchingWindowInSeconds": 5, "ScalingConfig": {"MaximumConcurrency": 2}}
    found = mapping(BatchSize=25, FunctionResponseTypes=["ReportBatchItemFailures"], **given)
    assert found == QueueTrigger("f", QUEUE_ARN, 25, 5, 2, partial=True)


@pytest.mark.parametrize("off", [False, "false"])
def test_a_mapping_that_is_switched_off_feeds_nobody(off: object) -> None:
    assert mapping(Enabled=off) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"FilterCriteria": {}}, "Source: .*FilterCriteria"),
        ({"EventSourceArn": "arn:aws:dynamodb:us-east-1:1:table/t/stream/s"}, "Source: .*dynamodb"),
        ({"BatchSize": 11}, "Source: .*MaximumBatchingWindowInSeconds"),
    ],
)
def test_a_mapping_that_is_not_understood_is_named(more: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        mapping(**more)


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 hours)", 7200), ("rate(1 day)", 86_400)],
)
def test_rates_are_understood(expression: str, seconds: int) -> None:
    assert plan(expression, Name="tick") == Schedule("tick", FUNCTION_ARN, seconds, None)


def test_a_schedule_that_is_switched_off_fires_never() -> None:
    assert plan(State="DISABLED") is None


@pytest.mark.parametrize(
    ("expression", "arn"),
    [
        ("cron(0 3 * * ? *)", FUNCTION_ARN),
        ("rate(0 minutes)", FUNCTION_ARN),
        ("rate(1 minute)", "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"),
    ],
)
def test_a_schedule_that_is_not_understood_is_named(expression: str, arn: str) -> None:
    with pytest.raises(TemplateError, match="Tick: "):
        plan(expression, arn)


STREAM_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/connections/stream/2026-11-22T00:00:00.000"
STREAM = {"EventSourceArn": STREAM_ARN, "FunctionName": "f", "StartingPosition": "TRIM_HORIZON"}


def test_a_stream_has_lambdas_defaults() -> None:
    found = stream_trigger("Source", STREAM)
    assert found == StreamTrigger("Source", "f", STREAM_ARN, (), 100, False, False, -1, -1, None)
    assert found.table == "connections"


def test_a_stream_says_how_it_feeds() -> None:
    given = {
        "BatchSize": 5,
        "BisectBatchOnFunctionError": True,
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::undelivered"}},
        "FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["MODIFY"]}'}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MaximumRecordAgeInSeconds": 60,
        "MaximumRetryAttempts": 3,
        "ParallelizationFactor": 2,
    }
    pattern = {"eventName": ["MODIFY"]}
    assert stream_trigger("Source", {**STREAM, **given}) == StreamTrigger(
        "Source", "f", STREAM_ARN, (pattern,), 5, True, True, 3, 60, "undelivered"
    )


def test_a_stream_that_is_switched_off_feeds_nobody() -> None:
    assert stream_trigger("Source", {**STREAM, "Enabled": False}) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"TumblingWindowInSeconds": 5}, "Source: .*TumblingWindowInSeconds"),
        ({"StartingPosition": "LATEST"}, "Source: .*StartingPosition"),
        ({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:1:q"}}}, "Source: .*sqs"),
    ],
)
def test_a_stream_that_is_not_understood_is_named(more: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        stream_trigger("Source", {**STREAM, **more})
