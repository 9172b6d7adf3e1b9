"""What must not be in the repository is found, and this repository holds none of it."""

import subprocess
from pathlib import Path

import pytest

from tools.hygiene import RULES, files, findings, main

#: Written in pieces, so that this file is not found.
SAMPLES = {
    "names a package index": "see https://py" + "pi.org/simple",
    "holds a private key": "-----BEGIN PRIVATE" + " KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n",
    "holds an AWS access key id": "key = AKIA" + "Z" * 16,
    "holds a password in a URL": "https://user:pass" + "word@db.internal.net",
    "holds a token of a known kind": "ghp_" + "a" * 36,
    "names a home folder": "open('/home" + "/someone/file')",
}


@pytest.mark.parametrize("what", SAMPLES)
def test_each_rule_bites(what: str) -> None:
    content = f"first line\n{SAMPLES[what]}\n".encode()
    assert list(findings("docs/some.md", content)) == [f"docs/some.md:2: {what}"]


def test_a_requirements_file_may_not_choose_an_index() -> None:
    for line in ("--index-url https://a.example", "--extra-index-url=x", "-i x", "--find-links x"):
        (found,) = findings("requirements/dev.txt", f"six==1\n{line}\n".encode())
        assert found == "requirements/dev.txt:2: chooses a package index"
    assert list(findings("docs/some.md", b"run it with --index-url\n--index-url x")) == []


def test_every_rule_has_a_sample() -> None:
    assert set(RULES) == {*SAMPLES, "chooses a package index"}


@pytest.mark.parametrize(
    "harmless",
    [
        b"AKIAIOSFODNN7EXAMPLE",
        b"https://example.com:8000/a@b",
        b"https://user:password@shop.example/",
        b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA",
        b"\0binary " + SAMPLES["names a home folder"].encode(),
    ],
)
def test_what_only_looks_like_it_is_left_alone(harmless: bytes) -> None:
    assert list(findings("docs/some.md", harmless)) == []


def test_only_what_git_would_take_is_looked_at(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored\n")
    (tmp_path / "ignored").write_text("x")
    (tmp_path / "new").write_text("x")
    assert files(tmp_path) == [".gitignore", "new"]


def test_this_repository_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0, capsys.readouterr().err
