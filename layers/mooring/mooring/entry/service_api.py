"""The IAM routes that services call: JSON out, RFC 9457 problem details for what fails.

API Gateway has checked the signature and the caller's policy before anything here runs.
"""

import json
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from mooring.core.connection import Connection
from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name
from mooring.core.query import parse_query
from mooring.entry.http_api import HEADERS, Emit, Event, Line, Response, request_id, where
from mooring.flows.read import DEFAULT_MIN_TTL, AccessToken, ReadPorts, list_connections, read_token

LIST_ROUTE = "GET /merchants/{merchant_id}/connections"
TOKEN_ROUTE = f"{LIST_ROUTE}/{{provider}}/{{account_id}}/token"

_CHECK = "Check the path and the query against docs/quickstart.md."
_NEXT = {
    Reason.CONNECTION_NOT_FOUND: "There never was such a connection. Send the merchant a link to connect.",
    Reason.CONNECTION_NOT_ACTIVE: "Send the merchant a link to connect again.",
    Reason.TOKEN_EXPIRED: "The token does not live that long. Ask for a smaller min_ttl, or reconnect.",
    Reason.REQUEST_MALFORMED: _CHECK,
    Reason.PARAMETER_REPEATED: _CHECK,
    Reason.METHOD_NOT_ALLOWED: _CHECK,
    Reason.TOKEN_UNREADABLE: "The stored token cannot be opened. Tell the operator; a reconnect replaces it.",
}
_LATER = "Try again in a few seconds; if it persists, tell the operator of Mooring, with the ref."


def answer(event: Event, ports: ReadPorts, known: Callable[[str], bool], emit: Emit) -> Response:
    """Answer one signed request; every ending is a response and one log line."""
    ref = token_hex(5)
    given = event.get("pathParameters") or {}
    names = {key: str(given.get(key) or "") for key in ("merchant_id", "provider", "account_id")}
    provider = names["provider"] if known(names["provider"]) else None  # a metric's dimension: never input
    try:
        outcome, body = _route(event, names, ports)
        response = _json(200, body)
        line = _line(outcome, 200, ref, event, names)
    except Failure as failure:
        response = _problem(failure, ref)
        line = _line("failed", failure.status, ref, event, names, failure.reason, failure.detail)
    except Exception as error:  # noqa: BLE001 - the last line of defence; no word of the error's text
        response = _problem(Failure(Reason.INTERNAL), ref)
        line = _line("failed", 500, ref, event, names, Reason.INTERNAL, type(error).__name__)._replace(
            at=where(error)
        )
    emit(line._replace(provider=provider))
    return response


def _route(event: Event, names: dict[str, str], ports: ReadPorts) -> tuple[str, dict[str, Any]]:
    routes: dict[str, Callable[[Event, dict[str, str], ReadPorts], tuple[str, dict[str, Any]]]] = {
        LIST_ROUTE: _list,
        TOKEN_ROUTE: _token,
    }
    key = str(event.get("routeKey"))
    if key not in routes:
        raise Failure(Reason.METHOD_NOT_ALLOWED)
    # An HTTP API decodes the path before we see it; whatever still differs from its names is refused.
    if event.get("rawPath") != key.partition(" ")[2].format_map(names):
        raise Failure(Reason.REQUEST_MALFORMED, "the path must be written without percent-encoding")
    return routes[key](event, names, ports)


def _list(_event: Event, names: dict[str, str], ports: ReadPorts) -> tuple[str, dict[str, Any]]:
    connections = list_connections(names["merchant_id"], ports)
    return "listed", {"connections": [_connection(connection) for connection in connections], "next": None}


def _token(event: Event, names: dict[str, str], ports: ReadPorts) -> tuple[str, dict[str, Any]]:
    asked = parse_query(str(event.get("rawQueryString") or "")).one("min_ttl")
    if asked is not None and not (asked.isascii() and asked.isdigit() and len(asked) <= 6):
        raise Failure(Reason.REQUEST_MALFORMED, "min_ttl must be whole seconds")
    min_ttl = DEFAULT_MIN_TTL if asked is None else int(asked)
    token = read_token(names["merchant_id"], names["provider"], names["account_id"], min_ttl, ports)
    return "read", _access_token(token)


def _connection(connection: Connection) -> dict[str, Any]:
    """One connection as services see it: never a token."""
    return {
        "merchant_id": connection.merchant_id,
        "provider": connection.provider,
        "account_id": connection.account_id,
        "account_verified": connection.account_verified,
        "status": connection.status.value,
        "generation": connection.generation,
        "version": connection.version,
        "scopes": list(connection.scopes),
        "expires_at": connection.expires_at,
        "connected_at": connection.connected_at,
        "updated_at": connection.updated_at,
        "last_error": connection.last_error,
        "details": dict(connection.details),
    }


def _access_token(token: AccessToken) -> dict[str, Any]:
    connection = token.connection
    return {
        "access_token": token.access_token,
        "token_type": "Bearer",
        "scopes": list(connection.scopes),
        "expires_at": connection.expires_at,
        "generation": connection.generation,
        "version": connection.version,
    }


def _json(status: int, body: dict[str, Any], kind: str = "application/json") -> Response:
    return {"statusCode": status, "headers": {**HEADERS, "content-type": kind}, "body": json.dumps(body)}


def _problem(failure: Failure, ref: str) -> Response:
    """RFC 9457 problem details: `reason` is the word in the log, `ref` finds the line."""
    body = {
        "type": "about:blank",
        "title": failure.reason.value.replace("_", " "),
        "status": failure.status,
        "detail": " ".join(
            part for part in (_sentence(failure.detail), _NEXT.get(failure.reason, _LATER)) if part
        ),
        "reason": failure.reason.value,
        "ref": ref,
    }
    return _json(failure.status, body, "application/problem+json")


def _sentence(detail: str) -> str:
    return f"{detail[0].upper()}{detail[1:]}." if detail else ""


def _line(
    outcome: str,
    status: int,
    ref: str,
    event: Event,
    names: dict[str, str],
    reason: Reason | None = None,
    detail: str = "",
) -> Line:
    """The log line; what the path named is logged only once it can be no more than a name."""
    merchant, account = names["merchant_id"], names["account_id"]
    return Line(
        outcome,
        status,
        ref,
        request_id(event),
        reason=reason.value if reason else None,
        merchant_id=merchant if is_name(merchant) else None,
        account_id=account if is_name(account) else None,
        detail=detail or None,
    )
