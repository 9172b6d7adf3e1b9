"""What the documents point at exists: links, files, make targets, commands, reason words."""

import re
from functools import cache
from pathlib import Path

import pytest

from mooring.core.errors import Reason
from mooring_cli.arguments import parser
from tests.docs.markdown import ROOT, Document, document, documents

DOCUMENTS = documents()
ROOMS = ("core", "flows", "providers", "adapters", "entry", "client")
_FILE = re.compile(r"[\w.@/*-]+\.(?:py|yaml|json|toml|md|svg|png|in|txt)|[\w.-]+/(?:[\w.*-]+/)*")
_TOP = ("functions", "layers", "cli", "local", "tools", "events", "tests", "docs", "requirements", ".ci")
_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
_MOORING = re.compile(r"\bmooring ([a-z]+)")
_SNAKE = re.compile(r"[a-z]+(?:_[a-z]+)+")
_FORBIDDEN = re.compile(
    r"(?:^|[\s`\"'(])/(?:work|farm|tmp|home|root)/|py"
    r"pi\.org|pythonhos"
    r"ted|npm"
    r"js\.org",
    re.MULTILINE,
)

each_document = pytest.mark.parametrize("doc", DOCUMENTS, ids=lambda doc: doc.name)


@each_document
def test_links_resolve(doc: Document) -> None:
    broken = [link for link in doc.links() if not link.startswith("https://") and not _resolves(doc, link)]
    assert not broken


@each_document
def test_files_exist(doc: Document) -> None:
    missing = [code for code in doc.codes() if _FILE.fullmatch(code) and not _exists(code)]
    assert not missing


@each_document
def test_make_targets_exist(doc: Document) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z%-]+):", makefile, re.MULTILINE))
    functions = {f"invoke-{folder.name}" for folder in (ROOT / "functions").iterdir()}
    known = targets | (functions if "invoke-%" in targets else set())
    named = [target for code in _commands(doc) for target in _TARGET.findall(code)]
    assert not [target for target in named if target not in known and target != "invoke-"]


@each_document
def test_mooring_commands_exist(doc: Document) -> None:
    usage = parser().format_usage() + parser().format_help()
    named = [word for code in _commands(doc) for word in _MOORING.findall(code) if code.strip() != "mooring"]
    assert not [word for word in named if not re.search(rf"^ +{word}\b", usage, re.MULTILINE)]


@each_document
def test_reason_words_exist(doc: Document) -> None:
    stated = [row[0].strip("`") for row in doc.rows("reason")]
    assert not [word for word in stated if word not in {reason.value for reason in Reason}]


@each_document
def test_names_in_snake_case_are_names_in_the_code(doc: Document) -> None:
    assert not [word for word in doc.codes() if _SNAKE.fullmatch(word) and word not in _words()]


@each_document
def test_nothing_stands_there_that_must_not(doc: Document) -> None:
    assert _FORBIDDEN.findall(doc.text) == []


@each_document
def test_a_document_is_one_title_and_no_long_lines_of_code(doc: Document) -> None:
    assert len(re.findall(r"^# ", doc.prose, re.MULTILINE)) == 1
    code = [line for fence in doc.fences("python", "js", "sh", "yaml", "json") for line in fence.splitlines()]
    assert not [line for line in code if len(line) > 120]


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        targets = [path] if path.suffix == ".md" else []
        waiting += sorted(path.glob("*.md")) if path.is_dir() else []
        for target in targets:
            links = Document(target).links()
            waiting += [_target(target, link) for link in links if not link.startswith(("https://", "#"))]
    assert {doc.path for doc in DOCUMENTS} <= reached


def test_the_map_in_the_readme_names_every_room() -> None:
    named = {row[0].strip("`/") for row in document("README.md").rows("folder")}
    rooms = {f"layers/mooring/mooring/{room}" for room in ROOMS}
    top = {name for name in _TOP if (ROOT / name).is_dir() and name not in ("layers", "requirements", ".ci")}
    assert named == rooms | top


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
    titles = [document(f"docs/adr/{path.name}").text for path in sorted((ROOT / "docs/adr").glob("*.md"))]
    assert all(text.startswith(f"# {number}. ") for number, text in zip(numbers, titles, strict=True))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /wo" + "rk/main", 1),
        ("`/tmp/" + "x`", 1),
        ("at files.pythonhos" + "ted.org", 1),
        ("GET /authorize/x", 0),
    ],
)
def test_the_forbidden_are_found(text: str, found: int) -> None:
    assert len(_FORBIDDEN.findall(text)) == found


@cache
def _words() -> set[str]:
    """Every word in the code and in the template."""
    paths = [
        path for folder in ("functions", "layers", "cli", "local") for path in (ROOT / folder).rglob("*.py")
    ]
    texts = [path.read_text(encoding="utf-8") for path in (*paths, ROOT / "template.yaml")]
    return set(re.findall(r"\w+", "\n".join(texts)))


def _commands(doc: Document) -> list[str]:
    lines = [line for fence in doc.fences("sh") for line in fence.splitlines()]
    return [*doc.codes(), *(line.partition("#")[0] for line in lines)]


def _resolves(doc: Document, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = _target(doc.path, name) if name else doc.path
    return target.exists() and (not anchor or anchor in Document(target).anchors())


def _target(path: Path, link: str) -> Path:
    return (path.parent / link.partition("#")[0]).resolve()


def _exists(code: str) -> bool:
    first = code.partition("/")[0]
    if "/" in code and first in ROOMS:
        return any((ROOT / "layers/mooring/mooring").glob(code.rstrip("/")))
    if "/" in code and first not in _TOP:
        return True  # a route or a folder of somebody else's
    return any(ROOT.glob(code.rstrip("/"))) or any(ROOT.glob(f"docs/**/{code}")) or code.endswith("link.pem")
