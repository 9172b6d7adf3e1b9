"""What the services' routes answer, as plain JSON values (`service_models` says the same as models)."""

from typing import Any
from urllib.parse import quote

from mooring.core.connection import Connection
from mooring.core.errors import Reason
from mooring.core.names import origin_of
from mooring.core.provider import Provider, RateLimit
from mooring.core.upkeep import Answer
from mooring.flows.read import AccessToken

TOKEN_TYPE = "Bearer"  # noqa: S105 - RFC 6750, no token
_HEADER, _PREFIX = "Authorization", "Bearer "
"""Where a Bearer token stands unless somebody says otherwise (RFC 6750 2.1)."""

type Body = dict[str, Any]


def connection(one: Connection) -> Body:
    """One connection as services see it: never a token."""
    return {
        "merchant_id": one.merchant_id,
        "provider": one.provider,
        "account_id": one.account_id,
        "account_verified": one.account_verified,
        "status": one.status.value,
        "generation": one.generation,
        "version": one.version,
        "scopes": list(one.scopes),
        "expires_at": one.expires_at,
        "expiring_at": one.expiring_at,
        "connected_at": one.connected_at,
        "updated_at": one.updated_at,
        "last_error": one.last_error,
        "revocation": one.revocation,
        "details": dict(one.details),
    }


def renewed(answer: Answer, one: Connection) -> Body:
    """What became of a report or a refresh, and how the connection stands."""
    return {
        "outcome": answer.word,
        "status": one.status.value,
        "generation": one.generation,
        "version": one.version,
        "expires_at": one.expires_at,
    }


def access_token(token: AccessToken, provider: Provider | None) -> Body:
    """A token with all that is needed to use it.

    Of a provider that is not enabled any more (None) nothing is known but what holds for every Bearer token,
    and no host that it may be sent to; the answer warns of that.
    """
    one = token.connection
    warning = token.warning if provider is not None else token.warning or Reason.PROVIDER_UNKNOWN
    body = {
        "access_token": token.access_token,
        "token_type": TOKEN_TYPE,
        "scopes": list(one.scopes),
        "expires_at": one.expires_at,
        "generation": one.generation,
        "version": one.version,
        "placement": _placement(token.access_token, provider),
        "api": _api(one.account_id, provider),
    }
    return body | ({"warning": warning.value} if warning else {})


def _placement(token: str, provider: Provider | None) -> Body:
    if provider is None:
        return {"in": "header", "name": _HEADER, "value": _PREFIX + token}
    place = provider.api.token
    return {"in": place.where, "name": place.name, "value": place.prefix + token}


def _api(account_id: str, provider: Provider | None) -> Body:
    if provider is None:
        return {"base_url": None, "hosts": [], "rate_limit": None}
    base = provider.api.base
    base_url = base and base.replace("{account_id}", quote(account_id, safe=""))
    own = {origin_of(base).partition("//")[2]} if base else set()
    return {
        "base_url": base_url,
        "hosts": sorted({*provider.hosts, *own}),
        "rate_limit": _rate_limit(provider.api.rate_limit),
    }


def _rate_limit(limit: RateLimit | None) -> Body | None:
    return None if limit is None else limit._asdict()
