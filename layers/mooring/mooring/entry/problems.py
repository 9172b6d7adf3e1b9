"""JSON answers, and RFC 9457 problem details for what fails: for services, providers and developers."""

import json
from collections.abc import Mapping
from typing import Any

from mooring.core.errors import ConnectionFailure, Failure, Reason
from mooring.entry.http_api import HEADERS, Response

_CHECK = "Check the path, the query and the body against docs/http-api.md."
_RECONNECT = "Send the merchant a link to connect again."
_NEXT = {
    Reason.CONNECTION_NOT_FOUND: "There never was such a connection. Send the merchant a link to connect.",
    Reason.CONNECTION_NOT_ACTIVE: _RECONNECT,
    Reason.TOKEN_EXPIRED: "The token does not live that long. Ask for a smaller min_ttl, or reconnect.",
    Reason.REQUEST_MALFORMED: _CHECK,
    Reason.PARAMETER_REPEATED: _CHECK,
    Reason.METHOD_NOT_ALLOWED: _CHECK,
    Reason.TOKEN_UNREADABLE: "The stored token cannot be opened. Tell the operator; a reconnect replaces it.",
    Reason.PROVIDER_UNKNOWN: "No such provider is enabled here, or it sends no notices.",
    Reason.NOTICE_FORGED: "The signature does not match the body. Compare the webhook secret on both sides.",
    Reason.NOTICE_TIME: "The signed time is missing, unreadable or ahead of ours.",
    Reason.NOTICE_MALFORMED: "The notice is not what the descriptor says it looks like.",
    Reason.NOTICE_TOO_LARGE: "A notice has at most 256 KiB.",
    Reason.LOST_ROTATION: _RECONNECT,
    Reason.TOKEN_REFUSED: _RECONNECT,
    Reason.GRANT_REFUSED: _RECONNECT,
    Reason.PROVIDER_ERROR: "The provider refused with an error of its own; it is asked again later.",
}
_OF_STATUS = {
    "needs_reconnect": _RECONNECT,
    "uninstalled": "The merchant removed the app at the provider. Send a link if they want it back.",
    "disconnected": "It was cut off here. Send the merchant a link if they want it back.",
}
"""What to do about a connection that is not active."""
_FIRST_ERROR, _UNAVAILABLE = 400, 503
_LATER = "Try again in a few seconds; if it persists, tell the operator of Mooring, with the ref."


def answered(status: int, body: Mapping[str, Any], kind: str = "application/json") -> Response:
    """A JSON answer that nobody caches."""
    return {"statusCode": status, "headers": {**HEADERS, "content-type": kind}, "body": json.dumps(body)}


def problem(failure: Failure, ref: str) -> Response:
    """RFC 9457 problem details: `reason` is the word in the log, `ref` finds the line.

    `connection_status` says where the connection stands, if it is what cannot give what was asked for. Who
    reads a page may be told 202, "it comes later"; a program that asked for a token did not get one: 503.
    """
    status = failure.status if failure.status >= _FIRST_ERROR else _UNAVAILABLE
    stands = failure.connection_status if isinstance(failure, ConnectionFailure) else ""
    texts = (_sentence(failure.detail), _OF_STATUS.get(stands, _NEXT.get(failure.reason, _LATER)))
    body = {
        "type": "about:blank",
        "title": failure.reason.value.replace("_", " "),
        "status": status,
        "detail": " ".join(text for text in texts if text),
        "reason": failure.reason.value,
        "ref": ref,
        **({"connection_status": stands} if stands else {}),
    }
    return answered(status, body, "application/problem+json")


def _sentence(detail: str) -> str:
    return f"{detail[0].upper()}{detail[1:]}." if detail else ""
