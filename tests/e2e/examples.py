"""The programs of docs/reading-tokens.md, as they stand there, run by their interpreters."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.docs.markdown import Document
from tests.support import ROOT

_SECONDS = 110


class Example(NamedTuple):
    """One language: its fence in the document, its interpreter, its file, and what asks and prints JSON.

    `ask` is given `{names}` (three quoted names); `report` besides `{path}` and `{body}`, quoted.
    """

    fence: str
    interpreter: str
    file: str
    ask: str
    report: str


EXAMPLES: Mapping[str, Example] = {
    "curl": Example("sh", "curl", "ask.sh", "", ""),
    "python": Example(
        "python",
        sys.executable,
        "ask.py",
        "print(json.dumps(access_token({names})))",
        "print(json.dumps(ask_mooring('POST', {path}, json.loads({body}))))",
    ),
    "node": Example(
        "js",
        "node",
        "ask.mjs",
        "console.log(JSON.stringify(await accessToken({names})));",
        "console.log(JSON.stringify(await askMooring('POST', {path}, '', {body})));",
    ),
    "go": Example("go", "go", "ask.go", "", ""),
    "php": Example(
        "php",
        "php",
        "ask.php",
        "echo json_encode(access_token({names}));",
        "echo json_encode(ask_mooring('POST', {path}, '', {body}));",
    ),
}
_GO_MAIN = """
func main() {
	answer, err := CALL
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(answer)
}
"""


def run(
    language: str,
    folder: Path,
    environment: Mapping[str, str],
    names: tuple[str, str, str],
    body: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Ask for a token, or with a `body` report that it was refused; skips where there is no interpreter."""
    example = EXAMPLES[language]
    if shutil.which(example.interpreter) is None:
        pytest.skip(f"there is no {example.interpreter} here: the {language} example was not run")
    path = folder / example.file
    path.write_text(_program(language, example, names, body), encoding="utf-8")
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        _command(language, path, names),
        env={**kept, "HOME": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def _program(language: str, example: Example, names: tuple[str, str, str], body: str | None) -> str:
    if language == "curl":
        return block("sh", "--aws-sigv4")
    merchant, provider, account = names
    path = f"/merchants/{merchant}/connections/{provider}/{account}/unauthorized"
    words = {"path": json.dumps(path), "body": json.dumps(body or "")}
    words["names"] = ", ".join(json.dumps(name) for name in names)
    if language == "go":
        # Its own main prints the token alone; what is tested here is what it has before.
        call = 'askMooring("POST", {path}, "", {body})' if body else "accessToken({names})"
        main = _GO_MAIN.replace("CALL", call.format_map(words))
        return block("go", "func sign(").partition("func main()")[0] + main
    text = example.report if body else example.ask
    return f"{block(example.fence, 'execute-api')}\n{text.format_map(words)}\n"


def _command(language: str, path: Path, names: tuple[str, str, str]) -> list[str]:
    match language:
        case "curl":
            return ["sh", str(path), *names]
        case "go":
            return ["go", "run", str(path)]
        case _:
            return [EXAMPLES[language].interpreter, str(path)]


def block(language: str, holds: str) -> str:
    """The one fenced block of a language that holds a text."""
    found = [fence for fence in Document(ROOT / "docs/reading-tokens.md").fences(language) if holds in fence]
    assert len(found) == 1, (language, holds, len(found))
    return found[0]


def answer_of(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a program printed."""
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer
