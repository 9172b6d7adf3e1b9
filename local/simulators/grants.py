"""What a simulated provider remembers: the codes it handed out and the tokens that are alive."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

CODE_SECONDS = 60
"""Life of a code in seconds (RFC 6749 4.1.2 allows at most ten minutes; short finds more faults)."""

UNNAMED_ACCOUNT = "default"
"""Account of a token where the provider names none."""

Clock = Callable[[], float]
"""Returns epoch seconds."""


class CodeRefused(Exception):  # noqa: N818 - the refusal is the expected answer
    """A code cannot be redeemed; the message says why in words that are safe to show."""


@dataclass(frozen=True)
class Grant:
    """What a merchant consented to: an account, the scope string, the redirect URI that was asked with."""

    account: str
    scope: str | None
    redirect_uri: str | None


@dataclass(frozen=True)
class Token:
    """A live token. `expires_at` is in epoch seconds; None means that it does not expire."""

    access_token: str
    account: str
    scope: str | None
    expires_at: float | None = None
    refresh_token: str | None = None

    def shown(self) -> dict[str, str | int | None]:
        """The token as test controls print it."""
        expires_at = None if self.expires_at is None else int(self.expires_at)
        return {
            "access_token": self.access_token,
            "account": self.account,
            "scope": self.scope,
            "expires_at": expires_at,
            "refresh_token": self.refresh_token,
        }


@dataclass
class _Code:
    grant: Grant
    expires_at: float
    used: bool = False


class GrantStore:
    """Codes and tokens of one simulated provider, in memory, safe to use from several threads.

    Args:
        clock: returns epoch seconds; tests put their own in.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, Token] = {}

    def issue_code(self, grant: Grant) -> str:
        """Hand out a fresh code for what the merchant granted; it lives `CODE_SECONDS`."""
        code = secrets.token_urlsafe(48)
        with self._lock:
            self._codes[code] = _Code(grant, self._clock() + CODE_SECONDS)
        return code

    def redeem(self, code: str, redirect_uri: str | None) -> Grant:
        """Use a code up.

        Args:
            code: as it came in the token call.
            redirect_uri: as it came in the token call; None where the call carries none.

        Raises:
            CodeRefused: unknown, used before, expired, or asked for with another redirect URI.
                The code is spent in each of these cases.
        """
        with self._lock:
            known = self._codes.get(code)
            if known is None:
                raise CodeRefused("unknown code")
            if known.used:
                raise CodeRefused("code already used")
            known.used = True
            if self._clock() >= known.expires_at:
                raise CodeRefused("code expired")
            if redirect_uri != known.grant.redirect_uri:
                raise CodeRefused("redirect_uri differs from the one the code was issued to")
            return known.grant

    def add(self, token: Token, *, only_one_per_account: bool = False) -> None:
        """Make a token live; with `only_one_per_account` the account's earlier tokens die."""
        with self._lock:
            if only_one_per_account:
                self._tokens = {k: t for k, t in self._tokens.items() if t.account != token.account}
            self._tokens[token.access_token] = token

    def find(self, access_token: str) -> Token | None:
        """The live token with this text, or None when there is none or it has expired."""
        with self._lock:
            token = self._tokens.get(access_token)
        return token if token is not None and self._is_live(token) else None

    def find_refresh(self, refresh_token: str) -> Token | None:
        """The newest token that carries this refresh token; its access token may have expired."""
        with self._lock:
            carriers = [t for t in self._tokens.values() if t.refresh_token == refresh_token]
        return carriers[-1] if carriers else None

    def retire_refresh(self, refresh_token: str) -> None:
        """Drop every token that carries this refresh token (used when refresh tokens rotate)."""
        with self._lock:
            self._tokens = {k: t for k, t in self._tokens.items() if t.refresh_token != refresh_token}

    def live(self) -> list[Token]:
        """The tokens that an API call would be accepted with, oldest first."""
        with self._lock:
            tokens = list(self._tokens.values())
        return [token for token in tokens if self._is_live(token)]

    def clear(self) -> None:
        """Forget every code and token."""
        with self._lock:
            self._codes.clear()
            self._tokens.clear()

    def _is_live(self, token: Token) -> bool:
        return token.expires_at is None or self._clock() < token.expires_at
