"""Why something failed: one reason word for the page, the log line and the test alike.

    Exception
      +-- Failure                  a reason, and what the reader may know about it
            +-- ConnectionFailure  what a connection that is there cannot give, and where it stands
            +-- TokenCallFailure   a failed call of a token endpoint, with its outcome

A `Failure` never carries a secret, nor text that a provider sent.
"""

from enum import Enum, StrEnum


class Reason(StrEnum):
    """Every way in which a request can fail; `STATUS` gives each its HTTP status."""

    # the link that the product signed
    LINK_MISSING = "link_missing"
    LINK_TOO_LONG = "link_too_long"
    LINK_MALFORMED = "link_malformed"
    LINK_ALGORITHM = "link_algorithm"
    LINK_KEY_UNKNOWN = "link_key_unknown"
    LINK_FORGED = "link_forged"
    LINK_EXPIRED = "link_expired"
    LINK_AUDIENCE = "link_audience"
    LINK_PROVIDER = "link_provider"
    LINK_USE = "link_use"
    LINK_EXHAUSTED = "link_exhausted"
    RETURN_TO_NOT_ALLOWED = "return_to_not_allowed"
    SCOPES_NOT_ALLOWED = "scopes_not_allowed"
    # the request
    PROVIDER_UNKNOWN = "provider_unknown"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_MALFORMED = "request_malformed"
    PARAMETER_REPEATED = "parameter_repeated"
    CROSS_SITE = "cross_site"
    ORIGIN_UNKNOWN = "origin_unknown"
    # the flow
    STATE_MISSING = "state_missing"
    STATE_UNKNOWN = "state_unknown"
    FLOW_EXPIRED = "flow_expired"
    FLOW_USED = "flow_used"
    FLOW_IN_PROGRESS = "flow_in_progress"
    COOKIE_REPEATED = "cookie_repeated"
    REFERER_FOREIGN = "referer_foreign"
    ISSUER_MISMATCH = "issuer_mismatch"
    CODE_MISSING = "code_missing"
    CODE_MALFORMED = "code_malformed"
    # what the provider said
    ACCESS_DENIED = "access_denied"
    PROVIDER_ERROR = "provider_error"
    GRANT_REFUSED = "grant_refused"
    PROVIDER_MISCONFIGURED = "provider_misconfigured"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_TIMEOUT = "provider_timeout"
    PROVIDER_ANSWER_INVALID = "provider_answer_invalid"
    # the account
    ACCOUNT_MALFORMED = "account_malformed"
    ACCOUNT_MISSING = "account_missing"
    ACCOUNT_MISMATCH = "account_mismatch"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    UNINSTALLED_MEANWHILE = "uninstalled_meanwhile"
    # the provider's uninstall notice
    NOTICE_FORGED = "notice_forged"
    NOTICE_TIME = "notice_time"
    NOTICE_MALFORMED = "notice_malformed"
    NOTICE_TOO_LARGE = "notice_too_large"
    # keeping the token alive
    LOST_ROTATION = "lost_rotation"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason word
    REFRESH_IN_DOUBT = "refresh_in_doubt"
    REFRESH_BUSY = "refresh_busy"
    REFRESH_PUT_OFF = "refresh_put_off"
    PROVIDER_PAUSED = "provider_paused"
    TOKEN_SUPERSEDED = "token_superseded"  # noqa: S105 - a reason word
    # telling a provider that tokens are no longer wanted
    GRANT_IN_USE = "grant_in_use"
    REVOCATION_REFUSED = "revocation_refused"
    # our own side
    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105 - a reason word
    SEALING_UNAVAILABLE = "sealing_unavailable"
    KEY_DENIED = "key_denied"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    STORE_DELAYED = "store_delayed"
    TOKEN_LOST = "token_lost"  # noqa: S105 - a reason word
    TOKEN_UNREADABLE = "token_unreadable"  # noqa: S105 - a reason word
    OUT_OF_TIME = "out_of_time"
    MESSAGE_MALFORMED = "message_malformed"
    BUS_UNAVAILABLE = "bus_unavailable"
    EVENT_REFUSED = "event_refused"
    INTERNAL = "internal"
    # a service reading
    CONNECTION_NOT_FOUND = "connection_not_found"
    CONNECTION_NOT_ACTIVE = "connection_not_active"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a reason word
    API_UNAVAILABLE = "api_unavailable"
    API_REFUSED = "api_refused"


_BAD_REQUEST = 400
_FORBIDDEN = 403
_CONFLICT = 409
_OUR_TROUBLE = 500

