"""Turns what pydantic found into problems that name file, line, path and what to do."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from mooring.providers.fields import model_at
from mooring.providers.problems import Path, Problem
from mooring.providers.yamlfile import Document

_TEXTS = {
    "bool_type": "must be true or false",
    "date_from_datetime_parsing": "must be a date such as 2026-11-22",
    "date_type": "must be a date such as 2026-11-22",
    "dict_type": "must be a mapping: lines of the form `key: value`",
    "int_type": "must be a whole number",
    "mapping_type": "must be a mapping: lines of the form `key: value`",
    "model_type": "must be a mapping: lines of the form `key: value`",
    "string_type": "must be text: put it in quotes",
    "too_short": "must have at least one entry",
    "tuple_type": "must be a list",
}


def problems(error: ValidationError, document: Document, model: type[BaseModel]) -> Iterator[Problem]:
    """Every problem in `error`, which came from validating `document` against `model`."""
    for detail in error.errors(include_url=False, include_input=False):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        if detail["type"] == "contradictions":
            for place, text in detail["ctx"]["found"]:
                yield document.problem((*path, *_path(place)), text)
        else:
            yield document.problem(path, _text(detail, path, model))


def _path(place: str) -> Path:
    """A rule's dotted path as a path: numbers are list positions; names below `unverified` have dots."""
    if place.startswith("unverified."):
        return ("unverified", place.removeprefix("unverified."))
    return tuple(int(part) if part.isdecimal() else part for part in place.split("."))


def _text(detail: Any, path: Path, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown(str(path[-1]), _keys(model, path[:-1]))
    if kind == "missing":
        return f"is missing: {_description(model, path)}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be one of {context['expected']}".replace(" or ", ", ")
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = "at least" if kind.startswith("greater") else "at most"
        return f"must be {bound} {context.get('ge', context.get('le'))}"
    return _TEXTS.get(kind, str(detail["msg"]))


def unknown(name: str, known: list[str], what: str = "unknown key") -> str:
    """What to say about a name that does not exist: the nearest one that does, or all of them."""
    near = get_close_matches(name, known, n=1)
    return f"{what}; did you mean {near[0]}?" if near else f"{what}; known here: {', '.join(known) or 'none'}"


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    parent = model_at(model, path)
    return list(parent.model_fields) if parent else []


def _description(model: type[BaseModel], path: Path) -> str:
    parent = model_at(model, path[:-1])
    field = parent.model_fields.get(str(path[-1])) if parent else None
    return (field.description or "").rstrip(".") if field else "add it"
