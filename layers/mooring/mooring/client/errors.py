"""What a reading service can meet, as one tree of exceptions: each says what to do and holds no secret.

The tree:

    MooringError
      +-- NoConnection            the merchant has to connect, or to connect again
      |     +-- NotConnected      there never was such a connection
      |     +-- NeedsReconnect    the grant is lost
      |     +-- Uninstalled       the merchant removed the app at the provider
      |     +-- Disconnected      the connection was cut off here
      +-- SeveralAccounts         name one: the merchant has connected several
      +-- TokenUnavailable        there is a connection, and no token of it now
      |     +-- NotAllowed        an IAM or key policy forbids it
      +-- RateLimited             the provider wants a longer pause than the session may wait
      +-- NotTheProvider          an address to which the token is not sent
      +-- SetupError              something has to be set before this can work
"""

from collections.abc import Sequence

from mooring.core.upkeep import Key

_CONNECT = "Send the merchant a link to connect."
_AGAIN = "Send the merchant a link to connect again."


class MooringError(Exception):
    """Base of everything that this package raises on purpose."""


class SetupError(MooringError):
    """A setting or the AWS credentials are missing or wrong; the message says which, and what to do."""


class NoConnection(MooringError):  # noqa: N818 - it is an answer, not a defect
    """There is no live connection; the merchant has to come back.

    Attributes:
        key: which connection: merchant, provider, account.
        status: how it stands, or an empty text when there never was one.
        reason: a word of docs/reasons.md, or an empty text.
    """

    status = ""
    _says, _advice = "is not connected", _CONNECT

    def __init__(self, key: Key, reason: str = "") -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        merchant, provider, account = self.key
        of = f" (account {account})" if account else ""
        why = f", because of {self.reason}" if self.reason else ""
        return f"{provider}{of} of merchant {merchant} {self._says}{why}. {self._advice}"


class NotConnected(NoConnection):
    """There never was such a connection."""


class NeedsReconnect(NoConnection):
    """The provider does not take the grant any more."""

    status = "needs_reconnect"
    _says, _advice = "needs a reconnect", _AGAIN


class Uninstalled(NoConnection):
    """The merchant removed the app at the provider."""

    status = "uninstalled"
    _says, _advice = "was uninstalled at the provider", _AGAIN


class Disconnected(NoConnection):
    """The connection was cut off here."""

    status = "disconnected"
    _says, _advice = "was disconnected", _AGAIN


class SeveralAccounts(MooringError):  # noqa: N818 - it is an answer, not a defect
    """The merchant has connected several accounts of the provider, and none was named."""

    def __init__(self, merchant_id: str, provider: str, accounts: Sequence[str]) -> None:
        super().__init__(merchant_id, provider, tuple(accounts))
        self.accounts = tuple(accounts)

    def __str__(self) -> str:
        merchant, provider, accounts = self.args
        return f"merchant {merchant} has several accounts of {provider}; name one: {', '.join(accounts)}"


class TokenUnavailable(MooringError):  # noqa: N818 - it is an answer, not a defect
    """No token can be had now. `reason` is a word of docs/reasons.md, `detail` a fixed text or AWS code."""

    _ADVICE = "Try again in a minute; if it persists, tell the operator of Mooring"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"no token can be had now: {self.reason}{detail}. {self._ADVICE}"


class NotAllowed(TokenUnavailable):
    """AWS refuses it: the caller's IAM policy or the key's own policy does not allow this."""

    _ADVICE = "Compare the policy of this service's role with docs/reading-tokens.md"


class RateLimited(MooringError):  # noqa: N818 - it is an answer, not a defect
    """The provider allows no request for `retry_after` more seconds; `max_wait` leaves less than that."""

    def __init__(self, provider: str, retry_after: float) -> None:
        super().__init__(provider, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        provider, seconds = self.args
        return f"{provider} allows no request for another {seconds:.0f} seconds"


class NotTheProvider(MooringError):  # noqa: N818 - it is an answer, not a defect
    """The token goes to the provider's own hosts only, over https; nothing was sent."""


ENDED: dict[str, type[NoConnection]] = {
    each.status: each for each in (NeedsReconnect, Uninstalled, Disconnected)
}
"""The error of each status in which a connection gives no token."""


def not_active(key: Key, status: str, reason: str = "") -> NoConnection:
    """The error of a connection that is not active; a status that is not known is taken for a lost grant."""
    return ENDED.get(status, NeedsReconnect)(key, reason)
