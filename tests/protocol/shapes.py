"""Providers of every shape, written by hand; no real provider is meant by any of them."""

from typing import Any

from mooring.core.provider import (
    Api,
    Authorize,
    Call,
    Callback,
    Identity,
    Lifetime,
    Placement,
    Provider,
    Refresh,
    Response,
    Revoke,
    Token,
)

ACME_URL = "https://acme.example"
HEADER = Placement("header", "Authorization", "Bearer ")
AUTHORIZE = Authorize(
    url=f"{ACME_URL}/authorize",
    parameters_in="query",
    parameters={name: name for name in ("response_type", "client_id", "redirect_uri", "scope", "state")},
    extra={},
    scope_separator=" ",
    pkce=False,
    state=True,
    referers=(),
)
TOKEN = Token(
    url=f"{ACME_URL}/token",
    body="form",
    client_authentication="client_secret_post",
    parameters={name: name for name in ("grant_type", "code", "redirect_uri", "client_id", "client_secret")},
    extra={},
)
RESPONSE = Response(
    access_token="access_token",
    refresh_token="refresh_token",
    expires_in="expires_in",
    refresh_expires_in="refresh_expires_in",
    scope="scope",
    scope_separator=" ",
    token_type="token_type",
    token_types=("bearer",),
    account=None,
    error="error",
    success=None,
    errors={},
    keep={},
)
REFRESH = Refresh(
    url=f"{ACME_URL}/token",
    rotation="always",
    grace_seconds=0,
    parameters={name: name for name in ("grant_type", "refresh_token", "client_id", "client_secret")},
    extra={},
    idle_days=None,
)
REVOKE = Revoke(
    way="endpoint",
    method="POST",
    url=f"{ACME_URL}/revoke",
    token="refresh_token",
    ends="grant",
    body="form",
    client_authentication="client_secret_post",
    parameters={name: name for name in ("token", "token_type_hint", "client_id", "client_secret")},
    details={},
    extra={},
)
"""RFC 7009 with a client secret. `ACME` has none; put it there."""
CALLED = REVOKE._replace(
    way="call",
    method="DELETE",
    url=f"{ACME_URL}/api/{{account_id}}/permission",
    token="access_token",
    client_authentication="none",
    parameters={},
)
"""An API call of the provider's own."""
ACME = Provider(
    id="acme",
    name="Acme",
    client_id="acme-client",
    scopes=("read", "write"),
    authorize=AUTHORIZE,
    callback=Callback(code="code", account=None, keep={}, issuer=None),
    token=TOKEN,
    response=RESPONSE,
    lifetime=Lifetime(never_expires=False, access_token_seconds=None),
    refresh=REFRESH,
    revoke=None,
    uninstall=None,
    probe=None,
    identity=None,
    api=Api(base=f"{ACME_URL}/api/", token=HEADER, rate_limit=None),
    hosts=("acme.example",),
    local=False,
    refresh_policy="eager",
)
"""The plainest code flow of RFC 6749; the others differ from it."""

STATELESS = ACME._replace(
    id="stateless",
    name="Stateless",
    client_id="ab12/cd34",
    scopes=(),
    authorize=AUTHORIZE._replace(
        state=False,
        parameters={"client_id": "app_client_id", "redirect_uri": "app_redirect_uri"},
        referers=(ACME_URL,),
    ),
    token=TOKEN._replace(parameters={"code": "auth_code", "client_secret": "app_client_secret"}),
    response=RESPONSE._replace(
        access_token="App_access_token", success=("status", "success"), scope=None, token_type=None
    ),
    lifetime=Lifetime(never_expires=True, access_token_seconds=None),
)
"""No state, renamed parameters, a client id with a slash."""

FRAGMENT = ACME._replace(
    id="fragment",
    name="Fragment",
    client_id="app/1",
    scopes=(),
    authorize=AUTHORIZE._replace(
        url=f"{ACME_URL}/app/#/install/{{client_id}}", parameters_in="fragment", parameters={"state": "state"}
    ),
    callback=Callback(
        code="code", account="app_key", keep={"app_key": "app_key", "plan": "plan"}, issuer=None
    ),
    token=TOKEN._replace(body="json"),
    identity=Identity(Call("GET", f"{ACME_URL}/api/{{account_id}}/info"), account=None),
)
"""Everything in the fragment; the callback names the account, an API call confirms it."""

ISSUER = ACME._replace(
    id="issuer",
    name="Issuer",
    authorize=AUTHORIZE._replace(
        pkce=True,
        parameters={
            **AUTHORIZE.parameters,
            "code_challenge": "code_challenge",
            "code_challenge_method": "code_challenge_method",
        },
    ),
    callback=Callback(code="code", account=None, keep={}, issuer=ACME_URL),
    token=TOKEN._replace(
        client_authentication="client_secret_basic",
        parameters={name: name for name in ("grant_type", "code", "redirect_uri", "code_verifier")},
    ),
    refresh=REFRESH._replace(parameters={name: name for name in ("grant_type", "refresh_token")}),
)
"""PKCE, RFC 9207, HTTP Basic."""

NAMED = ACME._replace(
    id="named", name="Named", identity=Identity(Call("GET", f"{ACME_URL}/api/me"), account="team.uid")
)
"""An API call names the account."""

PUBLIC = ACME._replace(
    id="public",
    name="Public",
    token=TOKEN._replace(
        client_authentication="none",
        parameters={name: name for name in ("grant_type", "code", "redirect_uri", "client_id")},
    ),
    refresh=REFRESH._replace(
        parameters={name: name for name in ("grant_type", "refresh_token", "client_id")}
    ),
)
"""A public client: no secret."""

ALL = (ACME, STATELESS, FRAGMENT, ISSUER, NAMED, PUBLIC)


def with_response(provider: Provider = ACME, **changes: Any) -> Provider:
    """`provider`, whose token answers look otherwise."""
    return provider._replace(response=provider.response._replace(**changes))
