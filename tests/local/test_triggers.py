"""Which queues and schedules are understood, and what is said of the others."""

from typing import Any

import pytest

from local.template import TemplateError
from local.triggers import CONCURRENCY, QueueTrigger, Schedule, queue_trigger, schedule

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
