"""`mooring refresh` and `mooring disconnect`: signed, in plain words, and never by accident."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mooring.core.errors import Failure, Reason
from mooring.entry.problems import problem as answered_by_the_api
from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import FakeStack, connection, problem

ONE = "/merchants/m-1/connections/acme/{}"
REFRESH = f"POST {ONE}/refresh"
DELETE = f"DELETE {ONE}"
REFRESHED = {"outcome": "refreshed", "version": 5, "generation": 2, "expires_at": 1_790_003_600}
LINK = "mooring link --provider acme --merchant m-1 --return-to URL"
QUESTION = "Disconnect acme shop-7 of m-1? Its tokens are erased and cannot be brought back. [y/N] "
DISCONNECTED = {"status": "disconnected"}


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        ("refreshed", "Refreshed"),
        ("fresh", "Nothing to do, because it was refreshed a moment ago"),
        ("skipped", "Nothing to refresh, because there is no refresh token"),
        ("a later word", "a later word"),
    ],
)
def test_refresh_says_what_happened(outcome: str, line: str, mooring: Command, stack: FakeStack) -> None:
    stack.answers[REFRESH.format("shop:7")] = (200, {**REFRESHED, "outcome": outcome})
    told = f"{line}: acme shop:7 of m-1 (version 5, good until 2026-09-21 15:13:20Z).\n"
    assert mooring("refresh", "m-1", "acme", "shop:7") == (0, told, "")
    assert stack.asked == [REFRESH.format("shop:7")]


def test_a_token_without_an_end(mooring: Command, stack: FakeStack) -> None:
    stack.answers[REFRESH.format("shop-7")] = (200, {**REFRESHED, "expires_at": None})
    assert mooring("refresh", "m-1", "acme", "shop-7").out.endswith("(version 5, with no known end).\n")


def test_refresh_of_the_only_account_as_json(mooring: Command, stack: FakeStack) -> None:
    stack.lists("m-1", connection("other", "x"), connection("acme", "shop-7"))
    stack.answers[REFRESH.format("shop-7")] = (200, REFRESHED)
    assert json.loads(mooring("refresh", "m-1", "acme", "--json").out) == REFRESHED


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (404, "connection_not_found", "See what is there: mooring connections m-1"),
        (409, "grant_refused", f"The merchant has to connect it again: {LINK}"),
        (409, "lost_rotation", f"The merchant has to connect it again: {LINK}"),
        (503, "refresh_busy", "Look again in a moment: mooring connections m-1"),
        (503, "refresh_in_doubt", "See how many: mooring doctor"),
        (503, "refresh_put_off", "Why: mooring connections m-1 --json"),
        (503, "provider_paused", "is sent to the provider. Since when: mooring doctor"),
        (409, "token_superseded", "Newer tokens are stored already: mooring connections m-1"),
        (500, "provider_misconfigured", "See docs/runbook.md#alarm-provider-misconfigured"),
        (502, "provider_error", "for a reason of its own. See docs/runbook.md#by-reason"),
        (503, "provider_unavailable", "Try again later; a sweep does so by itself"),
        (503, "storage_unavailable", "in a few seconds. If it persists, the stack's terminal says more."),
        (418, "of_a_later_release", "For a reason. The stack's terminal says more."),
    ],
)
def test_a_refused_refresh_says_what_to_do(
    status: int, reason: str, text: str, mooring: Command, stack: FakeStack
) -> None:
    stack.answers[REFRESH.format("shop-7")] = problem(status, reason, "It did not work", "For a reason.")
    answer = mooring("refresh", "m-1", "acme", "shop-7")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("It did not work: For a reason. ")
    assert answer.err.strip().endswith(text)


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (
            Failure(Reason.CONNECTION_NOT_ACTIVE, "its status is disconnected"),
            (
                "connection not active: Its status is disconnected. The merchant has to connect it again: "
                f"{LINK}\n"
            ),
        ),
        (
            Failure(Reason.LOST_ROTATION),
            f"lost rotation. The merchant has to connect it again: {LINK}\n",
        ),
        (
            Failure(Reason.STORAGE_UNAVAILABLE, "ThrottlingException"),
            (
                "storage unavailable: ThrottlingException. Try again in a few seconds. If it persists, the "
                "stack's terminal says more.\n"
            ),
        ),
        (
            Failure(Reason.PROVIDER_UNAVAILABLE),
            "provider unavailable. Try again later; a sweep does so by itself\n",
        ),
    ],
)
def test_one_advice_is_enough(failure: Failure, line: str, mooring: Command, stack: FakeStack) -> None:
    """The API's answer as it really is brings an advice for services."""
    body = answered_by_the_api(failure, "4be3f0d19c")["body"]
    stack.answers[REFRESH.format("shop-7")] = (failure.status, body.encode())
    assert mooring("refresh", "m-1", "acme", "shop-7") == (1, "", line)


