"""Schedules: soon after the start, again at their rate, by hand, never after the stop."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.invoker import Invoker
from local.runtime import FunctionSpec, InvocationResult, RuntimePool
from local.timetable import Timetable, event_of
from local.triggers import Schedule
from tests.local.toybox import PACKAGES, TOYS, until

AT = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


@pytest.fixture
def reported() -> list[InvocationResult]:
    return []


@pytest.fixture
def invoker(tmp_path: Path, reported: list[InvocationResult]) -> Iterator[Invoker]:
    made = Invoker(lambda _, result: reported.append(result))
    spec = FunctionSpec("toy", (TOYS / "echo", PACKAGES), timeout_seconds=5)
    with RuntimePool(spec, log_path=tmp_path / "toy.log", wait_seconds=0.1) as pool:
        made.add("Toy", "toy", pool)
        yield made


def plan(seconds: int = 60, given: str | None = '{"do": "tick"}') -> Schedule:
    return Schedule("tick", "arn:aws:lambda:us-east-1:123456789012:function:toy", seconds, given)


def test_it_fires_soon_and_then_at_its_rate(invoker: Invoker, reported: list[InvocationResult]) -> None:
    table = Timetable(plan(seconds=1), invoker, first_seconds=0.2)
    table.start()
    until(lambda: len(reported) >= 3)
    table.stop()
    table.join(batches=True)
    fired = len(reported)
    time.sleep(1.3)
    assert len(reported) == fired
    assert [result.json() for result in reported] == [{"enqueued": 0}] * fired


def test_it_can_be_held_still_and_fired_by_hand(invoker: Invoker, reported: list[InvocationResult]) -> None:
    table = Timetable(plan(seconds=1), invoker, first_seconds=0.1)
    table.pause()
    table.start()
    time.sleep(1.3)
    assert (table.paused, reported) == (True, [])
    assert table.fire().json() == {"enqueued": 0}
    assert len(reported) == 1
    table.resume()
    until(lambda: len(reported) > 1)
    table.stop()
    table.join(batches=True)


def test_a_firing_that_cannot_start_is_reported(invoker: Invoker, reported: list[InvocationResult]) -> None:
    invoker.pool("toy").stop()
    assert Timetable(plan(), invoker).fire().error == "ThrottledError"
    assert [result.error for result in reported] == ["ThrottledError"]


def test_the_event_is_what_the_template_says_with_its_placeholders_filled() -> None:
    assert event_of(plan(given="{}"), AT) == b"{}"
    given = '{"at": "<aws.scheduler.scheduled-time>", "try": "<aws.scheduler.attempt-number>"}'
    assert json.loads(event_of(plan(given=given), AT)) == {"at": "2026-11-22T07:30:00Z", "try": "1"}


def test_without_an_input_the_event_is_the_schedulers_own_notice() -> None:
    notice = json.loads(event_of(plan(given=None), AT))
    assert (notice["source"], notice["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    assert notice["time"] == "2026-11-22T07:30:00Z"
    assert notice["resources"] == ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/tick"]
