"""The descriptor: everything that is particular to one provider, as its YAML file says it.

The descriptions are what `docs/adding-a-provider.md` and the JSON Schema show. A field that no code
reads is a defect, so each one leads to a field of `mooring.core.provider`, or to a check.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from mooring.providers import rules
from mooring.providers.checked import (
    DetailKey,
    FieldPath,
    HeaderName,
    Line,
    Locator,
    ParameterName,
    Pattern,
    ProviderId,
    Url,
    Word,
)
from mooring.providers.code_flow import Authorize, Callback, Part, Response, Scopes, Token, TokenUrl

Seconds = Annotated[StrictInt, Field(ge=1, le=315_360_000)]
AccountUrl = Annotated[str, Url(placeholder="account_id")]


class Lifetime(Part):
    """How long an access token lives."""

    never_expires: StrictBool = False
    """The token lives until the merchant takes it back."""
    access_token_seconds: Seconds | None = None
    """Life in seconds where the answer names none."""


class RefreshParameters(Part):
    """The provider's own name of each standard parameter; `null`: it is not sent."""

    grant_type: ParameterName | None = "grant_type"
    """Always `refresh_token`; for another value say `null` here and put it under `extra`."""
    refresh_token: ParameterName = "refresh_token"  # noqa: S105 - a parameter's name
    """The refresh token."""
    client_id: ParameterName | None = "client_id"
    """Not in the body with `client_secret_basic`."""
    client_secret: ParameterName | None = "client_secret"  # noqa: S105 - a parameter's name
    """In the body only with `client_secret_post`."""


class Refresh(Part):
    """How a token is refreshed (RFC 6749 6). Leave the part out where the provider has no refresh tokens."""

    url: TokenUrl | None = None
    """Default: `token.url`."""
    rotation: Literal["never", "always", "sometimes"]
    """Whether an answer brings a new refresh token; when in doubt `sometimes`, which is safe for all."""
    grace_seconds: Annotated[StrictInt, Field(ge=0, le=86_400)] = 0
    """Seconds for which the previous refresh token still works after a rotation."""
    idle_days: Annotated[StrictInt, Field(ge=1, le=3_650)] | None = None
    """Days after which an unused refresh token dies."""
    parameters: RefreshParameters = RefreshParameters()
    """Renamed and absent parameters."""
    extra: Mapping[ParameterName, Line] = {}
    """Fixed parameters that are sent besides."""


class Call(Part):
    """One API call of ours, made with the connection's token."""

    method: Literal["GET", "POST", "DELETE"] = "GET"
    """The HTTP method."""
    url: AccountUrl
    """`{account_id}` in its path is filled in, percent-encoded."""


class RevokeParameters(Part):
    """The provider's own name of each parameter of its revocation endpoint; `null`: it is not sent."""

    token: ParameterName | None = "token"  # noqa: S105 - a parameter's name
    """The token; `null` where the account alone is named."""
    token_type_hint: ParameterName | None = "token_type_hint"  # noqa: S105 - a parameter's name
    """`refresh_token` or `access_token`."""
    client_id: ParameterName | None = "client_id"
    """Not in the body with `client_secret_basic`."""
    client_secret: ParameterName | None = "client_secret"  # noqa: S105 - a parameter's name
    """In the body only with `client_secret_post`."""
    account_id: ParameterName | None = None
    """The account, where the provider wants it named."""


class Revoke(Part):
    """How the provider is told that tokens are no longer wanted. Leave it out where that cannot be."""

    way: Literal["endpoint", "call"] = "endpoint"
    """Its revocation endpoint (RFC 7009), always a POST; or an API call, made with the access token."""
    url: AccountUrl | None
    """`{account_id}` in its path is filled in. `null`: there is one that is not known; it is never called."""
    method: Literal["GET", "POST", "DELETE"] = "POST"
    """The HTTP method of a call."""
    ends: Literal["token", "grant"] = "grant"
    """`token` only if the tokens of other consents live on, and each consent brings others; else `grant`."""
    token: Literal["refresh_token", "access_token"] = "refresh_token"  # noqa: S105 - a token's kind
    """Which one the endpoint is sent; without a refresh token always the access token."""
    body: Literal["form", "json"] = "form"
    """How the endpoint's parameters are written."""
    client_authentication: Literal["client_secret_post", "client_secret_basic", "none"] | None = None
    """How the endpoint wants to know who we are. Default: as the token endpoint."""
    parameters: RevokeParameters = RevokeParameters()
    """Renamed, absent and additional parameters of the endpoint."""
    details: Mapping[DetailKey, ParameterName] = {}
    """What is kept in `details` and sent to the endpoint besides, each with its parameter."""
    extra: Mapping[ParameterName, Line] = {}
    """Fixed parameters that the endpoint is sent besides."""


