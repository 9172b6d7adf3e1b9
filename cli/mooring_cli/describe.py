"""What a provider can do, told from its compiled form: the facts behind `mooring providers`."""

from typing import Any

from mooring.core.provider import Call, Provider, RateLimit, Refresh, Revoke, Uninstall
from mooring.providers.descriptor import Descriptor


def facts(provider: Provider, descriptor: Descriptor, enabled: bool) -> dict[str, Any]:
    """Everything known about one provider, ready for JSON; None stands for what it does not have."""
    return {
        "id": provider.id,
        "name": provider.name,
        "enabled": enabled,
        "scopes": list(provider.scopes),
        "state": provider.authorize.state,
        "pkce": provider.authorize.pkce,
        "issuer": provider.callback.issuer,
        "client_authentication": provider.token.client_authentication,
        "body": provider.token.body,
        "account": account(provider),
        "lifetime": lifetime(provider),
        "refresh": _refresh(provider.refresh),
        "revoke": _revoke(provider.revoke),
        "uninstall": _uninstall(provider.uninstall),
        "probe": call(provider.probe),
        "identity": call(provider.identity.call) if provider.identity else None,
        "api_base": provider.api.base,
        "token_placement": placement(provider),
        "rate_limit": _rate_limit(provider.api.rate_limit),
        "hosts": list(provider.hosts),
        "unverified": dict(descriptor.unverified),
        "sources": [
            {"title": source.title, "at": source.url or source.document} for source in descriptor.sources
        ],
    }


def account(provider: Provider) -> str:
    """Where the account's id comes from."""
    if provider.callback.account:
        return f"callback parameter {provider.callback.account}"
    if provider.response.account:
        return f"token answer {provider.response.account}"
    if provider.identity and provider.identity.account:
        return f"identity call {provider.identity.account}"
    return "none named: default"


def lifetime(provider: Provider) -> str:
    """How long an access token lives."""
    if provider.lifetime.never_expires:
        return "no end"
    seconds = provider.lifetime.access_token_seconds
    stated = f"as {provider.response.expires_in} says" if provider.response.expires_in else ""
    return ", else ".join(part for part in (stated, f"{seconds} s" if seconds else "") if part)


def placement(provider: Provider) -> str:
    """Where a token stands on an API call."""
    token = provider.api.token
    return f"{token.where} {token.name}: {token.prefix}...".replace("query ", "query parameter ")


def call(found: Call | None) -> str | None:
    """A call as text: `GET https://...`."""
    return f"{found.method} {found.url}" if found else None


def _refresh(refresh: Refresh | None) -> dict[str, Any] | None:
    if refresh is None:
        return None
    return {
        "url": refresh.url,
        "rotation": refresh.rotation,
        "grace_seconds": refresh.grace_seconds,
        "idle_days": refresh.idle_days,
        "parameters": {**refresh.parameters},
        "extra": {**refresh.extra},
    }


def _revoke(revoke: Revoke | None) -> dict[str, Any] | None:
    if revoke is None:
        return None
    return {
        "call": f"{revoke.method} {revoke.url}",
        "way": revoke.way,
        "token": revoke.token,
        "ends": revoke.ends,
        "client_authentication": revoke.client_authentication,
        "body": revoke.body,
        "parameters": {**revoke.parameters},
        "details": {**revoke.details},
        "extra": {**revoke.extra},
    }


def _uninstall(uninstall: Uninstall | None) -> dict[str, Any] | None:
    if uninstall is None:
        return None
    return {
        "proof": uninstall.proof,
        "signature_header": uninstall.signature_header,
        "event_id": uninstall.event_id,
        "time": uninstall.time,
        "account": uninstall.account,
        "event": uninstall.event,
    }


def _rate_limit(limit: RateLimit | None) -> dict[str, Any] | None:
    if limit is None:
        return None
    return {
        "requests": limit.requests,
        "seconds": limit.seconds,
        "per": limit.per,
        "remaining_header": limit.remaining_header,
        "reset_header": limit.reset_header,
    }