STATUS: dict[Reason, int] = {
    Reason.LINK_ALGORITHM: _FORBIDDEN,
    Reason.LINK_KEY_UNKNOWN: _FORBIDDEN,
    Reason.LINK_FORGED: _FORBIDDEN,
    Reason.LINK_EXPIRED: _FORBIDDEN,
    Reason.LINK_AUDIENCE: _FORBIDDEN,
    Reason.LINK_PROVIDER: _FORBIDDEN,
    Reason.LINK_USE: _FORBIDDEN,
    Reason.LINK_EXHAUSTED: _FORBIDDEN,
    Reason.CROSS_SITE: _FORBIDDEN,
    Reason.ORIGIN_UNKNOWN: _FORBIDDEN,
    Reason.ACCOUNT_MISMATCH: _FORBIDDEN,
    Reason.NOTICE_FORGED: 401,
    Reason.NOTICE_TIME: 401,
    Reason.NOTICE_TOO_LARGE: 413,
    Reason.PROVIDER_UNKNOWN: 404,
    Reason.CONNECTION_NOT_FOUND: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.FLOW_IN_PROGRESS: 409,
    Reason.UNINSTALLED_MEANWHILE: 409,
    Reason.CONNECTION_NOT_ACTIVE: 409,
    Reason.TOKEN_EXPIRED: 409,
    Reason.API_UNAVAILABLE: 503,
    Reason.API_REFUSED: _FORBIDDEN,
    Reason.LOST_ROTATION: 409,
    Reason.TOKEN_REFUSED: 409,
    Reason.REFRESH_IN_DOUBT: 503,
    Reason.REFRESH_BUSY: 503,
    Reason.REFRESH_PUT_OFF: 503,
    Reason.PROVIDER_PAUSED: 503,
    Reason.TOKEN_SUPERSEDED: 409,
    Reason.GRANT_IN_USE: 409,
    Reason.REVOCATION_REFUSED: 502,
    Reason.PROVIDER_ERROR: 502,
    Reason.PROVIDER_ANSWER_INVALID: 502,
    Reason.ACCOUNT_MISSING: 502,
    Reason.PROVIDER_UNAVAILABLE: 503,
    Reason.PROVIDER_TIMEOUT: 504,
    Reason.IDENTITY_UNAVAILABLE: 503,
    Reason.SECRET_UNAVAILABLE: 503,
    Reason.SEALING_UNAVAILABLE: 503,
    Reason.KEY_DENIED: 503,
    Reason.STORAGE_UNAVAILABLE: 503,
    Reason.OUT_OF_TIME: 503,
    Reason.BUS_UNAVAILABLE: 503,
    Reason.STORE_DELAYED: 202,
    Reason.PROVIDER_MISCONFIGURED: 500,
    Reason.MESSAGE_MALFORMED: 500,
    Reason.EVENT_REFUSED: 500,
    Reason.TOKEN_LOST: 500,
    Reason.TOKEN_UNREADABLE: 500,
    Reason.INTERNAL: 500,
}
"""HTTP status of each reason; a reason that is absent here answers 400."""


ALARMS: dict[Reason, str] = {
    Reason.TOKEN_LOST: "TokenLost",
    Reason.IDENTITY_UNAVAILABLE: "TokenKept",
    Reason.ACCOUNT_MISSING: "TokenKept",
    Reason.ACCOUNT_MISMATCH: "TokenDiscarded",
    Reason.UNINSTALLED_MEANWHILE: "TokenDiscarded",
    Reason.TOKEN_SUPERSEDED: "TokenDiscarded",
    Reason.LOST_ROTATION: "LostRotation",
    Reason.REFRESH_IN_DOUBT: "RefreshInDoubt",
    Reason.PROVIDER_MISCONFIGURED: "ProviderMisconfigured",
    Reason.KEY_DENIED: "KeyDenied",
    Reason.SECRET_UNAVAILABLE: "SecretUnavailable",
    Reason.INTERNAL: "Defect",
    Reason.TOKEN_UNREADABLE: "TokenUnreadable",
    Reason.NOTICE_FORGED: "NoticeRefused",
    Reason.NOTICE_TIME: "NoticeRefused",
}
"""The metric of each reason that somebody has to hear of."""


class Failure(Exception):  # noqa: N818 - a failure is an answer here, not a defect
    """A request that ends with a reason instead of its result.

    Args:
        reason: the word that page, log and test share.
        detail: a fixed text for the developer or operator; never input, never a secret.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value if not detail else f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.return_to: str | None = None
        self.merchant_id: str | None = None
        self.clear_cookies: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status that this failure answers with."""
        return STATUS.get(self.reason, _BAD_REQUEST)

    @property
    def alarm(self) -> str | None:
        """The metric that rings for it, or None."""
        return ALARMS.get(self.reason)

    def returning(self, return_to: str, merchant_id: str) -> "Failure":
        """The same failure, knowing from a verified link whose it is and where they may go on."""
        self.return_to = return_to
        self.merchant_id = merchant_id
        return self

    def clearing(self, *cookies: str) -> "Failure":
        """The same failure, naming flow cookies that are of no use any more."""
        self.clear_cookies = (*self.clear_cookies, *cookies)
        return self


class ConnectionFailure(Failure):
    """A connection that is there and cannot give what was asked for.

    Args:
        reason: the reason word.
        connection_status: where the connection stands; its status word.
        detail: a fixed text.
    """

    def __init__(self, reason: Reason, connection_status: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.connection_status = connection_status

    @property
    def status(self) -> int:
        """Its HTTP status: 409 where others would be told that they asked wrongly, or for what never was."""
        status = super().status
        return _CONFLICT if _BAD_REQUEST <= status < _OUR_TROUBLE else status


class Outcome(Enum):
    """The four ways a token call fails (RFC 6749 5.2 for the codes)."""

    GRANT_LOST = "grant_lost"
    MISCONFIGURED = "misconfigured"
    TRANSIENT = "transient"
    IN_DOUBT = "in_doubt"


class TokenCallFailure(Failure):
    """A failed call of a token endpoint.

    Args:
        outcome: who has to act: the merchant, the operator, time, or nobody knows yet.
        reason: the reason word.
        detail: a fixed text; never what the provider sent.
        maybe_issued: the provider failed with an answer behind which a token may have been issued.
        retry_after: for how many seconds the provider wants not to be asked (RFC 9110 10.2.3), clamped;
            None when it did not say.
    """

    def __init__(
        self,
        outcome: Outcome,
        reason: Reason,
        detail: str = "",
        *,
        maybe_issued: bool = False,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(reason, detail)
        self.outcome = outcome
        self.maybe_issued = maybe_issued
        self.retry_after = retry_after

    @property
    def alarm(self) -> str | None:
        """`ExchangeInDoubt` where the answer was lost: the provider may have issued a token."""
        return "ExchangeInDoubt" if self.outcome is Outcome.IN_DOUBT else super().alarm
