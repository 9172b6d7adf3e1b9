"""DynamoDB items: explicit attribute values out, strict readers in.

A reader raises `Failure(INTERNAL)` where an attribute is absent or of another type: a row that
somebody else changed must stop one request, never be guessed at.
"""

from collections.abc import Mapping
from typing import Any

from mooring.core.errors import Failure, Reason

type Plain = str | int | bool | bytes | tuple[str, ...] | Mapping[str, "Plain"]
type Item = Mapping[str, Mapping[str, Any]]
"""A row as DynamoDB's low-level interface gives it: name -> {type: value}."""


def attribute(value: Plain) -> dict[str, Any]:
    """The attribute value of a plain one; a tuple becomes a list, never a set."""
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case tuple():
            return {"L": [{"S": text} for text in value]}
    return {"M": {name: attribute(inner) for name, inner in value.items()}}


def attributes(values: Mapping[str, Plain | None]) -> dict[str, dict[str, Any]]:
    """An item of plain values; a None is left out."""
    return {name: attribute(value) for name, value in values.items() if value is not None}


def text(item: Item, name: str) -> str:
    """A string attribute."""
    return str(_typed(item, name, "S"))


def number(item: Item, name: str) -> int:
    """A number attribute, as a whole number."""
    try:
        return int(_typed(item, name, "N"))
    except ValueError:
        raise _malformed(name) from None


def number_or_none(item: Item, name: str) -> int | None:
    """A number attribute, or None where there is none."""
    return number(item, name) if name in item else None


def text_or_none(item: Item, name: str) -> str | None:
    """A string attribute, or None where there is none."""
    return text(item, name) if name in item else None


def binary(item: Item, name: str) -> bytes:
    """A binary attribute."""
    return bytes(_typed(item, name, "B"))


def flag(item: Item, name: str) -> bool:
    """A boolean attribute."""
    return bool(_typed(item, name, "BOOL"))


def texts(item: Item, name: str) -> tuple[str, ...]:
    """A list attribute that holds strings."""
    return tuple(text({name: entry}, name) for entry in _typed(item, name, "L"))


def mapping(item: Item, name: str) -> Item:
    """A map attribute, still as attribute values."""
    inner: Item = _typed(item, name, "M")
    return inner


def _typed(item: Item, name: str, kind: str) -> Any:
    value = item.get(name)
    if value is None or kind not in value:
        raise _malformed(name)
    return value[kind]


def _malformed(name: str) -> Failure:
    return Failure(Reason.INTERNAL, f"a stored row has no usable attribute {name}")