def test_what_is_left_of_a_disabled_provider_can_be_ended(mooring: Command, stack: FakeStack) -> None:
    stack.enables("yotpo")
    stack.answers[DELETE.format("shop-7")] = (200, DISCONNECTED)
    assert mooring("disconnect", "m-1", "acme", "shop-7", "--yes").code == 0
    assert mooring("refresh", "m-1", "acme", "shop-7").code == 2
    assert stack.asked == [DELETE.format("shop-7")]


@pytest.mark.parametrize("command", ["refresh", "disconnect"])
def test_several_accounts_are_listed_with_the_command(
    command: str, mooring: Command, stack: FakeStack
) -> None:
    stack.lists("m-1", connection("acme", "shop-7"), connection("acme", "shop-8"))
    options = ["--yes"] if command == "disconnect" else []
    answer = mooring(command, "m-1", "acme", *options)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.endswith(f"shop-7, shop-8. Name one: mooring {command} m-1 acme shop-7\n")


@pytest.mark.parametrize("command", ["refresh", "disconnect"])
@pytest.mark.parametrize("names", [("m 1", "acme"), ("m-1", "Acme"), ("m-1", "acme", ".."), ("", "acme")])
def test_names_are_checked_first(
    command: str, names: tuple[str, ...], mooring: Command, stack: FakeStack
) -> None:
    options = ["--yes"] if command == "disconnect" else []
    assert mooring(command, *names, *options).code == 2
    assert stack.asked == []


def test_disconnect(mooring: Command, stack: FakeStack) -> None:
    stack.answers[DELETE.format("shop-7")] = (200, DISCONNECTED)
    answer = mooring("disconnect", "m-1", "acme", "shop-7", "--yes")
    assert (answer.code, stack.asked) == (0, [DELETE.format("shop-7")])
    assert answer.out.startswith("Disconnected: acme shop-7 of m-1. Its tokens are erased")
    assert answer.err == "The merchant can connect it again at any time, with a new link.\n"
    again = mooring("disconnect", "m-1", "acme", "shop-7", "--yes", "--json")
    assert json.loads(again.out) == DISCONNECTED


def test_disconnect_of_what_never_was(mooring: Command, stack: FakeStack) -> None:
    stack.answers[DELETE.format("x")] = problem(404, "connection_not_found", "connection not found", "")
    answer = mooring("disconnect", "m-1", "acme", "x", "--yes")
    assert answer == (1, "", "connection not found. See what is there: mooring connections m-1\n")


def test_nobody_to_ask(mooring: Command, stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing:  # noqa: PTH123 - a stream, not a file
        monkeypatch.setattr(sys, "stdin", nothing)
        answer = mooring("disconnect", "m-1", "acme", "shop-7")
    assert answer == (2, "", "Nobody can be asked here. To disconnect without a question, add --yes\n")
    assert stack.asked == []


@pytest.mark.parametrize(
    ("typed", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("yesterday\n", 1)]
)
def test_the_question(typed: str, code: int, stack: FakeStack) -> None:
    stack.answers[DELETE.format("shop-7")] = (200, DISCONNECTED)
    with asked(stack) as (process, terminal):
        os.write(terminal, typed.encode())
        rest = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert bool(stack.asked) is (code == 0)
    assert ("Nothing was changed." in rest) is (code == 1)


def test_an_interrupted_question_changes_nothing(stack: FakeStack) -> None:
    with asked(stack) as (process, _):
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[1]
    assert (process.returncode, stack.asked) == (130, [])
    assert rest.strip() == "Interrupted."


@contextmanager
def asked(stack: FakeStack) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`mooring disconnect` at a terminal, at the moment when it has asked; and the terminal to answer at."""
    ours, theirs = pty.openpty()
    names = ["disconnect", "m-1", "acme", "shop-7", "--stack-dir", str(stack.stack_dir)]
    command = [sys.executable, "-m", "mooring_cli.main", *names]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=theirs, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        question = process.stderr.read(len(QUESTION))
        assert question == QUESTION
        yield process, ours
    os.close(ours)
    os.close(theirs)
