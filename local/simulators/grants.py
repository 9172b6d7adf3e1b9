"""What a simulated provider remembers: the codes it handed out and the tokens that are alive."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from local.simulators.families import Families, RefreshReused, RefreshRules, Renewal

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
    """A live token. `expires_at` is in epoch seconds; None means that it does not expire.

    `refresh_token` came with it; `family` ties it to the others that one consent led to.
    """

    access_token: str
    account: str
    scope: str | None
    expires_at: float | None = None
    refresh_token: str | None = None
    family: str | None = None

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


class Ended(NamedTuple):
    """How much was taken back: access tokens, and families of refresh tokens."""

    access_tokens: int
    families: int


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
        self._families = Families(clock)
        # A dict for its order: every account that was ever connected.
        self._accounts: dict[str, None] = {}

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
                self._keep(lambda other: other.account != token.account)
            self._tokens[token.access_token] = token
            self._accounts.setdefault(token.account)

    def open_family(self, account: str, scope: str | None) -> Renewal:
        """The first refresh token of what a merchant has just granted."""
        with self._lock:
            return self._families.open(account, scope)

    def renew(self, refresh_token: str, rules: RefreshRules) -> Renewal:
        """Take a refresh token in payment for a new access token.

        Args:
            refresh_token: as it came in the token call.
            rules: what the provider does at a refresh now.

        Raises:
            RefreshUnknown: no such refresh token, or what it belonged to has ended.
            RefreshReused: it was replaced, and its grace is over; the whole family may end with it.
        """
        with self._lock:
            try:
                renewal = self._families.renew(refresh_token, rules)
            except RefreshReused as reused:
                if rules.reuse_ends_family:
                    self._end_family(reused.family)
                raise
            if rules.ends_access_token:
                self._keep(lambda other: other.family != renewal.family)
            return renewal

    def end(self, account: str) -> Ended:
        """Take back everything that an account has granted."""
        with self._lock:
            families = self._families.of_account(account)
            before = len(self._tokens)
            self._keep(lambda token: token.account != account)
            for family in families:
                self._families.end(family)
            return Ended(before - len(self._tokens), len(families))

    def end_one(self, text: str) -> Ended:
        """Take back one token, named by its access or refresh token, and its family with it."""
        with self._lock:
            known = self._tokens.pop(text, None)
            family = known.family if known else self._families.of_refresh(text)
            ended = self._end_family(family) if family else 0
            return Ended(ended + (known is not None), 1 if family else 0)

    def account_of(self, text: str) -> str | None:
        """Whose access or refresh token this is, replaced ones included; None for one that nobody has."""
        with self._lock:
            known = self._tokens.get(text)
            return known.account if known else self._families.account_of(text)

    def find(self, access_token: str) -> Token | None:
        """The live token with this text, or None when there is none or it has expired."""
        with self._lock:
            token = self._tokens.get(access_token)
        return token if token is not None and self._is_live(token) else None

    def live(self) -> list[Token]:
        """The tokens that an API call would be accepted with, oldest first."""
        with self._lock:
            tokens = list(self._tokens.values())
        return [token for token in tokens if self._is_live(token)]

    def refreshable(self, rules: RefreshRules) -> list[dict[str, str | int | None]]:
        """The refresh tokens that a token call would be accepted with, oldest family first.

        Each with its `account`, and `until` (epoch seconds) where only a grace keeps it alive.
        """
        with self._lock:
            return self._families.shown(rules)

    def accounts(self) -> list[str]:
        """Every account that ever held a token, oldest first."""
        with self._lock:
            return list(self._accounts)

    def holds(self, account: str) -> bool:
        """Whether an account has anything that could be taken back."""
        with self._lock:
            tokens = [token for token in self._tokens.values() if token.account == account]
            return bool(self._families.of_account(account)) or any(map(self._is_live, tokens))

    def clear(self) -> None:
        """Forget every code, token and account."""
        with self._lock:
            self._codes.clear()
            self._tokens.clear()
            self._families.clear()
            self._accounts.clear()

    def _end_family(self, family: str) -> int:
        before = len(self._tokens)
        self._families.end(family)
        self._keep(lambda token: token.family != family)
        return before - len(self._tokens)

    def _keep(self, wanted: Callable[[Token], bool]) -> None:
        self._tokens = {text: token for text, token in self._tokens.items() if wanted(token)}

    def _is_live(self, token: Token) -> bool:
        return token.expires_at is None or self._clock() < token.expires_at
