"""The machine, run on new examples each time; and what ever failed in it."""

import os
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.any_order.dynamo import AnyOrderInDynamoDb
from tests.faults.any_order.kept import SEEDS, STORIES, Story
from tests.faults.any_order.machine import AnyOrder

EXAMPLES = int(os.environ.get("MOORING_EXAMPLES", "100"))
"""On either kind of tables. About a minute on one core; more find more."""
STEPS, PATIENT_SECONDS = 40, 60 + 4 * EXAMPLES
MACHINES = (AnyOrder, AnyOrderInDynamoDb)


def within(examples: int, **more: Any) -> settings:
    """How long to look."""
    return settings(max_examples=examples, stateful_step_count=STEPS, deadline=None, **more)


@pytest.mark.timeout(PATIENT_SECONDS)
def test_whatever_happens_in_whatever_order_every_promise_holds() -> None:
    run_state_machine_as_test(AnyOrder, settings=within(EXAMPLES))


@pytest.mark.timeout(PATIENT_SECONDS)
def test_they_hold_on_the_tables_that_ship_too() -> None:
    run_state_machine_as_test(AnyOrderInDynamoDb, settings=within(EXAMPLES))


@pytest.mark.parametrize("number", [number for number, _ in SEEDS])
def test_what_failed_once_does_not_fail_again(number: int) -> None:
    machine: Any = seed(number)(type("Kept", (AnyOrder,), {}))
    run_state_machine_as_test(machine, settings=within(20, database=None, phases=[Phase.generate]))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_that_is_told_for_ever(story: Story, machine: type[AnyOrder]) -> None:
    told = machine()
    told.begin(keys=list(story.keys), clocks=(0,))
    try:
        for rule, arguments in story.steps:
            getattr(told, rule)(**arguments)
            told.promises_hold()
        assert tuple(map(told.in_words, told.deployment.keys)) == story.ends
    finally:
        told.teardown()
