"""A query string read strictly: repeated, broken or hostile parameters are named, never guessed at."""

import re
from urllib.parse import unquote_to_bytes

from mooring.core.errors import Failure, Reason

MAX_QUERY_BYTES = 16_384
MAX_PARAMETERS = 50
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Query:
    """Decoded query parameters that know which of them stood there more than once."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def one(self, name: str) -> str | None:
        """The only value of `name`, or None when it is absent.

        Raises:
            Failure: PARAMETER_REPEATED when it stands there twice (RFC 6749 3.1).
        """
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise Failure(Reason.PARAMETER_REPEATED)
        return values[0]


def parse_query(raw: str) -> Query:
    """Read a raw query string (percent-encoded, UTF-8).

    Raises:
        Failure: REQUEST_MALFORMED for more than 16,384 bytes or 50 parameters, broken
            percent-encoding, invalid UTF-8, or a control character.
    """
    parts = raw.split("&") if raw else []
    if len(raw) > MAX_QUERY_BYTES or len(parts) > MAX_PARAMETERS or _BROKEN_PERCENT.search(raw):
        raise Failure(Reason.REQUEST_MALFORMED)
    values: dict[str, list[str]] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name:
            values.setdefault(_decode(name), []).append(_decode(value))
    return Query(values)


def _decode(text: str) -> str:
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeError:
        raise Failure(Reason.REQUEST_MALFORMED) from None
    if _CONTROL.search(decoded):
        raise Failure(Reason.REQUEST_MALFORMED)
    return decoded
