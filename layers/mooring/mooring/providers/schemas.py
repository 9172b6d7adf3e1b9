"""Writes what editors and readers need to know of the models: JSON Schemas, and tables of every key.

    python -m mooring.providers.schemas docs/schemas docs/adding-a-provider.md

The first argument is the folder of the schemas; in every further file the tables between the marks
`<!-- keys of ... -->` and `<!-- end of keys -->` are written anew.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mooring.providers.descriptor import Descriptor
from mooring.providers.fields import bare
from mooring.providers.project import ProjectConfig

MODELS: dict[str, type[BaseModel]] = {"descriptor": Descriptor, "mooring": ProjectConfig}
"""The two models by the stem of their schema's file."""

_TABLE = re.compile(r"(<!-- keys of (\w+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)


def schema(name: str) -> str:
    """The JSON Schema (draft 2020-12) of the model `name`, as the text of its file."""
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **MODELS[name].model_json_schema()}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def table(name: str) -> str:
    """A Markdown table of every key of the model `name`: dotted name, default, meaning."""
    rows = [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _rows(MODELS[name], "")]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows]) + "\n"


def with_tables(text: str) -> str:
    """A document with its tables of keys written anew."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{table(match[2])}\n{match[3]}", text)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner, key = _inner(field.annotation), prefix + name
        yield key, _default(field), _meaning(field)
        if inner is not None:
            yield from _rows(inner, f"{key}{_joint(field.annotation)}.")


def _joint(annotation: Any) -> str:
    """What stands between a key and those of its entries: nothing for a part, else list or mapping."""
    origin = get_origin(bare(annotation))
    return "" if origin is None else "[]" if origin is tuple else ".<id>"


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The model of a part, or of the entries of a list or mapping of parts."""
    kind = bare(annotation)
    if get_origin(kind) is not None and get_origin(kind) is not Literal:
        arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
        kind = bare(arguments[-1])
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        return "its keys' own"
    if default is None or default in ({}, ()):
        return "none"
    return f"`{json.dumps(list(default) if isinstance(default, tuple) else default)}`"


def _meaning(field: FieldInfo) -> str:
    kind, text = bare(field.annotation), (field.description or "").replace("|", "\\|")
    if get_origin(kind) is Literal:
        return f"{' or '.join(f'`{word}`' for word in get_args(kind))}. {text}"
    return text


def main(arguments: list[str]) -> int:
    """Write the schemas and refresh the documents that the arguments name; the exit code."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        (folder / f"{name}.schema.json").write_text(schema(name), encoding="utf-8")
    for document in map(Path, arguments[1:]):
        document.write_text(with_tables(document.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
