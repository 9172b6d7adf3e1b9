"""A provider as a plain, immutable value: what its compiled descriptor says.

The field names are those of the compiled JSON, which `providers.compiler` writes at build time;
`docs/adding-a-provider.md` explains each of them to whoever writes a descriptor.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple


class Probe(Enum):
    """What a provider says of an access token: it takes it, it refuses it (401), or nobody can tell."""

    LIVE = "live"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Authorize(NamedTuple):
    """The authorization request. `parameters` maps standard names to the provider's own (only those sent)."""

    url: str
    parameters_in: str
    parameters: Mapping[str, str]
    extra: Mapping[str, str]
    scope_separator: str
    pkce: bool
    state: bool
    referers: tuple[str, ...]


class Callback(NamedTuple):
    """What comes back. `keep` maps parameter names to keys of `details`."""

    code: str
    account: str | None
    keep: Mapping[str, str]
    issuer: str | None


class Token(NamedTuple):
    """The token request (RFC 6749 4.1.3)."""

    url: str
    body: str
    client_authentication: str
    parameters: Mapping[str, str]
    extra: Mapping[str, str]


class Response(NamedTuple):
    """Where the fields of a token response lie: dotted paths. `success` is (path, value)."""

    access_token: str
    refresh_token: str | None
    expires_in: str | None
    refresh_expires_in: str | None
    scope: str | None
    scope_separator: str
    token_type: str | None
    token_types: tuple[str, ...]
    account: str | None
    error: str
    success: tuple[str, str] | None
    errors: Mapping[str, str]
    keep: Mapping[str, str]


class Lifetime(NamedTuple):
    """How long tokens live. `access_token_seconds` is used when an answer names no lifetime."""

    never_expires: bool
    access_token_seconds: int | None


class Refresh(NamedTuple):
    """How tokens are refreshed (RFC 6749 6); grace and idle limit in seconds and days."""

    url: str
    rotation: str
    grace_seconds: int
    parameters: Mapping[str, str]
    extra: Mapping[str, str]
    idle_days: int | None


class Placement(NamedTuple):
    """Where a token stands on an API call: `header` or `query`, its name, and a prefix of the value."""

    where: str
    name: str
    prefix: str


class Call(NamedTuple):
    """One API call of ours: `{account_id}` in the URL is filled in, percent-encoded."""

    method: str
    url: str


class Revoke(NamedTuple):
    """How the provider is told that a token is no longer wanted.

    `way`: its revocation endpoint (RFC 7009) or an API call of its own, made with the access token. `ends`:
    the consent that the token came from, or all that the merchant ever granted us. The rest is only of the
    endpoint; `details` maps keys of the connection's details to parameters.
    """

    way: str
    method: str
    url: str
    token: str
    ends: str
    body: str
    client_authentication: str
    parameters: Mapping[str, str]
    details: Mapping[str, str]
    extra: Mapping[str, str]


class Identity(NamedTuple):
    """The call that names or confirms the account; `account` is a dotted path, or None to only confirm."""

    call: Call
    account: str | None


class RateLimit(NamedTuple):
    """So many requests in so many seconds, for each `per` (account, app)."""

    requests: int
    seconds: int
    per: str
    remaining_header: str | None
    reset_header: str | None


class Api(NamedTuple):
    """How a service calls the provider's API with a token."""

    base: str | None
    token: Placement
    rate_limit: RateLimit | None


class Uninstall(NamedTuple):
    """The provider's uninstall notice: what proves it, and where its fields stand."""

    proof: str
    signature_header: str | None
    event_id: str | None
    time: str | None
    account: str
    event: str | None


class Provider(NamedTuple):
    """One enabled provider: its descriptor joined with the operator's settings.

    `refresh_policy` is `eager` (tokens are renewed before they expire) or `on_read` (when one is read).
    """

    id: str
    name: str
    client_id: str
    scopes: tuple[str, ...]
    authorize: Authorize
    callback: Callback
    token: Token
    response: Response
    lifetime: Lifetime
    refresh: Refresh | None
    revoke: Revoke | None
    uninstall: Uninstall | None
    probe: Call | None
    identity: Identity | None
    api: Api
    hosts: tuple[str, ...]
    local: bool
    refresh_policy: str


def provider_from_compiled(data: Mapping[str, Any]) -> Provider:
    """The value of one compiled descriptor; the compiler guarantees its shape."""
    return Provider(
        id=data["id"],
        name=data["name"],
        client_id=data["client_id"],
        scopes=tuple(data["scopes"]),
        authorize=Authorize(**{**data["authorize"], "referers": tuple(data["authorize"]["referers"])}),
        callback=Callback(**data["callback"]),
        token=Token(**data["token"]),
        response=_response(data["response"]),
        lifetime=Lifetime(**data["lifetime"]),
        refresh=Refresh(**data["refresh"]) if data["refresh"] else None,
        revoke=Revoke(**data["revoke"]) if data["revoke"] else None,
        uninstall=Uninstall(**data["uninstall"]) if data["uninstall"] else None,
        probe=_call(data["probe"]),
        identity=_identity(data["identity"]),
        api=_api(data["api"]),
        hosts=tuple(data["hosts"]),
        local=data["local"],
        refresh_policy=data["refresh_policy"],
    )


def _call(data: Mapping[str, Any] | None) -> Call | None:
    return Call(**data) if data else None


def _identity(data: Mapping[str, Any] | None) -> Identity | None:
    return Identity(call=Call(**data["call"]), account=data["account"]) if data else None


def _api(data: Mapping[str, Any]) -> Api:
    limit = data["rate_limit"]
    return Api(data["base"], Placement(**data["token"]), RateLimit(**limit) if limit else None)


def _response(data: Mapping[str, Any]) -> Response:
    success = tuple(data["success"]) if data["success"] else None
    return Response(**{**data, "token_types": tuple(data["token_types"]), "success": success})
