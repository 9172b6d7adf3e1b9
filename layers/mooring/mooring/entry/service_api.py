"""The IAM routes that services call: JSON out, RFC 9457 problem details for what fails.

API Gateway has checked the signature and the caller's policy before anything here runs.
"""

import json
from base64 import b64decode
from collections.abc import Callable
from secrets import token_hex
from typing import Any, NamedTuple

from mooring.core.connection import Connection
from mooring.core.errors import ALARMS, Failure, Reason
from mooring.core.names import is_name
from mooring.core.query import parse_query
from mooring.core.upkeep import Answer, Cause, Key, Order, Seen
from mooring.entry.http_api import Emit, Event, Line, Response, request_id, where
from mooring.entry.problems import answered, problem
from mooring.flows.disconnect import DisconnectPorts, disconnect
from mooring.flows.read import DEFAULT_MIN_TTL, AccessToken, ReadPorts, list_connections, read_token
from mooring.flows.renew import RenewPorts, renew

LIST_ROUTE = "GET /merchants/{merchant_id}/connections"
_CONNECTION = "/merchants/{merchant_id}/connections/{provider}/{account_id}"
TOKEN_ROUTE = f"GET {_CONNECTION}/token"
UNAUTHORIZED_ROUTE = f"POST {_CONNECTION}/unauthorized"
REFRESH_ROUTE = f"POST {_CONNECTION}/refresh"
DISCONNECT_ROUTE = f"DELETE {_CONNECTION}"

_MAX_BODY_BYTES = 1_024
_MAX_COUNT = 10**12


class ServicePorts(NamedTuple):
    """What the routes need. `known` tells enabled providers."""

    read: ReadPorts
    renew: RenewPorts
    disconnect: DisconnectPorts
    known: Callable[[str], bool]


class Request(NamedTuple):
    """One signed request. `left` tells the seconds until Lambda ends us."""

    event: Event
    names: dict[str, str]
    left: Callable[[], float]

    @property
    def key(self) -> Key:
        """The connection that its path names."""
        return Key(self.names["merchant_id"], self.names["provider"], self.names["account_id"])


type Said = tuple[str, dict[str, Any]]
"""The outcome's word for the log, and the body of the answer."""


def answer(event: Event, ports: ServicePorts, emit: Emit, left: Callable[[], float]) -> Response:
    """Answer one signed request; every ending is a response and one log line."""
    ref = token_hex(5)
    given = event.get("pathParameters") or {}
    names = {key: str(given.get(key) or "") for key in ("merchant_id", "provider", "account_id")}
    provider = names["provider"] if ports.known(names["provider"]) else None  # never input as a dimension
    try:
        outcome, body = _route(Request(event, names, left), ports)
        response = answered(200, body)
        line = _line(outcome, 200, ref, event, names)
    except Failure as failure:
        response = problem(failure, ref)
        line = _line("failed", response["statusCode"], ref, event, names, failure.reason, failure.detail)
        line = line._replace(alarm=failure.alarm)
    except Exception as error:  # noqa: BLE001 - the last line of defence; no word of the error's text
        response = problem(Failure(Reason.INTERNAL), ref)
        line = _line("failed", 500, ref, event, names, Reason.INTERNAL, type(error).__name__)
        line = line._replace(at=where(error), alarm=ALARMS[Reason.INTERNAL])
    emit(line._replace(provider=provider))
    return response


def _route(request: Request, ports: ServicePorts) -> Said:
    routes: dict[str, Callable[[Request, ServicePorts], Said]] = {
        LIST_ROUTE: _list,
        TOKEN_ROUTE: _token,
        UNAUTHORIZED_ROUTE: _unauthorized,
        REFRESH_ROUTE: _refresh,
        DISCONNECT_ROUTE: _disconnect,
    }
    key = str(request.event.get("routeKey"))
    if key not in routes:
        raise Failure(Reason.METHOD_NOT_ALLOWED)
    # An HTTP API decodes the path before we see it; whatever still differs from its names is refused.
    if request.event.get("rawPath") != key.partition(" ")[2].format_map(request.names):
        raise Failure(Reason.REQUEST_MALFORMED, "the path must be written without percent-encoding")
    return routes[key](request, ports)


def _list(request: Request, ports: ServicePorts) -> Said:
    connections = list_connections(request.names["merchant_id"], ports.read)
    return "listed", {"connections": [_connection(connection) for connection in connections], "next": None}


def _token(request: Request, ports: ServicePorts) -> Said:
    asked = parse_query(str(request.event.get("rawQueryString") or "")).one("min_ttl")
    if asked is not None and not (asked.isascii() and asked.isdigit() and len(asked) <= 6):
        raise Failure(Reason.REQUEST_MALFORMED, "the min_ttl must be whole seconds")
    min_ttl = DEFAULT_MIN_TTL if asked is None else int(asked)
    return "read", _access_token(read_token(request.key, min_ttl, ports.read, request.left))


def _unauthorized(request: Request, ports: ServicePorts) -> Said:
    found = _body(request.event)
    seen = Seen(_count(found, "generation"), _count(found, "version"))
    answer, connection = renew(Order(request.key, seen, Cause.UNAUTHORIZED), ports.renew)
    return "reported", _renewed(answer, connection)


def _refresh(request: Request, ports: ServicePorts) -> Said:
    answer, connection = renew(Order(request.key, None, Cause.ASKED), ports.renew)
    return answer.word, _renewed(answer, connection)  # which may be that there was nothing to do


def _disconnect(request: Request, ports: ServicePorts) -> Said:
    disconnect(request.key, ports.disconnect)
    return "disconnected", {"status": "disconnected"}


def _body(event: Event) -> dict[str, Any]:
    text = str(event.get("body") or "")
    try:
        if event.get("isBase64Encoded"):
            text = b64decode(text, validate=True).decode()
        found = json.loads(text) if len(text) <= _MAX_BODY_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Failure(
            Reason.REQUEST_MALFORMED, 'the body must be JSON such as {"generation": 1, "version": 3}'
        )
    return found


def _count(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _MAX_COUNT:
        raise Failure(
            Reason.REQUEST_MALFORMED, f"the {name} must be the whole number that came with the token"
        )
    return value


def _renewed(answer: Answer, connection: Connection) -> dict[str, Any]:
    return {
        "outcome": answer.word,
        "status": connection.status.value,
        "generation": connection.generation,
        "version": connection.version,
        "expires_at": connection.expires_at,
    }


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
        "expiring_at": connection.expiring_at,
        "connected_at": connection.connected_at,
        "updated_at": connection.updated_at,
        "last_error": connection.last_error,
        "details": dict(connection.details),
    }


def _access_token(token: AccessToken) -> dict[str, Any]:
    connection = token.connection
    body: dict[str, Any] = {
        "access_token": token.access_token,
        "token_type": "Bearer",
        "scopes": list(connection.scopes),
        "expires_at": connection.expires_at,
        "generation": connection.generation,
        "version": connection.version,
    }
    return body | ({"warning": token.warning.value} if token.warning else {})


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
