"""Requests and answers of the services' routes as pydantic models: the source of `docs/openapi.yaml`.

A function loads this only to check a request's body. Answers are made as plain values (`service_answers`),
and tests hold them against these models, so that reading a token never waits for pydantic.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mooring.core.errors import Failure, Reason

MAX_COUNT = 10**12 - 1
"""No connection gets as far as this generation or version."""

REASONS = (
    Reason.REQUEST_MALFORMED,
    Reason.PARAMETER_REPEATED,
    Reason.METHOD_NOT_ALLOWED,
    Reason.CONNECTION_NOT_FOUND,
    Reason.CONNECTION_NOT_ACTIVE,
    Reason.TOKEN_EXPIRED,
    Reason.TOKEN_REFUSED,
    Reason.TOKEN_SUPERSEDED,
    Reason.TOKEN_UNREADABLE,
    Reason.TOKEN_LOST,
    Reason.GRANT_REFUSED,
    Reason.LOST_ROTATION,
    Reason.ACCOUNT_MISMATCH,
    Reason.UNINSTALLED_MEANWHILE,
    Reason.REFRESH_BUSY,
    Reason.REFRESH_IN_DOUBT,
    Reason.REFRESH_PUT_OFF,
    Reason.PROVIDER_PAUSED,
    Reason.PROVIDER_UNKNOWN,
    Reason.PROVIDER_MISCONFIGURED,
    Reason.PROVIDER_UNAVAILABLE,
    Reason.PROVIDER_TIMEOUT,
    Reason.PROVIDER_ANSWER_INVALID,
    Reason.PROVIDER_ERROR,
    Reason.SECRET_UNAVAILABLE,
    Reason.SEALING_UNAVAILABLE,
    Reason.KEY_DENIED,
    Reason.STORAGE_UNAVAILABLE,
    Reason.STORE_DELAYED,
    Reason.OUT_OF_TIME,
    Reason.MESSAGE_MALFORMED,
    Reason.INTERNAL,
)
"""Every reason that a service can be told."""


def _told(word: str) -> str:
    if word not in REASONS:
        raise ValueError("no service is told this reason")
    return word


def _whole(value: object) -> object:
    """In JSON, 5.0 is the same number as 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WORDS: dict[str, Any] = {"enum": [reason.value for reason in REASONS]}
_INT64: dict[str, Any] = {"format": "int64"}

type EpochSeconds = Annotated[int, Field(ge=0, json_schema_extra=_INT64)]
type Count = Annotated[int, Field(ge=1, le=MAX_COUNT), BeforeValidator(_whole)]
type MerchantId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
type AccountId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
type ProviderId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,31}$")]
type ConnectionStatus = Literal["active", "needs_reconnect", "uninstalled", "disconnected"]
type ReasonWord = Annotated[str, AfterValidator(_told), Field(json_schema_extra=_WORDS)]


class Answer(BaseModel):
    """An answer. It may get further fields in later releases: ignore those that you do not know."""

    model_config = ConfigDict(strict=True, use_attribute_docstrings=True)


class Connection(Answer):
    """One connection; no token is ever among its fields. Times are epoch seconds."""

    merchant_id: MerchantId
    """The merchant, as the product's link named it."""
    provider: ProviderId
    """The provider."""
    account_id: AccountId
    """The account at the provider; `default` where the provider names none."""
    account_verified: bool
    """Whether a call with the token, or the token answer itself, confirmed the account."""
    status: ConnectionStatus
    """Where the connection stands. Only an `active` one gives a token."""
    generation: Count
    """One more at every stored code exchange."""
    version: Count
    """One more at every token write; it never goes back."""
    scopes: list[str]
    """The granted scopes."""
    expires_at: EpochSeconds | None
    """When the access token ends; null where no end is known, or there is no token any more."""
    expiring_at: EpochSeconds | None
    """When the grant ends and the merchant must have come back, once that is near; else null."""
    connected_at: EpochSeconds
    """When the latest code exchange took place."""
    updated_at: EpochSeconds
    """When tokens, their trouble or the status last changed."""
    last_error: str | None
    """The reason word of the latest refresh that failed, or of the end; null when all is well."""
    revocation: str | None
    """What became of the tokens of a disconnected one at its provider (`revoked`, `unsupported`, `skipped`,
    `failed`); null until that is known."""
    details: dict[str, str]
    """What the descriptor keeps besides. Treat it as input from outside."""


class ConnectionList(Answer):
    """One page of a merchant's connections, in the order of provider and account."""

    connections: list[Connection]
    """At most `limit`. A page that is not the last may hold fewer, and even none."""
    next: str | None
    """Opaque: give it back as `next` to get the next page of the same list. Null on the last page."""


