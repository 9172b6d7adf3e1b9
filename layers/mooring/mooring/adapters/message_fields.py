"""The fields of a queue's messages, read so strictly that nothing half understood is acted upon.

Every function raises `Failure(MESSAGE_MALFORMED)`, whose detail names the field and never its value.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import NoReturn

from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name, is_provider_id
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key, Seen

_MOST = 2**53
"""Beyond this JSON readers no longer agree on what a number is."""

type Fields = Mapping[str, object]


def load(body: str, most: int) -> Fields:
    """The object in a body of at most `most` bytes of UTF-8."""
    # Counted in characters first, so that a huge body is not encoded only to be measured.
    if len(body) > most or len(body.encode(errors="replace")) > most:
        malformed("it is too long")
    try:
        return fields(json.loads(body))
    except (ValueError, RecursionError):
        malformed("it is no JSON")


def dump(data: Fields) -> str:
    """An object as a body: ASCII JSON without blanks."""
    return json.dumps(data, separators=(",", ":"))


def fields(data: object) -> Fields:
    """`data`, if it is an object."""
    if not isinstance(data, dict):
        malformed("it is no object")
    return data


def member(data: Fields, name: str) -> Fields:
    """An object inside the object."""
    found = data.get(name)
    if not isinstance(found, dict):
        malformed(f"{name} is no object")
    return found


def key(data: Fields) -> Key:
    """The three names of a connection."""
    return Key(named(data, "merchant_id"), provider(data), named(data, "account_id"))


def seen(data: Fields) -> Seen:
    """Generation and version."""
    return Seen(number(data, "generation"), number(data, "version"))


def provider(data: Fields) -> str:
    """The provider's id."""
    found = text(data, "provider")
    if not is_provider_id(found):
        malformed("provider is no provider's id")
    return found


def named(data: Fields, name: str) -> str:
    """A name, as `core.names` knows them."""
    found = text(data, name)
    if not is_name(found):
        malformed(f"{name} is no name")
    return found


def text(data: Fields, name: str) -> str:
    """A text, be it empty."""
    found = data.get(name)
    if not isinstance(found, str):
        malformed(f"{name} is no text")
    return found


def number(data: Fields, name: str) -> int:
    """A whole number, not negative."""
    found = data.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < _MOST:
        malformed(f"{name} is no such number")
    return found


def number_or_none(data: Fields, name: str) -> int | None:
    """A whole number, not negative, or an explicit null."""
    return None if missing(data, name) else number(data, name)


def text_or_none(data: Fields, name: str) -> str | None:
    """A text, or an explicit null."""
    return None if missing(data, name) else text(data, name)


def missing(data: Fields, name: str) -> bool:
    """Whether a field is an explicit null; what is left out was not written by us."""
    if name not in data:
        malformed(f"{name} is left out")
    return data[name] is None


def flag(data: Fields, name: str) -> bool:
    """True or false."""
    found = data.get(name)
    if not isinstance(found, bool):
        malformed(f"{name} is neither true nor false")
    return found


def texts(data: Fields, name: str) -> tuple[str, ...]:
    """A list of texts."""
    found = data.get(name)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        malformed(f"{name} is no list of texts")
    return tuple(found)


def text_map(data: Fields, name: str) -> dict[str, str]:
    """An object whose values are texts."""
    found = member(data, name)
    return {each: text(found, each) for each in found}


def sealed(data: Fields, name: str) -> SealedField:
    """A sealed field: ciphertext and wrapped data key, each in base64."""
    parts = texts(data, name)
    try:
        ciphertext, wrapped_key = (b64decode(part, validate=True) for part in parts)
    except ValueError:
        malformed(f"{name} is no sealed field")
    return SealedField(ciphertext, wrapped_key)


def sealed_or_none(data: Fields, name: str) -> SealedField | None:
    """A sealed field, or an explicit null."""
    return None if missing(data, name) else sealed(data, name)


def written(field: SealedField | None) -> list[str] | None:
    """A sealed field as `sealed_or_none` reads it."""
    return None if field is None else [b64encode(part).decode("ascii") for part in field]


def malformed(detail: str) -> NoReturn:
    """Raise the failure. `detail` is a fixed text or a field's name."""
    raise Failure(Reason.MESSAGE_MALFORMED, detail) from None
