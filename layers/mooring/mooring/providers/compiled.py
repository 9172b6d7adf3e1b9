"""From a validated descriptor to the plain JSON that a function reads (`mooring.core.provider`)."""

import re
from collections.abc import Mapping
from typing import Any

from mooring.core.names import origin_of
from mooring.core.provider import Provider, provider_from_compiled
from mooring.providers.code_flow import Response
from mooring.providers.descriptor import Call, Descriptor
from mooring.providers.parameter_names import authorize_names, refresh_names, revoke_names, token_names
from mooring.providers.project import Enabled

_ORIGIN = re.compile(r"https://[^/?#]+")


def compiled(descriptor: Descriptor, enabled: Enabled, simulator: str | None, local: bool) -> dict[str, Any]:
    """The compiled form of one enabled provider.

    Args:
        descriptor: the provider.
        enabled: the operator's client id, scopes and refresh policy.
        simulator: base URL (http, loopback) that takes the place of every https origin, or None.
        local: whether this is a local compile.
    """
    scopes = descriptor.scopes.default if enabled.scopes is None else enabled.scopes
    result: dict[str, Any] = {
        "id": descriptor.id,
        "name": descriptor.name,
        "client_id": enabled.client_id,
        "scopes": list(scopes),
        "authorize": _authorize(descriptor, asks=bool(scopes)),
        "callback": descriptor.callback.model_dump(),
        "token": {**descriptor.token.model_dump(), "parameters": token_names(descriptor)},
        "response": _response(descriptor.response, descriptor.lifetime.never_expires),
        "lifetime": descriptor.lifetime.model_dump(),
        "refresh": _refresh(descriptor),
        "revoke": _revoke(descriptor),
        "uninstall": _uninstall(descriptor),
        "probe": _call(descriptor.probe),
        "identity": _identity(descriptor),
        "api": descriptor.api.model_dump(),
        "local": local,
        "refresh_policy": enabled.refresh,
    }
    if simulator is not None:
        _move(result, simulator)
    return {**result, "hosts": _hosts(result)}


def provider(descriptor: Descriptor, enabled: Enabled) -> Provider:
    """The value that a function would read, in production form."""
    return provider_from_compiled(compiled(descriptor, enabled, None, local=False))


def _authorize(descriptor: Descriptor, asks: bool) -> dict[str, Any]:
    authorize = descriptor.authorize
    stateless = authorize.state == "none"
    names = authorize_names(descriptor)
    if not asks:
        names.pop("scope", None)
    referers = authorize.referers if authorize.referers is not None else (origin_of(authorize.url),)
    return {
        **authorize.model_dump(),
        "parameters": names,
        "state": not stateless,
        "referers": list(referers) if stateless else [],
    }


def _response(response: Response, never_expires: bool) -> dict[str, Any]:
    success = response.success
    return {
        **response.model_dump(),
        "expires_in": None if never_expires else response.expires_in,
        "token_types": [kind.lower() for kind in response.token_types],
        "success": [success.field, success.equals] if success else None,
    }


def _refresh(descriptor: Descriptor) -> dict[str, Any] | None:
    refresh = descriptor.refresh
    if refresh is None:
        return None
    url = refresh.url or descriptor.token.url
    return {**refresh.model_dump(), "url": url, "parameters": refresh_names(descriptor)}


def _revoke(descriptor: Descriptor) -> dict[str, Any] | None:
    """A call that nobody knows cannot be made: it is as if there were none."""
    revoke = descriptor.revoke
    if revoke is None or revoke.url is None:
        return None
    compiled_form = {**revoke.model_dump(), "parameters": revoke_names(descriptor)}
    if revoke.way == "call":
        return {**compiled_form, "token": "access_token", "client_authentication": "none"}
    method = revoke.client_authentication or descriptor.token.client_authentication
    return {**compiled_form, "client_authentication": method}


def _call(call: Call | None) -> dict[str, Any] | None:
    return {"method": call.method, "url": call.url} if call else None


def _identity(descriptor: Descriptor) -> dict[str, Any] | None:
    identity = descriptor.identity
    return {"call": _call(identity), "account": identity.account} if identity else None


def _uninstall(descriptor: Descriptor) -> dict[str, Any] | None:
    uninstall = descriptor.uninstall
    if uninstall is None:
        return None
    event = f"{uninstall.event.at}={uninstall.event.equals}" if uninstall.event else None
    return {**uninstall.model_dump(), "event": event}


def _move(result: dict[str, Any], base: str) -> None:
    """Give every https URL of a compiled descriptor another origin; its path stays."""
    authorize = result["authorize"]
    authorize["referers"] = [_moved(referer, base) for referer in authorize["referers"]]
    places = [
        (result[part], "url") for part in ("authorize", "token", "refresh", "revoke", "probe") if result[part]
    ]
    places += [(result["callback"], "issuer"), (result["api"], "base")]
    if result["identity"]:
        places.append((result["identity"]["call"], "url"))
    for part, key in places:
        part[key] = part[key] and _moved(part[key], base)


def _moved(url: str, base: str) -> str:
    return _ORIGIN.sub(lambda _: base.rstrip("/"), url, count=1)


def _hosts(result: Mapping[str, Any]) -> list[str]:
    """Every host (with its port, if named) that a call of ours may go to."""
    calls = [result[part] for part in ("token", "refresh", "revoke", "probe")]
    calls.append(result["identity"]["call"] if result["identity"] else None)
    return sorted({origin_of(call["url"]).partition("//")[2] for call in calls if call})
