from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mooring_cli.main import main
from tests.cli.aws_on_sockets import FakeAws, running_aws
from tests.cli.stack_on_sockets import KEY_ID, SECRET, FakeStack, running_stack


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


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with running_aws() as running:
        yield running


@pytest.fixture
def local(aws: FakeAws, stack: FakeStack) -> FakeAws:
    """The same, as the AWS of a local stack."""
    stack.aws_endpoint_url = aws.endpoint_url
    stack.tables = {name: aws.table(name) for name in ("connections", "flows")}
    stack.queues = aws.queues
    stack.write()
    return aws


@pytest.fixture
def deployed(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    """The same, as an operator's own AWS account."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    return aws
