"""The line that a person reads after each invocation."""

import io
import json

import pytest

from local.console import Console, last_line
from local.emulator import InvocationResult


def result(*lines: object, error: str | None = None, cold: bool = False) -> InvocationResult:
    written = tuple(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return InvocationResult(b"{}", error, written, 12.4, cold)


def shown(given: InvocationResult) -> list[str]:
    """The cells of the line, without its time."""
    [line] = shown_lines("callback", given)
    return line


def shown_lines(function: str, *given: InvocationResult) -> list[list[str]]:
    """The cells of every line, without their times."""
    out = io.StringIO()
    console = Console(out)
    for each in given:
        console.invocation(function, each)
    return [line.split()[1:] for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        (
            result({"level": "INFO", "outcome": "connected", "provider": "yotpo", "ref": "R1"}),
            ["callback", "connected", "yotpo", "12", "ms"],
        ),
        (
            result(
                {"level": "WARNING", "outcome": "failed", "reason": "link_expired", "ref": "R2"}, cold=True
            ),
            ["callback", "link_expired", "12", "ms", "ref", "R2,", "cold", "start"],
        ),
        (result(error="Sandbox.Timedout"), ["callback", "error:", "Sandbox.Timedout", "12", "ms"]),
        (result("print me"), ["callback", "done", "12", "ms"]),
    ],
)
def test_one_line_says_what_came_of_it(given: InvocationResult, cells: list[str]) -> None:
    assert shown(given) == cells


def test_no_token_or_query_stands_in_the_line() -> None:
    said = {"level": "INFO", "outcome": "read", "provider": "yotpo", "extra": "canary-secret"}
    assert "canary-secret" not in " ".join(shown(result(said)))


def test_metrics_and_broken_lines_are_not_taken_for_the_log_line() -> None:
    log = {"level": "INFO", "outcome": "read"}
    assert last_line([json.dumps(log), json.dumps({"_aws": {}}), "{broken", "[1]"]) == log
    assert last_line([]) == {}


def test_addresses_are_listed() -> None:
    out = io.StringIO()
    Console(out).ready([("Demo product", "http://127.0.0.1:8001"), ("Logs", "x")], 12.3)
    assert out.getvalue().splitlines() == [
        "",
        "Mooring is ready (12 s).",
        "",
        "  Demo product  http://127.0.0.1:8001",
        "  Logs          x",
        "",
    ]


def test_a_page_that_polls_does_not_drown_the_rest() -> None:
    out = io.StringIO()
    console = Console(out)
    listed, read = (result({"level": "INFO", "outcome": outcome}) for outcome in ("listed", "read"))
    for given in (listed, listed, listed, read, read, listed, listed):
        console.invocation("connections", given)
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["listed", "read", "read", "listed"]


def record(outcome: str, **more: str) -> dict[str, str]:
    return {"level": "INFO", "outcome": outcome, **more}


def test_a_batch_is_one_line_for_each_record() -> None:
    given = result(
        record("refreshed", provider="xeno"),
        {"_aws": {}},
        record("failed", reason="provider_unavailable", provider="yotpo", ref="R1"),
        record("fresh", provider="xeno"),
    )
    assert shown_lines("refresh", given) == [
        ["refresh", "refreshed", "xeno"],
        ["refresh", "provider_unavailable", "yotpo", "ref", "R1"],
        ["refresh", "fresh", "xeno", "12", "ms"],
    ]


def test_a_batch_that_breaks_off_says_so_after_what_was_done() -> None:
    given = result(record("refreshed"), record("fresh"), error="Sandbox.Timedout")
    assert shown_lines("refresh", given) == [
        ["refresh", "refreshed"],
        ["refresh", "fresh"],
        ["refresh", "error:", "Sandbox.Timedout", "12", "ms"],
    ]


def swept(enqueued: int) -> InvocationResult:
    line = json.dumps(record("swept"))
    return InvocationResult(json.dumps({"enqueued": enqueued}).encode(), None, (line,), 12.4, False)


def test_sweeps_that_find_nothing_are_folded_and_others_are_not() -> None:
    given = [swept(0), swept(0), swept(3), swept(4), swept(0), swept(0)]
    assert len(shown_lines("sweep", *given)) == 4


def test_two_kinds_of_idle_lines_fold_each_other_too() -> None:
    out = io.StringIO()
    console = Console(out)
    for _ in range(3):
        console.invocation("connections", result(record("listed")))
        console.invocation("sweep", swept(0))
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["connections", "sweep"]


def test_a_sweep_that_fails_is_never_folded() -> None:
    failed = InvocationResult(b'{"errorType": "RuntimeError"}', "RuntimeError", (), 1.0, False)
    assert len(shown_lines("sweep", swept(0), failed, failed)) == 3
