"""Reading requests strictly: exactly the expected parameters, each once, in the expected encoding."""

import json
from collections.abc import Iterable

from flask import Request
from werkzeug.exceptions import HTTPException

Pairs = list[tuple[str, str]]

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Refused(Exception):  # noqa: N818 - the refusal is the expected answer
    """A request the provider refuses.

    Args:
        reason: an RFC 6749 5.2 error code, or a word of the same kind; it also goes into the call log.
        message: what was wrong; names parameters, never repeats a value.
        outcome: the word for the call log, where it knows more than the answer tells; `reason` otherwise.
    """

    def __init__(self, reason: str, message: str, outcome: str = "") -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.outcome = outcome or reason


def exact(pairs: Pairs, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, str]:
    """Check names and return the values.

    Args:
        pairs: every (name, value) of the request, repetitions included.
        required: names that must be there with a value.
        optional: names that may be there.

    Raises:
        Refused: `invalid_request`, for a repeated, unexpected, missing or empty parameter.
    """
    wanted, allowed = set(required), set(required) | set(optional)
    names = [name for name, _ in pairs]
    values = dict(pairs)
    _refuse("repeated", {name for name in names if names.count(name) > 1} & allowed)
    _refuse("unexpected", set(names) - allowed)
    _refuse("missing", {name for name in wanted if not values.get(name)})
    return values


def query_pairs(request: Request) -> Pairs:
    """Every pair of the query string, in order of names."""
    return list(request.args.items(multi=True))


def body_pairs(request: Request, *encodings: str) -> Pairs:
    """Every pair of a token call's body.

    Args:
        request: the request; neither query nor `Authorization` header may be there.
        encodings: content types that this provider reads (`FORM`, `JSON`).

    Raises:
        Refused: another content type, a body that is not an object of strings, parameters in the
            query, or an `Authorization` header (all four providers take the secret in the body).
    """
    if request.query_string:
        raise Refused("invalid_request", "a token call carries no query parameters")
    if "Authorization" in request.headers:
        raise Refused("invalid_request", "the client secret belongs in the body")
    if request.mimetype not in encodings:
        raise Refused("invalid_request", f"send the body as {' or '.join(encodings)}")
    return _json_pairs(request.get_data()) if request.mimetype == JSON else form_pairs(request)


def form_pairs(request: Request) -> Pairs:
    """Every pair of a form body, in order of names."""
    return list(request.form.items(multi=True))


def seen_names(request: Request) -> set[str]:
    """Names of all parameters in query and body, for the call log; unreadable bodies have none."""
    names = set(request.args)
    try:
        pairs = _json_pairs(request.get_data()) if request.mimetype == JSON else form_pairs(request)
    except (Refused, HTTPException):
        return names
    return names | {name for name, _ in pairs}


def bearer(request: Request) -> str:
    """The token of an `Authorization: Bearer` header (RFC 6750 2.1), or an empty string."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def is_foreign_form(request: Request) -> bool:
    """Whether another site's page sent this form, as far as the browser tells."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # A browser whose owner has switched referrers off says `Origin: null` on our own form, too.
        return site not in {"same-origin", "none"}
    return request.headers.get("Origin") not in {None, request.host_url.rstrip("/")}


def _json_pairs(raw: bytes) -> Pairs:
    try:
        pairs = json.loads(raw, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise Refused("invalid_request", "the body is not JSON") from None
    if not isinstance(pairs, list) or not all(_is_text_pair(pair) for pair in pairs):
        raise Refused("invalid_request", "the body is not a JSON object of strings")
    return [(name, value) for name, value in pairs]


def _is_text_pair(pair: object) -> bool:
    return isinstance(pair, tuple) and all(isinstance(part, str) for part in pair)


def _refuse(what: str, names: set[str]) -> None:
    if names:
        raise Refused("invalid_request", f"{what} parameter: {', '.join(sorted(names))}")
