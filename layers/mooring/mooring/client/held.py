"""The tokens that a process holds in memory: opened once, each confirmed by a look at its row.

A token is handed out only for a row that says `active` just now. Where the row cannot be read, it is
handed out for at most five minutes after the last look; where KMS cannot be asked, for five minutes
beyond those for which an opened token is kept anyway.
"""

from threading import Lock

from mooring.client.access_token import AccessToken
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Seen

HELD_SECONDS = 300
ASK_SECONDS = 5
"""A token that still lives is not asked for again so soon after the API could not give a fresh one."""


class Held:
    """What is held of one connection. `lock` lets one thread open or ask, while others wait for its result.

    `sealed` is what `token` was opened from, or None when it came from the API; `opened_at` is when,
    `confirmed_at` when its row, or the API, was last seen to have it. `asked_at` and `refusal` tell of the
    last time when no fresh one could be had, `refusals` how often that was. Times are epoch seconds.
    """

    __slots__ = ("asked_at", "confirmed_at", "lock", "opened_at", "refusal", "refusals", "sealed", "token")

    def __init__(self) -> None:
        self.lock = Lock()
        self.token: AccessToken | None = None
        self.sealed: SealedField | None = None
        self.opened_at = self.confirmed_at = self.asked_at = 0.0
        self.refusal = ""
        self.refusals = 0

    def put(self, token: AccessToken, sealed: SealedField | None, now: float) -> AccessToken:
        """Hold a token that was opened, or came from the API, just now."""
        self.token, self.sealed, self.opened_at, self.confirmed_at = token, sealed, now, now
        return token

    def opened(self, sealed: SealedField, now: float, seconds: float = HELD_SECONDS) -> AccessToken | None:
        """The token of this very ciphertext, if it was opened within the last `seconds`."""
        if self.token is None or self.sealed != sealed or not _within(self.opened_at, now, seconds):
            return None
        return self.token

    def from_api(self, seen: Seen, expires_at: int | None, now: float) -> AccessToken | None:
        """The token that the API gave within the last ten minutes, if it is the one of a row."""
        token = self.token
        if token is None or self.sealed is not None or not _within(self.opened_at, now, 2 * HELD_SECONDS):
            return None
        return token if (token.seen, token.expires_at) == (seen, expires_at) else None

    def newer(self, than: Seen, since: float) -> AccessToken | None:
        """A newer token than that of a row that was read at `since`: another thread looked later."""
        if self.token is None or self.token.seen <= than or self.confirmed_at < since:
            return None
        return self.token

    def unconfirmed(self, now: float) -> AccessToken | None:
        """The token, if it lives and its row was seen within the last five minutes."""
        token = self.token
        if token is None or not _within(self.confirmed_at, now, HELD_SECONDS) or not token.lives(now):
            return None
        return token

    def refused(self, why: str, now: float) -> None:
        """Note that no fresh token could be had just now."""
        self.refusal, self.asked_at = why, now
        self.refusals += 1

    def refused_lately(self, now: float) -> str | None:
        """Why no fresh token could be had a moment ago, or None."""
        return self.refusal if self.refusal and _within(self.asked_at, now, ASK_SECONDS) else None


def _within(since: float, now: float, seconds: float) -> bool:
    # A clock that was set back must not lengthen anything's life.
    return 0 <= now - since < seconds
