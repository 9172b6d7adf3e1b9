"""The services' routes as `docs/openapi.yaml` describes them: what each takes, answers and fails with."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mooring.core.errors import Reason
from mooring.entry import service_api as api
from mooring.entry import service_models as models
from mooring.flows.connections import DEFAULT_LIMIT, LISTED, MAX_LIMIT
from mooring.flows.read import DEFAULT_MIN_TTL, MAX_MIN_TTL

_NOT_A_NAME = {"enum": [".", ".."]}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$", "not": _NOT_A_NAME}
_PROVIDER = {"type": "string", "pattern": "^[a-z][a-z0-9-]{1,31}$"}

PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "merchant_id": {"schema": _NAME, "description": "The merchant.", "example": "m-1"},
    "provider": {"schema": _PROVIDER, "description": "The provider.", "example": "acme"},
    "account_id": {
        "schema": _NAME,
        "description": "The account; `default` where the provider names none.",
        "example": "default",
    },
}
"""Written without percent-encoding: names hold no character that needs it."""


class Parameter(NamedTuple):
    """A query parameter; none is required, and one that stands there twice is refused."""

    name: str
    schema: Mapping[str, Any]
    description: str


class Operation(NamedTuple):
    """One route: `reasons` are those it can be refused with; `answers` and `takes` are models' names."""

    route: str
    id: str
    summary: str
    description: str
    answers: str
    example: Mapping[str, Any]
    reasons: Sequence[Reason]
    query: Sequence[Parameter] = ()
    takes: str | None = None
    body_example: Mapping[str, Any] | None = None

    @property
    def method(self) -> str:
        """In lower case."""
        return self.route.partition(" ")[0].lower()

    @property
    def path(self) -> str:
        """With its parameters in braces."""
        return self.route.partition(" ")[2]


_ALWAYS = (Reason.REQUEST_MALFORMED, Reason.STORAGE_UNAVAILABLE, Reason.INTERNAL)
_ONE = (*_ALWAYS, Reason.CONNECTION_NOT_FOUND)
_OF_A_LIST = {Reason.CONNECTION_NOT_FOUND, Reason.PARAMETER_REPEATED, Reason.METHOD_NOT_ALLOWED}
_REFRESHING = tuple(reason for reason in models.REASONS if reason not in _OF_A_LIST)
"""A refresh can fail in every way there is."""

_CONNECTION = {
    "merchant_id": "m-1",
    "provider": "acme",
    "account_id": "default",
    "account_verified": False,
    "status": "active",
    "generation": 1,
    "version": 3,
    "scopes": ["read"],
    "expires_at": 1_793_527_200,
    "expiring_at": None,
    "connected_at": 1_793_440_800,
    "updated_at": 1_793_523_600,
    "last_error": None,
    "revocation": None,
    "details": {},
}
_TOKEN = {
    "access_token": "an-example-token",
    "token_type": "Bearer",
    "scopes": ["read"],
    "expires_at": 1_793_527_200,
    "generation": 1,
    "version": 3,
    "placement": {"in": "header", "name": "Authorization", "value": "Bearer an-example-token"},
    "api": {
        "base_url": "https://api.acme.example/v1/",
        "hosts": ["api.acme.example"],
        "rate_limit": {
            "requests": 1_000,
            "seconds": 86_400,
            "per": "account",
            "remaining_header": None,
            "reset_header": None,
        },
    },
}
_RENEWED = {
    "outcome": "refreshed",
    "status": "active",
    "generation": 1,
    "version": 4,
    "expires_at": 1_793_530_800,
}

_MIN_TTL = Parameter(
    "min_ttl",
    {"type": "integer", "minimum": 0, "maximum": 999_999, "default": DEFAULT_MIN_TTL},
    "For how many more seconds the token must live. More than "
    f"{MAX_MIN_TTL} seconds, or than half of the token's lifetime, counts as that.",
)
_LIST_QUERY = (
    Parameter("provider", _PROVIDER, "Only connections of this provider."),
    Parameter(
        "status",
        {"type": "string", "enum": [status.value for status in LISTED]},
        "Only connections that stand so.",
    ),
    Parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "How many connections a page holds at most.",
    ),
    Parameter(
        "next",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,300}$"},
        "What the page before came with, for the same merchant, provider and status.",
    ),
)

OPERATIONS = (
    Operation(
        api.LIST_ROUTE,
        "listConnections",
        "List a merchant's connections",
        "In the order of provider and account, ended ones included; never a token. What waits for "
        "confirmation is not among them. A merchant nobody has heard of has an empty list.",
        "ConnectionList",
        {"connections": [_CONNECTION], "next": None},
        (*_ALWAYS, Reason.PARAMETER_REPEATED),
        _LIST_QUERY,
    ),
    Operation(
        api.CONNECTION_ROUTE,
        "getConnection",
        "Look at one connection",
        "Whatever its status; never a token.",
        "Connection",
        _CONNECTION,
        _ONE,
    ),
    Operation(
        api.TOKEN_ROUTE,
        "getToken",
        "Read an access token",
        "One that lives for at least `min_ttl` more seconds. It is refreshed first when it must be, so give "
        "the call thirty seconds. When that fails and the token still lives, it comes with a `warning`.",
        "Token",
        _TOKEN,
        (*_REFRESHING, Reason.CONNECTION_NOT_FOUND, Reason.PARAMETER_REPEATED),
        (_MIN_TTL,),
    ),
    Operation(
        api.UNAUTHORIZED_ROUTE,
        "reportUnauthorized",
        "Report that the provider answered 401",
        "Refreshes at once where there is a refresh token, at most once a minute. Where there is none, "
        "reports are counted, and at the third in a row the provider is asked. A report about an older token "
        "changes nothing.",
        "Renewed",
        _RENEWED,
        (*_REFRESHING, Reason.CONNECTION_NOT_FOUND),
        takes="Report",
        body_example={"generation": 1, "version": 3},
    ),
    Operation(
        api.REFRESH_ROUTE,
        "refreshNow",
        "Refresh a connection now",
        "However long its token lives. For operators: only a refresh under way, or a lost answer that is "
        "still waited for (two and a half minutes), holds it back.",
        "Renewed",
        _RENEWED,
        (*_REFRESHING, Reason.CONNECTION_NOT_FOUND),
    ),
    Operation(
        api.DISCONNECT_ROUTE,
        "disconnect",
        "Cut a connection off",
        "Its tokens are erased at once, and nothing reads or refreshes it from then on. May be repeated.",
        "Disconnected",
        {"status": "disconnected"},
        _ONE,
    ),
)
"""Every route that a service calls."""
