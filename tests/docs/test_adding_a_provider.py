"""Executes `docs/adding-a-provider.md`: writes its files, runs its commands, compares what it shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from mooring.core.flow import code_challenge
from mooring.core.ports import HttpResponse
from mooring.core.provider import Provider
from mooring.providers.authorization_request import authorization_url
from mooring.providers.catalog import Catalog
from mooring.providers.compiler import LocalCompile, compile_project
from mooring.providers.oauth2 import OAuth2, basic_credentials
from mooring.providers.schemas import with_tables
from tests.fakes.http import FakeHttp

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "adding-a-provider.md"
REDIRECT_URI = "https://connect.example.com/callback/harbour"
VERIFIER = "v" * 43
ANSWER = {
    "access_token": "t-1",
    "refresh_token": "r-1",
    "expires_in": 600,
    "scope": "contacts.read",
    "account": {"id": 7, "region": "eu"},
}
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*) -->\n)?^ *```(?P<language>\w+)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block and the remark before it."""

    mark: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for match in _BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        yield Block(match["mark"] or "", match["language"], match["text"])


class Reader:
    """Somebody who follows the page in a clone of the repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""
        self.commands = 0
        self._exports: list[str] = []
        shutil.copy(ROOT / "mooring.yaml", folder)
        (folder / ".venv").symlink_to(sys.prefix)

    def follow(self, block: Block) -> None:
        """Write a file, run commands, or compare what they printed with what the page shows."""
        if block.mark.startswith("file: "):
            (self.folder / block.mark.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        elif block.language == "sh" and not block.mark.startswith("not run: "):
            self._run(block.text)
        elif block.language == "text" and self.printed:
            assert [
                line for line in block.text.splitlines() if line not in self.printed.splitlines()
            ] == [], self.printed
            self.printed = ""

    def _run(self, script: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MOORING_")}
        whole = "\n".join(["set -e", *self._exports, script])
        ran = subprocess.run(
            ["bash", "-c", whole],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        self.printed = ran.stdout + ran.stderr
        self._exports += [line for line in script.splitlines() if line.startswith("export ")]
        self.commands += 1


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A folder in which everything on the page was done."""
    reader = Reader(tmp_path_factory.mktemp("clone"))
    for block in blocks():
        reader.follow(block)
    return reader


@pytest.fixture(scope="module")
def harbour(followed: Reader) -> Provider:
    """The page's provider, as a function of the local stack would read it."""
    local = LocalCompile(
        extra_catalog=followed.folder / "my-providers", config_overlay=followed.folder / "my-settings.yaml"
    )
    out = followed.folder / "compiled"
    catalog = ROOT / "layers/mooring/mooring/providers/catalog"
    compile_project(config=followed.folder / "mooring.yaml", catalog=catalog, out=out, local=local)
    return Catalog(str(out)).get("harbour")


def shown(start: str) -> str:
    """The `text` block that begins with `start`, its lines joined."""
    (text,) = [block.text for block in blocks() if block.language == "text" and block.text.startswith(start)]
    return text.replace("\n ", "").strip()


def test_every_block_was_followed(followed: Reader) -> None:
    found = list(blocks())
    files = [block for block in found if block.mark.startswith("file: ")]
    skipped = [block for block in found if block.mark.startswith("not run: ")]
    assert len(files) == 2
    assert len(skipped) == 3
    assert followed.commands == len([block for block in found if block.language == "sh"]) - len(skipped)
    assert followed.commands == 5
    assert {block.language for block in found} == {"sh", "yaml", "text"}
    assert PAGE.read_text().count("```") == 2 * len(found)


def test_the_mistakes_were_mended(followed: Reader) -> None:
    for block in blocks():
        if block.mark.startswith("file: "):
            assert (followed.folder / block.mark.removeprefix("file: ")).read_text() == block.text


def test_the_address_is_the_one_shown(harbour: Provider) -> None:
    expected = shown("https://accounts.harbour.example").replace("CHALLENGE", code_challenge(VERIFIER))
    assert authorization_url(harbour, "STATE", VERIFIER, REDIRECT_URI, harbour.scopes) == expected


def test_the_token_call_is_the_one_shown(harbour: Provider) -> None:
    http = FakeHttp(HttpResponse(200, {}, json.dumps({"data": ANSWER}).encode()))
    tokens = OAuth2(http).exchange(harbour, "CODE", REDIRECT_URI, VERIFIER, "hush", now=1_000)
    (request,) = http.requests
    first, body = shown("POST https://").split("\n")
    assert f"{request.method} {request.url}" == first
    assert request.body is not None
    expected = parse_qs(body.replace("VERIFIER", VERIFIER), strict_parsing=True)
    assert parse_qs(request.body.decode(), strict_parsing=True) == expected
    assert request.headers["authorization"] == basic_credentials("brightcart-app", "hush")
    assert (tokens.access_token, tokens.refresh_token, tokens.expires_at) == ("t-1", "r-1", 1_600)
    assert (tokens.account_id, tokens.scopes, tokens.details) == ("7", ("contacts.read",), {"region": "eu"})


def test_only_real_hosts_are_called(harbour: Provider) -> None:
    assert harbour.hosts == ("api.harbour.example",)
    assert harbour.authorize.referers == ()
    assert urlsplit(harbour.token.url).scheme == "https"


def test_the_tables_of_keys_are_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_tables(text), "run: make schemas"
    assert "| `authorize.pkce` | `false` |" in text
