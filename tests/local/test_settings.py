"""What people may say at start, and what they read when they say it wrong."""

import json
from pathlib import Path

import pytest

from local.settings import read_options, read_secrets
from local.stack_dir import StackDir, StackError, read_json


def test_options_come_from_the_command_line_then_the_environment_then_defaults(tmp_path: Path) -> None:
    environ = {"PORT": "9000", "MOORING_PROVIDERS_DIR": str(tmp_path)}
    assert read_options([], {}).port == 8000
    assert read_options([], environ).port == 9000
    given = read_options(["--port", "0", "--stack-dir", "elsewhere"], environ)
    assert (given.port, given.stack_dir, given.providers_dir) == (0, Path("elsewhere"), tmp_path)
    assert read_options([], {}).token_seconds == 240
    assert read_options([], {"MOORING_LOCAL_TOKEN_SECONDS": "30"}).token_seconds == 30
    assert read_options([], {}).aws_through is None
    through = "http://127.0.0.1:4567"
    assert read_options([], {"MOORING_LOCAL_AWS_THROUGH": f" {through} "}).aws_through == through


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PORT": "http"}, "PORT must be a number"),
        ({"PORT": "70000"}, "PORT must be a number"),
        ({"MOORING_LOCAL_TOKEN_SECONDS": "0"}, "MOORING_LOCAL_TOKEN_SECONDS must be a number from 1"),
        (
            {"MOORING_LOCAL_AWS_THROUGH": "http://example.com:80"},
            "MOORING_LOCAL_AWS_THROUGH must be an address",
        ),
        ({"MOORING_LOCAL_AWS_THROUGH": "http://localhost:80@example.com"}, "of this machine"),
        ({"MOORING_LOCAL_AWS_THROUGH": "https://127.0.0.1:4567"}, r"like http://127\.0\.0\.1:4567"),
        ({"MOORING_CONFIG": "/not/there.yaml"}, "MOORING_CONFIG: /not/there.yaml is not there"),
    ],
)
def test_a_wrong_option_is_one_clear_line(environ: dict[str, str], message: str) -> None:
    with pytest.raises(StackError, match=message) as raised:
        read_options([], environ)
    assert "\n" not in str(raised.value)


def test_secrets_are_read_by_provider(tmp_path: Path) -> None:
    # Two lines in one webhook secret: the new one and the one that it replaces.
    held = {"yotpo": {"client_secret": "a"}, "other": {"client_secret": "b", "webhook_secret": "c\nd"}}
    assert read_secrets(_file(tmp_path, json.dumps(held))) == held
    assert read_secrets(None) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"yotpo": {"client_secret": "canary"', r"secrets.json:1 is not JSON"),
        ('["canary"]', "must hold secrets by provider"),
        ('{"yotpo": "canary"}', "yotpo must hold"),
        ('{"yotpo": {"client_secret": ["canary"]}}', "yotpo must hold"),
        ('{"yotpo": {"client_secret": ""}}', "yotpo must hold"),
        ('{"yotpo": {"password": "canary"}}', "yotpo must hold"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_wrong_secrets_are_said_without_saying_them(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(StackError, match=message) as raised:
        read_secrets(_file(tmp_path, content))
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "\n" not in str(raised.value)


def test_a_missing_file_of_secrets_is_said(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="cannot read"):
        read_secrets(tmp_path / "none.json")


def test_one_stack_at_a_time_holds_a_folder(tmp_path: Path) -> None:
    first, second = StackDir(tmp_path), StackDir(tmp_path)
    first.hold("http://127.0.0.1:8000")
    with pytest.raises(StackError, match=r"already running.*127\.0\.0\.1:8000") as raised:
        second.hold("http://127.0.0.1:9000")
    assert "\n" not in str(raised.value)
    first.release()
    second.hold("http://127.0.0.1:9000")
    second.release()


def test_what_a_dead_stack_left_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{}")
    state = StackDir(tmp_path)
    state.hold("here")
    assert not state.stack_file.exists()
    state.tell_aws("http://127.0.0.1:4566")
    assert state.aws_file.read_text() == "http://127.0.0.1:4566"
    state.announce([], {"base_url": "x"})
    assert read_json(state.stack_file) == {"base_url": "x"}
    state.release()
    assert not state.aws_file.exists()
    with pytest.raises(StackError, match="no stack is running"):
        read_json(state.stack_file)


def _file(folder: Path, content: str) -> Path:
    path = folder / "secrets.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    return path
