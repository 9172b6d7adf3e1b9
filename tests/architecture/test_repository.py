"""This repository keeps its own rules: one-way imports, short files, no provider named in code."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.rules import Module, complaints, long_functions
from tests.support.naming import names_the_hour

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "layers/mooring/mooring"
HANDLERS = sorted((ROOT / "functions").glob("*/handler.py"))
LAYER_FILES = sorted(LAYER.rglob("*.py"))
PROVIDERS = sorted(path.stem for path in (LAYER / "providers/catalog").glob("*.yaml"))


def modules() -> Iterator[Module]:
    for path in LAYER_FILES:
        parts = ("mooring", *path.relative_to(LAYER).with_suffix("").parts)
        package = parts[-1] == "__init__"
        yield Module(".".join(parts[:-1] if package else parts), path.read_text(), package)
    for path in HANDLERS:
        yield Module(f"functions.{path.parent.name}.handler", path.read_text())


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def shown(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_there_is_something_to_check() -> None:
    assert len(LAYER_FILES) > 20
    assert {path.parent.name for path in HANDLERS} >= {"authorize", "callback", "connections"}
    assert len(PROVIDERS) >= 4


def test_imports_go_one_way() -> None:
    assert complaints(modules()) == []


@pytest.mark.parametrize("handler", shown(HANDLERS))
def test_a_handler_only_parses_calls_and_renders(handler: str) -> None:
    assert lines(ROOT / handler) <= 50


def test_a_functions_folder_holds_its_handler_and_nothing_else() -> None:
    others = [
        path for path in (ROOT / "functions").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert sorted(others) == HANDLERS


def test_no_file_of_the_layer_is_long() -> None:
    assert [
        f"{name}: {lines(ROOT / name)} lines" for name in shown(LAYER_FILES) if lines(ROOT / name) > 300
    ] == []


def test_no_function_is_long() -> None:
    assert [complaint for module in modules() for complaint in long_functions(module, 50)] == []


def named_in(source: str) -> list[str]:
    """Providers whose name stands in a source as a word of its own or a part of an identifier."""
    return [name for name in PROVIDERS if re.search(rf"(?<![a-z])(?i:{re.escape(name)})(?![a-z])", source)]


def test_no_provider_is_named_outside_its_descriptor() -> None:
    folders = ("layers", "functions", "cli", "tools")
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    files = [path for path in files if LAYER / "providers/quirks" not in path.parents]
    assert len(files) > 20
    assert [
        f"{path.relative_to(ROOT)}: {found}" for path in files if (found := named_in(path.read_text()))
    ] == []


@pytest.mark.parametrize(
    "source", ["if provider == '{}':", "def {}_token():", "# {} sends no state", "class {}Client:"]
)
def test_a_providers_name_is_recognised_in_code_and_comments(source: str) -> None:
    for name in PROVIDERS:
        assert named_in(source.format(name)) == [name]
        assert named_in(source.format(name.capitalize())) == [name]
    assert named_in(source.format("other")) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("test_a[1795362310-gone]", True),
        ("test_a[in-1795300000]", True),
        ("test_a[1000000000]", False),
        ("test_a[17953623100]", False),
        ("test_a[40-gone]", False),
    ],
    ids=["seconds", "another hour", "a fixed time", "a longer number", "a small number"],
)
def test_a_test_is_not_named_by_the_hour(name: str, found: bool) -> None:
    assert names_the_hour(name, 1795362311.5) is found
