"""Refresh tokens: which one of a family is current, which one a grace keeps alive, and what reuse does.

A family is what one consent leads to: its refresh tokens replace each other where the provider rotates
(RFC 6749 6, RFC 9700 4.14.2). Not safe for several threads: `GrantStore` holds its lock around each call.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class RefreshRules(NamedTuple):
    """What a provider does at a refresh.

    Args:
        rotates: whether an accepted refresh token is replaced by a new one.
        grace_seconds: for how many seconds after that the replaced one is still accepted.
        reuse_ends_family: whether a replaced one that comes after its grace ends all of its family.
        ends_access_token: whether the family's earlier access tokens die.
    """

    rotates: bool = False
    grace_seconds: float = 0
    reuse_ends_family: bool = False
    ends_access_token: bool = False


class RefreshUnknown(Exception):  # noqa: N818 - the refusal is the expected answer
    """No live family has ever had this refresh token."""


class RefreshReused(Exception):  # noqa: N818 - the refusal is the expected answer
    """A replaced refresh token came again, too late; `family` is where it belongs."""

    def __init__(self, family: str) -> None:
        super().__init__("the refresh token was replaced")
        self.family = family


class Renewal(NamedTuple):
    """What an accepted refresh leads to; `refresh_token` is the current one of its family now."""

    family: str
    account: str
    scope: str | None
    refresh_token: str


@dataclass
class _Family:
    id: str
    account: str
    scope: str | None
    current: str
    previous: str = ""
    rotated_at: float = 0
    replaced: set[str] = field(default_factory=set)

    def accepts_previous(self, now: float, rules: RefreshRules) -> bool:
        return bool(self.previous) and now < self.rotated_at + rules.grace_seconds

    def renewal(self) -> Renewal:
        return Renewal(self.id, self.account, self.scope, self.current)


class Families:
    """Every live family of refresh tokens.

    Args:
        clock: returns epoch seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._families: dict[str, _Family] = {}

    def open(self, account: str, scope: str | None) -> Renewal:
        """A new family with its first refresh token."""
        family = _Family(secrets.token_hex(8), account, scope, _text())
        self._families[family.id] = family
        return family.renewal()

    def renew(self, refresh_token: str, rules: RefreshRules) -> Renewal:
        """Accept a refresh token; within its grace a replaced one yields what the current one is.

        Raises:
            RefreshUnknown: no family has ever had it.
            RefreshReused: it was replaced, and no grace keeps it alive.
        """
        family = self._find(refresh_token)
        now = self._clock()
        if refresh_token == family.current:
            if rules.rotates:
                family.replaced.add(family.current)
                family.previous, family.current, family.rotated_at = family.current, _text(), now
        elif refresh_token != family.previous or not family.accepts_previous(now, rules):
            raise RefreshReused(family.id)
        return family.renewal()

    def of_account(self, account: str) -> list[str]:
        """The families of an account."""
        return [family.id for family in self._families.values() if family.account == account]

    def of_refresh(self, refresh_token: str) -> str | None:
        """The family of a refresh token, replaced ones included."""
        try:
            return self._find(refresh_token).id
        except RefreshUnknown:
            return None

    def account_of(self, refresh_token: str) -> str | None:
        """The account of a refresh token, replaced ones included."""
        try:
            return self._find(refresh_token).account
        except RefreshUnknown:
            return None

    def shown(self, rules: RefreshRules) -> list[dict[str, str | int | None]]:
        """The refresh tokens that are accepted now, with account and the end of a grace."""
        now = self._clock()
        found: list[dict[str, str | int | None]] = []
        for family in self._families.values():
            if family.accepts_previous(now, rules):
                until = int(family.rotated_at + rules.grace_seconds)
                found.append({"refresh_token": family.previous, "account": family.account, "until": until})
            found.append({"refresh_token": family.current, "account": family.account, "until": None})
        return found

    def end(self, family: str) -> None:
        """Forget a family; none of its refresh tokens is known from now on."""
        self._families.pop(family, None)

    def clear(self) -> None:
        """Forget all of them."""
        self._families.clear()

    def _find(self, refresh_token: str) -> _Family:
        for family in self._families.values():
            if refresh_token == family.current or refresh_token in family.replaced:
                return family
        raise RefreshUnknown("no such refresh token")


def _text() -> str:
    return secrets.token_urlsafe(40)
