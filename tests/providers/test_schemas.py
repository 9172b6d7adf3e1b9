"""The JSON Schemas and the tables of keys are what the models say."""

import json
from pathlib import Path

import pytest

from mooring.providers.schemas import MODELS, main, schema, table, with_tables

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", MODELS)
def test_schema_in_docs_is_current(name: str) -> None:
    path = ROOT / "docs" / "schemas" / f"{name}.schema.json"
    assert path.read_text() == schema(name), "run: make schemas"


def test_schema_refuses_unknown_keys_everywhere() -> None:
    content = json.loads(schema("descriptor"))
    parts = [content, *content["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in parts if part.get("type") == "object")
    assert content["properties"]["id"]["pattern"] == "^([a-z][a-z0-9-]{1,31})$"


def test_every_key_has_a_meaning() -> None:
    for name in MODELS:
        rows = [line.split(" | ") for line in table(name).splitlines()[2:]]
        assert [row[0] for row in rows if not row[2].strip(" |")] == []


def test_main_writes_schemas_and_refreshes_tables(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- keys of mooring -->\nold\n<!-- end of keys -->\nafter\n")
    assert main([str(tmp_path / "schemas"), str(document)]) == 0
    assert (tmp_path / "schemas" / "mooring.schema.json").read_text() == schema("mooring")
    text = document.read_text()
    assert text == with_tables(text)
    assert "old" not in text
    assert text.startswith("before\n")
    assert "| `providers.<id>.client_id` | required |" in text
