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
    out = io.StringIO()
    Console(out).invocation("callback", given)
    return out.getvalue().split()[1:]


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