class Identity(Call):
    """The call that names the account, or confirms the one that the callback named."""

    account: FieldPath | None = None
    """Dotted path of the account's id in the answer; `null`: a good answer only confirms it."""


class Event(Part):
    """Which of several notices is the uninstall."""

    at: Locator
    """Where the notice's kind stands."""
    equals: Line
    """The kind that means uninstall."""


class Uninstall(Part):
    """The notice that the provider sends when a merchant removes us."""

    proof: Literal["none", "hmac_sha256_base64", "hmac_sha256_hex"]
    """What proves that the provider sent it; `none`: it is a hint, and never believed without a probe."""
    signature_header: HeaderName | None = None
    """Header with the signature of the raw body, in that exact encoding and with nothing before it."""
    event_id: Locator | None = None
    """Where the notice's own id stands; it goes into the log, so that a delivery is found here and there."""
    time: Locator | None = None
    """Where its time stands in a signed body: epoch (milli)seconds or zoned ISO 8601. Without one: a hint."""
    account: Locator
    """Where the account's id stands; with a proof in the body, for no signature covers a header."""
    event: Event | None = None
    """Only where the same address receives other notices too."""


class Placement(Part):
    """Where a token stands on an API call."""

    where: Literal["header", "query"] = "header"
    """`query` puts tokens into URLs and thereby into logs: use it only where there is no header."""
    name: ParameterName = "Authorization"
    """Name of the header or parameter."""
    prefix: Annotated[str, Pattern(r"[!-~]{0,32} ?", "must be a word and a space, or empty")] = "Bearer "
    """Stands before the token."""


class RateLimit(Part):
    """So many requests in so many seconds."""

    requests: Annotated[StrictInt, Field(ge=1)]
    """How many."""
    seconds: Seconds
    """In how many seconds."""
    per: Literal["account", "app"]
    """Whether every account has its own allowance or all share ours."""
    remaining_header: HeaderName | None = None
    """Header that tells how many are left."""
    reset_header: HeaderName | None = None
    """Header that tells when there are more."""


class Api(Part):
    """How a service calls the provider's API with a token."""

    base: AccountUrl | None = None
    """Where its addresses begin; `{account_id}` in its path is filled in."""
    token: Placement = Placement()
    """Where the token stands."""
    rate_limit: RateLimit | None = None
    """The provider's limit."""


class Source(Part):
    """Where the facts come from."""

    title: Line
    """Title of the page or document."""
    url: Annotated[str, Url(fragment=True)] | None = None
    """Its address, or ..."""
    document: Line | None = None
    """... what document it is, where it has no address."""
    read: date
    """The day it was read, as 2026-11-22."""


class Descriptor(Part):
    """One provider. Only `id`, `name`, `authorize.url`, `token.url`, a lifetime and a source are required."""

    id: ProviderId
    """The name of the file without `.yaml`, and of the provider in every route, log and table."""
    name: Line
    """As people know it."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the facts below come from."""
    unverified: Mapping[str, Line] = {}
    """Dotted names of fields that no source of the provider confirms, each with the reason."""
    sample_client_id: Word | None = None
    """A made-up client id; `mooring check` warns when `mooring.yaml` still has it."""
    scopes: Scopes = Scopes()
    """What can be asked for."""
    authorize: Authorize
    """The way to the consent page."""
    callback: Callback = Callback()
    """The way back."""
    token: Token
    """The exchange of the code."""
    response: Response = Response()
    """The answer to it."""
    lifetime: Lifetime = Lifetime()
    """How long tokens live."""
    refresh: Refresh | None = None
    """How they are renewed; absent: they cannot be."""
    revoke: Revoke | None = None
    """How a token is ended; absent: it cannot be."""
    uninstall: Uninstall | None = None
    """The notice that the merchant removed us; absent: none is sent."""
    probe: Call | None = None
    """A harmless call that answers 2xx to a live token and 401 to a dead one."""
    identity: Identity | None = None
    """The call that names or confirms the account; where nothing names one, it is `default`."""
    api: Api = Api()
    """For those who read tokens."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = tuple(rules.contradictions(self))
        if found:
            raise PydanticCustomError("contradictions", "parts contradict each other", {"found": found})
        return self
