"""`mooring providers` and `mooring check`: what the settings and descriptors say."""

import json
import pty
import subprocess
import sys
from os import close, read
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Command
from tests.providers.full import FULL
from tests.providers.samples import Settings

SECONDS = {"access_token_seconds": 60}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path)


@pytest.fixture
def here(settings: Settings) -> tuple[str, ...]:
    return ("--catalog", str(settings.catalog))


def test_check_of_good_settings(mooring: Command, here: tuple[str, ...]) -> None:
    assert mooring("check", *here) == (0, "ok by the rules of production: 1 descriptors; enabled: acme\n", "")


def test_check_lists_every_error(mooring: Command, settings: Settings, here: tuple[str, ...]) -> None:
    settings.write_config({"providers.acme.client_idd": "x", "branding.colour": "red"})
    answer = mooring("check", *here)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.splitlines() == [
        "error: mooring.yaml:3: branding.colour: must be a colour such as #2f6f4e",
        "error: mooring.yaml:12: providers.acme.client_idd: unknown key; did you mean client_id?",
    ]


def test_check_as_json(mooring: Command, settings: Settings, here: tuple[str, ...]) -> None:
    settings.write_descriptor({"unverified": {"token.body": "a guess"}})
    good = json.loads(mooring("check", *here, "--json").out)
    assert good == {
        "ok": True,
        "rules": "production",
        "errors": [],
        "warnings": ["acme: unverified facts: 1; try it with a real account and see: mooring providers acme"],
    }
    settings.write_config({"link_keys": 5})
    answer = mooring("check", *here, "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["errors"] == [
        {"file": "mooring.yaml", "line": 5, "path": "link_keys", "text": "must be a list"}
    ]


def test_warnings_do_not_fail_a_check(mooring: Command, settings: Settings, here: tuple[str, ...]) -> None:
    settings.write_config({"link_keys": []})
    answer = mooring("check", *here)
    assert answer.code == 0
    assert answer.err.startswith("warning: link_keys is empty")


def test_loopback_needs_local_rules(mooring: Command, settings: Settings, here: tuple[str, ...]) -> None:
    settings.write_descriptor({"token.url": "http://127.0.0.1:9101/token"})
    assert mooring("check", *here).code == 1
    assert mooring("check", *here, "--local").out.startswith("ok by the rules of this machine")


