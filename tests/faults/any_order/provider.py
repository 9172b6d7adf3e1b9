"""What providers know, modelled apart from Mooring: which tokens they take now, and which grants are dead.

Nothing of Mooring's own decides here. A token names its grant, so that any mix-up shows.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.provider import Probe
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import Key

LIFETIME = 3_600


class Manner(NamedTuple):
    """How a provider treats refresh tokens.

    `rotation`: always, sometimes (every second time), never, or none: no refresh token at all. `grace`: for
    so many seconds a used token works on. `revokes`: a used token that comes after that ends the whole grant
    (RFC 9700 4.14.2). `replaces`: a new consent of the same account ends the grant before.
    """

    rotation: str = "always"
    grace: int = 0
    revokes: bool = False
    replaces: bool = False


class Pair(NamedTuple):
    """One token set that a provider issued, of its grant's `number`th answer."""

    grant: str
    number: int
    access: str
    refresh: str | None
    at: float


@dataclass
class Grant:
    """What one account granted one merchant by one consent. `used`: when a token was followed by another."""

    name: str
    key: Key
    manner: Manner
    dead: str = ""
    current: str | None = None
    used: dict[str, float] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)

    def takes(self, token: str | None, now: float) -> bool:
        """Whether a refresh with `token` would succeed now."""
        if self.dead or token is None:
            return False
        return token == self.current or now < self.used.get(token, -self.manner.grace) + self.manner.grace

    def keeps(self, token: str | None) -> bool:
        """Whether `token` works on as long as nobody refreshes: nothing has followed it."""
        return not self.dead and token is not None and token == self.current

    def welcomes(self, access: str, now: float) -> bool:
        """Whether an API call with `access` would succeed now."""
        refreshed = self.manner.rotation != "none"
        return not self.dead and any(
            pair.access == access and (not refreshed or now < pair.at + LIFETIME) for pair in self.pairs
        )

    def issue(self, now: float) -> Pair:
        """The next token set; a token that it follows works on for the grace alone."""
        number, rotation = len(self.pairs), self.manner.rotation
        rotates = rotation == "always" or (rotation == "sometimes" and number % 2 == 0)
        refresh = None
        if rotation != "none" and (rotates or number == 0):
            refresh = f"canary-refresh-{self.name}-{number}"
            if self.current is not None:
                self.used[self.current] = now
            self.current = refresh
        pair = Pair(self.name, number, f"canary-access-{self.name}-{number}", refresh, now)
        self.pairs.append(pair)
        return pair


class Providers:
    """All providers at once. `exchanges` counts the token calls of each code."""

    def __init__(self) -> None:
        self.grants: dict[str, Grant] = {}
        self.exchanges: dict[str, int] = {}
        self.removals: dict[tuple[str, str], float] = {}
        self._consents: dict[str, tuple[Key, Manner]] = {}

    def consent(self, key: Key, manner: Manner) -> str:
        """A merchant agrees; the code that comes back."""
        code = f"code-{len(self._consents) + 1}"
        self._consents[code] = key, manner
        self.exchanges[code] = 0
        return code

    def remove(self, provider: str, account_id: str, now: float) -> None:
        """The account throws the app out: every grant of it is dead."""
        self.removals[provider, account_id] = now
        for grant in self.grants.values():
            if (grant.key.provider, grant.key.account_id) == (provider, account_id) and not grant.dead:
                grant.dead = "removed"

    def take_back(self, key: Key) -> None:
        """A merchant takes every grant of a connection back."""
        for grant in self.grants.values():
            if grant.key == key:
                grant.dead = grant.dead or "taken back"

    def exchange(self, code: str, now: float) -> Pair:
        """A code becomes a grant, once (RFC 6749 4.1.2)."""
        self.exchanges[code] += 1
        if self.exchanges[code] > 1:
            raise refused()
        key, manner = self._consents[code]
        if manner.replaces:
            for other in self.grants.values():
                if other.key == key and not other.dead:
                    other.dead = "replaced"
        grant = Grant(f"g{len(self.grants) + 1}", key, manner)
        self.grants[grant.name] = grant
        return grant.issue(now)

    def refresh(self, token: str, now: float) -> Pair:
        """The next token set, or `invalid_grant`."""
        grant = self.of(token)
        if grant.takes(token, now):
            return grant.issue(now)
        if token in grant.used and grant.manner.revokes and not grant.dead:
            grant.dead = "reused"
        raise refused()

    def probe(self, access: str, now: float) -> Probe:
        """Whether an access token works."""
        return Probe.LIVE if self.of(access).welcomes(access, now) else Probe.REFUSED

    def of(self, token: str) -> Grant:
        """The grant that a token belongs to."""
        return self.grants[token.split("-")[2]]


def refused() -> TokenCallFailure:
    """What Mooring makes of `invalid_grant`."""
    return TokenCallFailure(Outcome.GRANT_LOST, Reason.GRANT_REFUSED)


def answer_of(pair: Pair, key: Key, manner: Manner, now: int) -> TokenSet:
    """A token set as the protocol reads it; `now` is the reader's clock."""
    expires_at = None if manner.rotation == "none" else now + LIFETIME
    return TokenSet(pair.access, pair.refresh, None, expires_at, None, key.account_id, {})
