"""Changes of connections, read from the records of the table's stream.

A record comes as Lambda hands it on: JSON, with binary values in base64. Both images are whole rows, sealed
tokens included.
Source: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from mooring.adapters import rows
from mooring.adapters.items import Item, text
from mooring.adapters.message_fields import Fields, fields, malformed, member
from mooring.core.announcement import Announce, Change
from mooring.core.errors import Failure
from mooring.core.tokens import SealedField

_PLAIN = {"S": str, "N": str, "B": str, "BOOL": bool, "M": dict, "L": list}
"""What JSON has for each type of attribute that a row of ours can hold."""


def parse(record: object) -> Change:
    """Read one record.

    Raises:
        Failure: MESSAGE_MALFORMED for whatever is not understood exactly: no row of a connection, or a word
            in `announce` that this release does not know.
    """
    data = member(fields(record), "dynamodb")
    after = _image(member(data, "NewImage"))
    before = _image(member(data, "OldImage")) if "OldImage" in data else None
    try:
        return Change(
            announce=_word(text(after, "announce")),
            before=None if before is None else rows.connection(before),
            after=rows.connection(after),
            access=_sealed(before, "access"),
            refresh=_sealed(before, "refresh"),
        )
    except Failure as failure:
        malformed(failure.detail)


def _word(found: str) -> Announce:
    try:
        return Announce(found)
    except ValueError:
        malformed("announce has an unknown word")


def _sealed(row: Item | None, name: str) -> SealedField | None:
    return rows.sealed_field(row, name) if row and name in row else None


def _image(given: Fields) -> Item:
    return {name: _value(value) for name, value in given.items()}


def _value(given: object) -> Mapping[str, Any]:
    """An attribute value as boto3 would give it."""
    if not isinstance(given, dict) or len(given) != 1:
        malformed("an attribute has no value")
    ((kind, value),) = given.items()
    if kind in _PLAIN and not isinstance(value, _PLAIN[kind]):
        malformed("an attribute is not of its type")
    match kind:
        case "B":
            return {kind: _binary(value)}
        case "M":
            return {kind: _image(value)}
        case "L":
            return {kind: [_value(each) for each in value]}
    return {kind: value}


def _binary(value: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except ValueError:
        malformed("a binary attribute is not base64")