class Placement(Answer):
    """Where the token stands on a call of the provider's API, ready to use."""

    where: Literal["header", "query"] = Field(alias="in")
    """Whether it is a header or a query parameter. A query stands in logs: do not write that URL anywhere."""
    name: str
    """Name of the header or parameter."""
    value: str = Field(json_schema_extra={"format": "password"})
    """The whole value, token included."""


class RateLimit(Answer):
    """The provider's limit: so many requests in so many seconds."""

    requests: int = Field(ge=1)
    """How many."""
    seconds: int = Field(ge=1)
    """In how many seconds."""
    per: Literal["account", "app"]
    """Whether each account has its own allowance, or all of them share one."""
    remaining_header: str | None
    """Header that tells how many are left."""
    reset_header: str | None
    """Header that tells when there are more."""


class Api(Answer):
    """The provider's API, as far as its descriptor knows it."""

    base_url: str | None
    """Where its addresses begin, with the account filled in."""
    hosts: list[str]
    """Hosts (with their port, if not the usual one) to which the token may be sent, and no others."""
    rate_limit: RateLimit | None
    """Its limit, if known."""


class Token(Answer):
    """A living access token, and what is needed to use it. Keep it in memory, for five minutes at most."""

    access_token: str = Field(json_schema_extra={"format": "password"})
    """The token. Opaque."""
    token_type: Literal["Bearer"]
    """How it is used (RFC 6750); `placement` says where it stands."""
    scopes: list[str]
    """The granted scopes."""
    expires_at: EpochSeconds | None
    """When it ends, in epoch seconds; null where no end is known."""
    generation: Count
    """Name it, with `version`, when you report a 401."""
    version: Count
    """Of two tokens of one connection, the one with the higher version is newer."""
    placement: Placement
    """Where it stands on a request."""
    api: Api
    """Where it may be sent."""
    warning: ReasonWord | None = None
    """There only when something is wrong though the token lives: why its latest refresh failed, or
    `provider_unknown`. It will end at `expires_at` unless a later refresh succeeds."""


class Report(BaseModel):
    """Which token the provider answered 401 to. Nothing else belongs here, and no token."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    generation: Count
    """The generation that came with the token."""
    version: Count
    """The version that came with the token."""


class Renewed(Answer):
    """What became of a report or a refresh, and how the connection stands now."""

    outcome: Literal["refreshed", "fresh", "reported", "probed", "skipped"]
    """`refreshed`: there is a new token. `fresh`: there was one already. `reported`: it was counted.
    `probed`: the provider was asked, and takes the token. `skipped`: there was nothing to do."""
    status: Literal["active"]
    """Where it stands; one that is not active is answered 409."""
    generation: Count
    """As it is now."""
    version: Count
    """As it is now. Higher than the one that was reported: ask for the token again."""
    expires_at: EpochSeconds | None
    """When the access token ends; null where no end is known."""


class Disconnected(Answer):
    """The connection is cut off."""

    status: Literal["disconnected"]
    """What it is now, or what it had been already."""


class ProblemDetails(Answer):
    """What all problem documents have (RFC 9457)."""

    type: Literal["about:blank"]
    """Always `about:blank`; `reason` tells problems apart."""
    title: str
    """The reason in words."""
    status: int = Field(ge=400, le=599)
    """The HTTP status."""
    detail: str
    """What is wrong and what to do, for people."""
    reason: ReasonWord
    """The reason word, for programs."""
    ref: str = Field(pattern=r"^[0-9a-f]{10}$")
    """Finds the log line."""


class Problem(ProblemDetails):
    """Problem details (RFC 9457)."""

    connection_status: ConnectionStatus | None = None
    """Where the connection stands, if there is one and it was looked at."""


class ConnectionProblem(ProblemDetails):
    """Problem details of a connection that is there and cannot give what was asked for."""

    connection_status: ConnectionStatus
    """Where the connection stands. On anything but `active`, the merchant has to connect again."""


class GatewayMessage(Answer):
    """API Gateway's own answer: the request came to no function, or the function gave no answer."""

    message: str
    """`Forbidden`, `Not Found`, `Too Many Requests` and so on."""


def report_from(body: object) -> Report:
    """A report from the parsed body of a request.

    Raises:
        Failure: REQUEST_MALFORMED, with a fixed text; nothing of the body is in it.
    """
    try:
        return Report.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    names = [name for name in first["loc"] if name in Report.model_fields]
    detail = "the body must hold generation and version, and nothing else"
    if names:
        detail = f"the {names[0]} must be the whole number that came with the token"
    raise Failure(Reason.REQUEST_MALFORMED, detail)