def test_environment_adds_what_make_run_would_add(
    mooring: Command, settings: Settings, here: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    extra, overlay = settings.folder / "extra", settings.folder / "overlay.yaml"
    extra.mkdir()
    (extra / "fifth.yaml").write_text(
        (settings.catalog / "acme.yaml").read_text().replace("id: acme", "id: fifth")
    )
    overlay.write_text("providers: {fifth: {client_id: x}}\n")
    monkeypatch.setenv("MOORING_PROVIDERS_DIR", str(extra))
    monkeypatch.setenv("MOORING_CONFIG", str(overlay))
    answer = mooring("check", *here)
    assert answer.out == "ok by the rules of this machine: 2 descriptors; enabled: acme, fifth\n"


@pytest.mark.parametrize("command", ["check", "providers"])
def test_no_settings_file(command: str, mooring: Command, settings: Settings) -> None:
    settings.config.unlink()
    answer = mooring(command)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("There is no mooring.yaml here or in a folder above.")


def test_table_of_providers(mooring: Command, settings: Settings, here: tuple[str, ...]) -> None:
    settings.write_descriptor(FULL, name="full")
    lines = mooring("providers", *here).out.splitlines()
    assert lines[0].split("  ")[0] == "provider"
    assert "as told" in lines[1]
    for text in ("as told, else 3600 s", "rotates", "revoke, uninstall event, probe"):
        assert text in lines[2]
    assert [line.split()[:2] for line in lines[1:]] == [["acme", "yes"], ["full", "no"]]
    assert max(map(len, lines)) <= 100


def test_the_catalog_fits_into_a_hundred_columns(mooring: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lines = mooring("providers").out.splitlines()
    assert len(lines) > 4
    assert max(map(len, lines)) <= 100
    assert "uninstall hint" in next(line for line in lines if line.startswith("yotpo"))


def test_one_provider_in_full(mooring: Command, settings: Settings, here: tuple[str, ...]) -> None:
    settings.write_descriptor({**FULL, "unverified": {"token.body": "a guess"}}, name="full")
    facts = dict(line.split("  ", 1) for line in mooring("providers", "full", *here).out.splitlines())
    told = {name: value.strip() for name, value in facts.items()}
    assert told["refresh / grace_seconds"] == "30"
    assert told["refresh / parameters / refresh_token"] == "old"
    assert told["uninstall / event"] == "header:X-Acme-Topic=app/uninstalled"
    assert told["revoke / call"] == "POST https://revoke.acme.example/{account_id}"
    assert told["revoke / ends"] == "token"
    assert told["account"] == "callback parameter shop"
    assert told["unverified / token.body"] == "a guess"
    assert told["sources"] == "OAuth at Acme: https://docs.acme.example/oauth"


def test_providers_as_json(mooring: Command, here: tuple[str, ...]) -> None:
    one = json.loads(mooring("providers", "acme", *here, "--json").out)
    assert json.loads(mooring("providers", *here, "--json").out) == {"providers": [one]}
    assert (one["refresh"], one["revoke"], one["uninstall"], one["rate_limit"]) == (None, None, None, None)
    assert (one["account"], one["enabled"], one["hosts"]) == (
        "none named: default",
        True,
        ["api.acme.example"],
    )


@pytest.mark.parametrize(
    ("changes", "account", "lifetime"),
    [
        (
            {"response": {"account": "shop.id", "expires_in": None}, "lifetime": SECONDS},
            "token answer shop.id",
            "60 s",
        ),
        (
            {
                "identity": {"url": "https://acme.example/me", "account": "id"},
                "lifetime": {"never_expires": True},
            },
            "identity call id",
            "no end",
        ),
    ],
)
def test_where_the_account_comes_from_and_how_long_a_token_lives(
    changes: dict[str, Any],
    account: str,
    lifetime: str,
    mooring: Command,
    settings: Settings,
    here: tuple[str, ...],
) -> None:
    settings.write_descriptor(changes)
    one = json.loads(mooring("providers", "acme", *here, "--json").out)
    assert (one["account"], one["lifetime"]) == (account, lifetime)


def test_unknown_provider_and_broken_catalog(
    mooring: Command, settings: Settings, here: tuple[str, ...]
) -> None:
    assert mooring("providers", "akme", *here) == (
        1,
        "",
        "There is no provider of that name. There are: acme\n",
    )
    settings.write_descriptor({"name": 7})
    answer = mooring("providers", *here)
    assert (answer.code, answer.err) == (
        1,
        "error: catalog/acme.yaml:2: name: must be text: put it in quotes\n",
    )


def test_the_repository_itself_passes_with_warnings(
    mooring: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    answer = mooring("check")
    assert answer.code == 0
    names = list(yaml.safe_load((ROOT / "mooring.yaml").read_text())["providers"])
    assert answer.out == f"ok by the rules of production: 4 descriptors; enabled: {', '.join(names)}\n"
    assert [name for name in names if f"providers.{name}.client_id is a sample" not in answer.err] == []


def test_a_terminal_gets_a_drawn_table(settings: Settings, here: tuple[str, ...]) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mooring_cli.main", "providers", "acme", *here]
    subprocess.run(command, cwd=settings.folder, stdout=theirs, stderr=theirs, check=True)
    drawn = read(ours, 65_536).decode()
    close(ours)
    close(theirs)
    assert "─" in drawn
    assert "Acme" in drawn


def test_a_reader_that_stops_early_is_no_error(settings: Settings, here: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "mooring_cli.main", "providers", *here]
    with subprocess.Popen(
        command, cwd=settings.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
