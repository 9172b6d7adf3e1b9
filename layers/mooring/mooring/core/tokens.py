"""The token set: what a token endpoint gave us, with absolute times (RFC 6749 5.1)."""

from collections.abc import Mapping
from typing import NamedTuple


class TokenSet(NamedTuple):
    """Tokens are opaque texts: never decoded, never shown.

    Times are epoch seconds; `expires_at` None means that the token has no known end.
    `scopes` None means that the answer named none (then the requested ones were granted).
    """

    access_token: str
    refresh_token: str | None
    scopes: tuple[str, ...] | None
    expires_at: int | None
    refresh_expires_at: int | None
    account_id: str | None
    details: Mapping[str, str]

    def __repr__(self) -> str:
        return f"TokenSet(expires_at={self.expires_at}, scopes={self.scopes})"


class SealedField(NamedTuple):
    """One sealed field (bytes): ciphertext, and its data key wrapped by KMS."""

    ciphertext: bytes
    wrapped_key: bytes

    def __repr__(self) -> str:
        return f"SealedField({len(self.ciphertext)} bytes)"


class SealedTokens(NamedTuple):
    """A token set as it may be stored or queued: nothing readable in it."""

    access: SealedField
    refresh: SealedField | None
    scopes: tuple[str, ...]
    expires_at: int | None
    refresh_expires_at: int | None
    details: Mapping[str, str]
