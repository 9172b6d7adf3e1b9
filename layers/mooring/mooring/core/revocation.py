"""Telling a provider that tokens are no longer wanted (RFC 7009)."""

from enum import Enum, StrEnum
from typing import NamedTuple, Protocol

from mooring.core.connection import NewConnection
from mooring.core.provider import Provider
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key, Refreshed

TRIES = 12
"""So often a revocation is tried before it goes to the dead-letter queue."""
_FIRST_SECONDS, _FACTOR, _LONGEST_SECONDS = 60, 3, 21_600


class Revoked(StrEnum):
    """What became of it, as the row of a disconnected connection says.

    `skipped`: the provider ends grants as a whole, and another connection may live by this one.
    """

    REVOKED = "revoked"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"
    FAILED = "failed"


class Revocation(NamedTuple):
    """The sealed tokens of a generation that is gone; none of them is readable by whoever carries this.

    `generation` is 0 for an exchange that was never stored. `details` are those of the connection, which
    some providers want to be named.
    """

    key: Key
    generation: int
    access: SealedField
    refresh: SealedField | None
    details: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Revocation({self.key}, generation={self.generation})"


class Presented(NamedTuple):
    """What a provider is asked to revoke. `kind` is `access_token` or `refresh_token` (RFC 7009 2.1)."""

    kind: str
    token: str
    account_id: str
    details: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Presented({self.kind})"


class Told(Enum):
    """What a provider answered: it is done, it cannot do that, or the call's own token was refused (401)."""

    DONE = "done"
    UNSUPPORTED = "unsupported"
    REFUSED = "refused"


class Revocations(Protocol):
    """The queue of revocations."""

    def ask(self, revocation: Revocation, /) -> None:
        """Have these tokens revoked; raises `Failure`: STORAGE_UNAVAILABLE when it is not durable."""
        ...


class Generations(Protocol):
    """The connections, as far as a revocation looks at them.

    Every method raises `Failure(STORAGE_UNAVAILABLE)`. A connection lives while it is neither `uninstalled`
    nor `disconnected`; what has a status that this release does not know lives too.
    """

    def living(self, key: Key) -> int | None:
        """The generation of a connection that lives, read consistently; None where it does not."""
        ...

    def has_relatives(self, key: Key) -> bool:
        """Whether a connection lives that may stem from the same grant as this one did.

        Another one of this merchant at this provider, or the same account's with another merchant.
        """
        ...

    def note(self, key: Key, generation: int, revoked: Revoked) -> bool:
        """Note what became of it, if this generation stands there as `disconnected`; whether it does."""
        ...


class TokenRevoker(Protocol):
    """The back channel to a provider for tokens that are no longer wanted."""

    def revoke(self, provider: Provider, presented: Presented, client_secret: str, now: int) -> Told:
        """Revoke one token, by one call that is never repeated.

        Raises:
            TokenCallFailure: MISCONFIGURED when the provider refuses us, TRANSIENT for all else.
        """
        ...


def of_exchange(new: NewConnection) -> Revocation | None:
    """The revocation of a code exchange that was not stored, and will not be.

    None where nobody confirmed the account: nobody could say then which other connections live by its grant.
    """
    if not new.account.verified:
        return None
    key, tokens = Key(new.merchant_id, new.provider, new.account.account_id), new.tokens
    return Revocation(key, 0, tokens.access, tokens.refresh, tuple(tokens.details.items()))


def of_refresh(refreshed: Refreshed) -> Revocation:
    """The revocation of what a refresh brought for a generation that is gone."""
    fresh = refreshed.fresh
    details = tuple(fresh.details.items())
    return Revocation(refreshed.key, refreshed.seen.generation, fresh.access, fresh.refresh, details)


def tried_again_in(tries: int, jitter: float, pause: int = 0) -> int:
    """In how many seconds a revocation is tried again: from a minute to six hours, each three times the last.

    Args:
        tries: how often it was tried so far, from 1.
        jitter: a number from 0 to 1, which adds up to a tenth.
        pause: for how many seconds the provider wants not to be asked.
    """
    seconds = min(_LONGEST_SECONDS, _FIRST_SECONDS * _FACTOR ** min(tries - 1, TRIES))
    return max(pause, int(seconds * (1 + jitter / 10)))
