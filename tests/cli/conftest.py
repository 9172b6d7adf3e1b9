from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mooring_cli.main import main
from tests.cli.stack_on_sockets import FakeStack, running_stack


class Answer(NamedTuple):
    """What one run of the command left behind."""

    code: int
    out: str
    err: str


class Command:
    """Runs `mooring` in this process, in a folder of its own."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> Answer:
        self._captured.readouterr()
        try:
            code = main(list(arguments))
        except SystemExit as stop:
            code = int(str(stop.code))
        out, err = self._captured.readouterr()
        return Answer(code, out, err)


@pytest.fixture
def mooring(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOORING_PROVIDERS_DIR", raising=False)
    monkeypatch.delenv("MOORING_CONFIG", raising=False)
    return Command(capsys)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[FakeStack]:
    with running_stack(tmp_path) as running:
        yield running
