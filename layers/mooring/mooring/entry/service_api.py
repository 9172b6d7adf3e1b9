"""The IAM routes that services call: JSON out, RFC 9457 problem details for what fails.

API Gateway has checked the signature and the caller's policy before anything here runs.
"""

import json
from base64 import b64decode
from collections.abc import Callable
from secrets import token_hex
from typing import Any, NamedTuple

from mooring.core.connection import Status
from mooring.core.errors import ALARMS, Failure, Reason
from mooring.core.names import is_name
from mooring.core.provider import Provider
from mooring.core.query import Query, parse_query
from mooring.core.upkeep import Cause, Key, Order, Seen
from mooring.entry import service_answers
from mooring.entry.http_api import Emit, Event, Line, Response, request_id, where, where_from
from mooring.entry.invocation import Left
from mooring.entry.problems import answered, problem
from mooring.flows.connections import DEFAULT_LIMIT, Asked, list_connections, show_connection
from mooring.flows.disconnect import DisconnectPorts, disconnect
from mooring.flows.read import DEFAULT_MIN_TTL, ReadPorts, read_token
from mooring.flows.renew import RenewPorts, renew

LIST_ROUTE = "GET /merchants/{merchant_id}/connections"
_CONNECTION = "/merchants/{merchant_id}/connections/{provider}/{account_id}"
CONNECTION_ROUTE = f"GET {_CONNECTION}"
TOKEN_ROUTE = f"GET {_CONNECTION}/token"
UNAUTHORIZED_ROUTE = f"POST {_CONNECTION}/unauthorized"
REFRESH_ROUTE = f"POST {_CONNECTION}/refresh"
DISCONNECT_ROUTE = f"DELETE {_CONNECTION}"

_MAX_BODY_BYTES = 1_024
_MAX_DIGITS = 6


class ServicePorts(NamedTuple):
    """What the routes need. `known` tells enabled providers, `provider` is one of them."""

    read: ReadPorts
    renew: RenewPorts
    disconnect: DisconnectPorts
    known: Callable[[str], bool]
    provider: Callable[[str], Provider]


class Request(NamedTuple):
    """One signed request. `left` tells the seconds until Lambda ends us."""

    event: Event
    names: dict[str, str]
    left: Left

    @property
    def key(self) -> Key:
        """The connection that its path names."""
        return Key(self.names["merchant_id"], self.names["provider"], self.names["account_id"])

    @property
    def query(self) -> Query:
        """Its query. Raises `Failure(REQUEST_MALFORMED)`."""
        return parse_query(str(self.event.get("rawQueryString") or ""))


type Said = tuple[str, dict[str, Any]]
"""The outcome's word for the log, and the body of the answer."""


def answer(event: Event, ports: ServicePorts, emit: Emit, left: Left) -> Response:
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
        line = line._replace(alarm=failure.alarm, at=where_from(failure))
    except Exception as error:  # noqa: BLE001 - the last line of defence; no word of the error's text
        response = problem(Failure(Reason.INTERNAL), ref)
        line = _line("failed", 500, ref, event, names, Reason.INTERNAL, type(error).__name__)
        line = line._replace(at=where(error), alarm=ALARMS[Reason.INTERNAL])
    emit(line._replace(provider=provider))
    return response


def _route(request: Request, ports: ServicePorts) -> Said:
    routes: dict[str, Callable[[Request, ServicePorts], Said]] = {
        LIST_ROUTE: _list,
        CONNECTION_ROUTE: _one,
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
    query = request.query
    limit = _number(query, "limit")
    asked = Asked(
        request.names["merchant_id"],
        query.one("provider"),
        _status(query.one("status")),
        DEFAULT_LIMIT if limit is None else limit,
        query.one("next"),
    )
    page = list_connections(asked, ports.read.connections)
    found = [service_answers.connection(one) for one in page.connections]
    return "listed", {"connections": found, "next": page.next}


def _one(request: Request, ports: ServicePorts) -> Said:
    return "shown", service_answers.connection(show_connection(request.key, ports.read.connections))


def _token(request: Request, ports: ServicePorts) -> Said:
    asked, name = _number(request.query, "min_ttl"), request.key.provider
    min_ttl = DEFAULT_MIN_TTL if asked is None else asked
    token = read_token(request.key, min_ttl, ports.read, request.left)
    provider = ports.provider(name) if ports.known(name) else None
    return "read", service_answers.access_token(token, provider)


def _unauthorized(request: Request, ports: ServicePorts) -> Said:
    # Loads pydantic, which takes longer than a whole read: only here, and never where tokens are read.
    from mooring.entry.service_models import report_from

    report = report_from(_body(request.event))
    order = Order(request.key, Seen(report.generation, report.version), Cause.UNAUTHORIZED)
    return _renewed(order, ports)


def _refresh(request: Request, ports: ServicePorts) -> Said:
    return _renewed(Order(request.key, None, Cause.ASKED), ports)


def _renewed(order: Order, ports: ServicePorts) -> Said:
    answer, connection = renew(order, ports.renew)
    # The word may be that there was nothing to do.
    return answer.word, service_answers.renewed(answer, connection)


def _disconnect(request: Request, ports: ServicePorts) -> Said:
    ended = disconnect(request.key, ports.disconnect)
    return "disconnected" if ended else "skipped", {"status": "disconnected"}


def _number(query: Query, name: str) -> int | None:
    given = query.one(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MAX_DIGITS):
        raise Failure(Reason.REQUEST_MALFORMED, f"the {name} must be a whole number")
    return int(given)


def _status(word: str | None) -> Status | None:
    try:
        return None if word is None else Status(word)
    except ValueError:
        raise Failure(Reason.REQUEST_MALFORMED, "the status is no status of a connection") from None


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
