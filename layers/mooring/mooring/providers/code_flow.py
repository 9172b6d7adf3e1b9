"""The parts of a descriptor that describe the code flow: out, back, and the exchange of the code."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from mooring.providers.checked import DetailKey, FieldPath, Line, ParameterName, Scope, Separator, Url, Word

Origin = Annotated[str, Url(origin=True)]
TokenUrl = Annotated[str, Url()]
Outcome = Literal["grant_lost", "misconfigured", "transient"]


class Part(BaseModel):
    """What all parts of a descriptor have in common: unknown keys refused, values immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Scopes(Part):
    """The provider's scopes."""

    available: tuple[Scope, ...] = ()
    """Every scope the provider knows, so that a misspelt one in `mooring.yaml` is found."""
    default: tuple[Scope, ...] = ()
    """Asked for when `mooring.yaml` names none."""


class AuthorizeParameters(Part):
    """The provider's own name of each standard parameter; `null`: it is not sent."""

    response_type: ParameterName | None = "response_type"
    """Always `code`."""
    client_id: ParameterName | None = "client_id"
    """`null` where the id stands in the URL instead."""
    redirect_uri: ParameterName | None = "redirect_uri"
    """`null` where the provider only uses the registered one."""
    scope: ParameterName | None = "scope"
    """Not sent anyway where there are no scopes."""
    state: ParameterName | None = "state"
    """Not sent anyway with `state: none`."""
    code_challenge: ParameterName | None = "code_challenge"
    """Sent only with `pkce: true`."""
    code_challenge_method: ParameterName | None = "code_challenge_method"
    """Always `S256`; sent only with `pkce: true`."""


class Authorize(Part):
    """The authorization request (RFC 6749 4.1.1)."""

    url: Annotated[str, Url(placeholder="client_id", query=False, fragment=True)]
    """Where the merchant consents. `{client_id}` in its path or fragment is filled in, percent-encoded."""
    parameters_in: Literal["query", "fragment"] = "query"
    """`fragment`: the parameters go behind the URL's own `#...` part."""
    parameters: AuthorizeParameters = AuthorizeParameters()
    """Renamed and absent parameters."""
    extra: Mapping[ParameterName, Line] = {}
    """Fixed parameters that are sent besides."""
    scope_separator: Separator = " "
    """Stands between two scopes."""
    pkce: StrictBool = False
    """Whether a PKCE challenge is sent (RFC 7636, S256)."""
    state: Literal["required", "none"] = "required"
    """`none`: the provider does not return a `state`; the browser's cookie alone then binds the flow."""
    referers: tuple[Origin, ...] | None = None
    """Only with `state: none`: origins the merchant comes back from; default: that of `url`."""


class Callback(Part):
    """What comes back to `/callback/{provider}` (RFC 6749 4.1.2)."""

    code: ParameterName = "code"
    """Parameter with the authorization code."""
    account: ParameterName | None = None
    """Parameter that names the account."""
    keep: Mapping[ParameterName, DetailKey] = {}
    """Further parameters to keep, each with its key in the connection's `details` (stored in the clear)."""
    issuer: Annotated[str, Url(query=False)] | None = None
    """Expected value of `iss`, where the provider sends it (RFC 9207)."""


class TokenParameters(Part):
    """The provider's own name of each standard parameter; `null`: it is not sent."""

    grant_type: ParameterName | None = "grant_type"
    """Always `authorization_code`; for another value say `null` here and put it under `extra`."""
    code: ParameterName = "code"
    """The authorization code."""
    redirect_uri: ParameterName | None = "redirect_uri"
    """The same as in the authorization request."""
    client_id: ParameterName | None = "client_id"
    """Not in the body with `client_secret_basic`."""
    client_secret: ParameterName | None = "client_secret"  # noqa: S105 - a parameter's name
    """In the body only with `client_secret_post`."""
    code_verifier: ParameterName | None = "code_verifier"
    """Sent only with `pkce: true`."""


class Token(Part):
    """The token request, always a POST (RFC 6749 4.1.3)."""

    url: TokenUrl
    """The token endpoint."""
    body: Literal["form", "json"] = "form"
    """How the parameters are written; the refresh call uses the same."""
    client_authentication: Literal["client_secret_post", "client_secret_basic", "none"] = "client_secret_post"
    """How we prove who we are (RFC 6749 2.3.1); the refresh call uses the same."""
    parameters: TokenParameters = TokenParameters()
    """Renamed and absent parameters."""
    extra: Mapping[ParameterName, Line] = {}
    """Fixed parameters that are sent besides."""


class Success(Part):
    """A field that tells a good answer from a bad one."""

    field: FieldPath
    """Dotted path of the field."""
    equals: Line
    """Its text in a good answer, "true" for a JSON `true`; any other value means that the call failed."""


class Response(Part):
    """Where the fields of a token answer stand: dotted paths (RFC 6749 5.1)."""

    access_token: FieldPath = "access_token"  # noqa: S105 - a field's name
    """The access token."""
    refresh_token: FieldPath | None = None
    """The refresh token; must be named where there is a `refresh` part."""
    expires_in: FieldPath | None = "expires_in"
    """Life of the access token in seconds."""
    refresh_expires_in: FieldPath | None = None
    """Life of the refresh token in seconds."""
    scope: FieldPath | None = "scope"
    """The granted scopes, as text or list."""
    scope_separator: Separator = " "
    """Stands between two granted scopes."""
    token_type: FieldPath | None = "token_type"  # noqa: S105 - a field's name
    """The token type; `null`: not looked at."""
    token_types: Annotated[tuple[Word, ...], Field(min_length=1)] = ("bearer",)
    """Token types that are accepted, in any case."""
    account: FieldPath | None = None
    """The account's id, where the answer names it."""
    error: FieldPath = "error"
    """The error code of a bad answer (RFC 6749 5.2)."""
    success: Success | None = None
    """A success test, for providers that answer 200 to a failed call."""
    errors: Mapping[Word, Outcome] = {}
    """The provider's own error words: who has to act (`grant_lost` the merchant, `misconfigured` us)."""
    keep: Mapping[FieldPath, DetailKey] = {}
    """Further fields to keep, each with its key in the connection's `details` (stored in the clear)."""
