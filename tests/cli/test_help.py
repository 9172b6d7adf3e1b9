"""What `--help` tells: exit codes everywhere, and what a command costs or changes."""

import pytest

from mooring_cli.main import COMMANDS
from tests.cli.conftest import Command


def helped(mooring: Command, *command: str) -> str:
    answer = mooring(*command, "--help")
    assert (answer.code, answer.err) == (0, "")
    return " ".join(answer.out.split())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_exit_codes(command: str, mooring: Command) -> None:
    text = helped(mooring, *[command] if command else [])
    codes = text.partition("Exit codes: ")[2]
    assert codes.startswith("0 nothing needs attention; 1 " if command == "doctor" else "0 done; 1 ")
    assert "2 the command line is wrong; 130 interrupted." in codes


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("doctor", "Changes nothing. Scans the whole table of connections"),
        ("sweep", "waits until that is done"),
        ("refresh", "One that succeeds closes the provider's circuit."),
        ("disconnect", "Its tokens are then revoked at the provider, if that has a way."),
        ("forget", "Scans both tables whole, twice."),
        ("reseal", "everything may run meanwhile"),
        ("export", "a refresh can make an exported refresh token worthless"),
        ("import", "Nothing newer is overwritten"),
        ("connections", "by a scan, local stack only"),
    ],
)
def test_what_an_operator_should_know_first(command: str, text: str, mooring: Command) -> None:
    assert text in helped(mooring, command)


def test_the_overview_tells_what_a_one_of_doctor_means(mooring: Command) -> None:
    assert "`doctor` ends with 1 as well when something needs attention." in helped(mooring)
