"""A knob that no code reads is a defect: what ships, or the CLI, reads every compiled field."""

import ast
from pathlib import Path

import pytest

from mooring.core import provider

ROOT = Path(__file__).parents[2]
VALUES = [
    value
    for value in vars(provider).values()
    if isinstance(value, type) and issubclass(value, tuple) and value is not tuple
]
FIELDS = sorted({field for value in VALUES for field in getattr(value, "_fields", ())})
WRITERS = {"compiled.py", "descriptor.py", "code_flow.py", "rules.py", "compiler.py", "provider.py"}
WRITERS |= {"parameter_names.py"}


def attributes_read(source: str) -> set[str]:
    nodes = ast.walk(ast.parse(source))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


READ = {
    name
    for folder in ("layers/mooring/mooring", "cli/mooring_cli", "functions")
    for path in (ROOT / folder).rglob("*.py")
    if path.name not in WRITERS
    for name in attributes_read(path.read_text())
}


def test_all_values_are_looked_at() -> None:
    assert {"authorize", "rotation", "grace_seconds", "hosts", "signature_header"} <= set(FIELDS)
    assert len(VALUES) == 14


@pytest.mark.parametrize("field", FIELDS)
def test_field_is_read(field: str) -> None:
    assert field in READ


def test_an_assignment_is_no_reading() -> None:
    assert attributes_read("thing.knob = 1; print(thing.other)") == {"other"}
