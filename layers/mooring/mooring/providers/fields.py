"""Walks the settings models: which keys may stand where, for messages, tables and checks."""

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel


def model_at(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel] | None:
    """The model that describes the mapping at `path` (keys and list positions), or None."""
    found: Any = model
    for part in path:
        found = _inside(found, part)
    found = bare(found)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def has_field(model: type[BaseModel], dotted: str) -> bool:
    """Whether `dotted` (`token.parameters.code`) names a field below `model`."""
    *parents, name = dotted.split(".")
    parent = model_at(model, parents)
    return parent is not None and name in parent.model_fields


def bare(annotation: Any) -> Any:
    """An annotation without `| None`."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _inside(annotation: Any, part: str | int) -> Any:
    """The annotation of one key or list position of a value that has `annotation`."""
    kind = bare(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return field.annotation if field else None
    if get_origin(kind) in (Mapping, dict):
        return get_args(kind)[1]
    if get_origin(kind) is tuple and isinstance(part, int):
        return get_args(kind)[0]
    return None
