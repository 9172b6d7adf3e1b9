"""`mooring sweep`: one readable line, or JSON, or what went wrong."""

import json

import pytest

from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import SWEEP, FakeStack

POST = f"POST {SWEEP}"
IDLE = {"enqueued": 0, "overdue_seconds": 0, "open_circuits": [], "queue_depth": 0}
BUSY = {"enqueued": 1200, "overdue_seconds": 700, "open_circuits": ["acme"], "queue_depth": 1}
BUSY_LINE = (
    "Swept: 1,200 connections queued for refresh; the most belated has been due for 11 min; "
    "1 message waited in the queue; held back behind an open circuit: acme.\n"
)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (IDLE, "Swept: 0 connections queued for refresh; none is late; the queue was empty.\n"),
        (
            BUSY,
            BUSY_LINE,
        ),
    ],
)
def test_one_line(answer: dict[str, object], line: str, mooring: Command, stack: FakeStack) -> None:
    stack.answers[POST] = (200, answer)
    assert mooring("sweep") == (0, line, "")
    assert stack.asked == [POST]
    assert mooring("sweep", "--stage", "local") == (0, line, "")


def test_json(mooring: Command, stack: FakeStack) -> None:
    stack.answers[POST] = (200, BUSY)
    assert json.loads(mooring("sweep", "--json").out) == BUSY


def test_the_function_of_the_stack_file(mooring: Command, stack: FakeStack) -> None:
    stack.answers[POST.replace("mooring-local-sweep", "another-name")] = (200, IDLE)
    stack.write(functions={"sweep": "another-name"})
    assert mooring("sweep").code == 0


def test_a_sweep_that_failed(mooring: Command, stack: FakeStack) -> None:
    stack.answers[POST] = (200, {"errorType": "Failure", "errorMessage": "secret-looking text"})
    stack.headers = {"X-Amz-Function-Error": "Unhandled"}
    answer = mooring("sweep")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("The sweep failed (Failure). Its log says more: docs/runbook.md#")
    assert "secret-looking" not in answer.err


def test_the_reason_of_a_sweep_that_failed(mooring: Command, stack: FakeStack) -> None:
    stack.answers[POST] = (200, {"errorType": "RuntimeError", "errorMessage": "storage_unavailable"})
    stack.headers = {"X-Amz-Function-Error": "Unhandled"}
    assert mooring("sweep") == (
        1,
        "",
        "The sweep failed (storage_unavailable). Its log says more: docs/runbook.md#alarm-sweep-missing\n",
    )


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"enqueued": "many"}'])
def test_an_answer_of_no_use(body: bytes, mooring: Command, stack: FakeStack) -> None:
    stack.answers[POST] = (200, body)
    answer = mooring("sweep")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("The sweep did not say what it did.")


def test_one_at_a_time(mooring: Command, stack: FakeStack) -> None:
    stack.answers[POST] = (429, {"message": "Rate Exceeded."})
    stack.headers = {"x-amzn-ErrorType": "TooManyRequestsException"}
    answer = mooring("sweep")
    assert answer.code == 1
    assert answer.err.startswith("A sweep is running this moment, and only one may.")
    assert stack.asked == [POST]


def test_a_stack_without_the_function(mooring: Command, stack: FakeStack) -> None:
    answer = mooring("sweep")
    assert answer.code == 1
    assert answer.err.endswith("Stop the local stack and start it again: make run\n")
