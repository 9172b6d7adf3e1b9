"""Telling a provider that tokens are no longer wanted (RFC 7009)."""

from enum import StrEnum
from typing import NamedTuple, Protocol

from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key


class Revoked(StrEnum):
    """What became of it, as the row of a disconnected connection says."""

    REVOKED = "revoked"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


class Revocation(NamedTuple):
    """The sealed tokens of a generation that is gone; none of them is readable by whoever carries this.

    `details` are those of the connection, which some providers want to be named.
    """

    key: Key
    generation: int
    access: SealedField
    refresh: SealedField | None
    details: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Revocation({self.key}, generation={self.generation})"


class Revocations(Protocol):
    """The queue of revocations."""

    def ask(self, revocation: Revocation, /) -> None:
        """Have these tokens revoked; raises `Failure`: STORAGE_UNAVAILABLE when it is not durable."""
        ...
