"""What docs/cost.md reckons with is what the template makes, and its tables are what the arithmetic says."""

from typing import Any

import pytest

from mooring.core.schedule import SHARDS
from tests.docs.markdown import document
from tests.template.translated import Stack
from tools.simulate.model import batch_seconds
from tools.simulate.settings import defaults

COST = document("docs/cost.md")
STACK = Stack()


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in COST.fences("python"):
        exec(compile(block, "docs/cost.md", "exec"), found)
    return found


@pytest.mark.parametrize(
    ("head", "names", "factor"),
    [
        ("what stands", ("sweeps", "polling", "alarms", "metrics"), 1),
        ("idle", ("idle_first_year", "idle_third_year"), 1),
    ],
)
def test_a_table_is_what_the_arithmetic_says(
    figures: dict[str, Any], head: str, names: tuple[str, ...], factor: int
) -> None:
    told = [float(row[1]) for row in COST.rows(head)]
    assert told == pytest.approx([factor * figures[name] for name in names], abs=0.005)


@pytest.mark.parametrize(("column", "ending"), [(1, "_alone"), (2, "")])
def test_keeping_tokens_alive_costs_what_the_arithmetic_says(
    figures: dict[str, Any], column: int, ending: str
) -> None:
    told = [float(row[column]) for row in COST.rows("a thousand connections, for a month")]
    names = [f"{name}{ending}" for name in ("hourly", "daily", "on_read")]
    assert told == pytest.approx([1000 * figures[name] for name in names], abs=0.005)


def test_a_full_batch_takes_as_long_as_in_the_simulation(figures: dict[str, Any]) -> None:
    assert figures["BATCH_SECONDS"] == pytest.approx(batch_seconds(defaults()), abs=0.02)


def test_it_reckons_with_every_function_and_its_memory(figures: dict[str, Any]) -> None:
    memory = {
        function["FunctionName"].removeprefix("mooring-prod-"): function["MemorySize"] / 1024
        for function in STACK.of_type("AWS::Lambda::Function").values()
    }
    assert figures["GIGABYTES"] == memory
    assert set(figures["SECONDS"]) == set(memory)


def test_it_reckons_with_every_alarm_and_shard(figures: dict[str, Any]) -> None:
    watched = [
        sum("MetricStat" in query for query in alarm.get("Metrics", ())) or 1
        for alarm in STACK.of_type("AWS::CloudWatch::Alarm").values()
    ]
    assert (figures["ALARM_METRICS"], len(watched)) == (sum(watched), 21)
    assert figures["SHARDS"] == SHARDS


def test_it_reckons_with_every_metric_of_the_sweep(figures: dict[str, Any]) -> None:
    rows = document("docs/runbook.md").rows("metric", "from", "means", "alarm")
    assert figures["SWEEP_METRICS"] == len([row for row in rows if row[1] == "sweep"])


def test_it_reckons_with_a_sweep_every_minute_and_three_polled_queues(figures: dict[str, Any]) -> None:
    assert STACK.properties("SweepSchedule")["ScheduleExpression"] == "rate(1 minute)"
    assert figures["MINUTES"] == 60 * figures["MONTH"]
    fed = [mapping["EventSourceArn"] for mapping in STACK.of_type("AWS::Lambda::EventSourceMapping").values()]
    assert len([arn for arn in fed if ":sqs:" in arn]) == 3


def test_batches_are_as_large_as_reckoned_with(figures: dict[str, Any]) -> None:
    assert STACK.properties("RefreshQueueSource")["BatchSize"] == figures["BATCH"]
