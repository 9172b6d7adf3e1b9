"""Without a running stack, every command that needs one says how to start it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import FakeStack

NEED_A_STACK = {
    "link": ("link", "--provider", "acme", "--merchant", "m", "--return-to", "https://a.example"),
    "token": ("token", "m", "acme"),
    "connections": ("connections", "m"),
    "all connections": ("connections",),
    "refresh": ("refresh", "m", "acme"),
    "disconnect": ("disconnect", "m", "acme", "--yes"),
    "sweep": ("sweep",),
    "doctor": ("doctor",),
}
_COMMANDS = ("link", "token", "connections", "refresh", "disconnect", "sweep", "doctor")


@pytest.mark.parametrize("name", NEED_A_STACK)
def test_no_stack(name: str, mooring: Command) -> None:
    answer = mooring(*NEED_A_STACK[name])
    assert answer == (1, "", "No local stack is running here. Start it with: make run\n")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"base_url": 1}'])
def test_broken_stack_file(content: str, mooring: Command, tmp_path: Path) -> None:
    path = tmp_path / ".local" / "stack.json"
    path.parent.mkdir()
    path.write_text(content)
    answer = mooring("connections", "m")
    assert answer == (1, "", f"{path} cannot be read. Stop the local stack and start it again: make run\n")


@pytest.mark.parametrize("name", [name for name in NEED_A_STACK if name != "link"])
def test_stack_that_is_gone(name: str, mooring: Command, stack: FakeStack) -> None:
    gone = dict.fromkeys(("base_url", "aws_endpoint_url", "lambda_endpoint"), "http://127.0.0.1:9")
    stack.write(**gone)
    answer = mooring(*NEED_A_STACK[name])
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.endswith("make run\n")


@pytest.mark.parametrize("arguments", [(), ("fly",), ("token",), ("link",), ("check", "--nonsense")])
def test_wrong_command_line(arguments: tuple[str, ...], mooring: Command) -> None:
    answer = mooring(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "usage: mooring" in answer.err


def test_help_names_every_command(mooring: Command) -> None:
    answer = mooring("--help")
    assert answer.code == 0
    assert [name for name in (*_COMMANDS, "providers", "check") if f"    {name} " not in answer.out] == []
    assert set(_COMMANDS) == {name.split()[-1] for name in NEED_A_STACK}
