"""A provider's back channel for connections that exist: from a script, or as a provider that rotates."""

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.provider import Probe, Provider
from mooring.core.tokens import TokenSet
from tests.fakes.faults import Fallible
from tests.fakes.scripts import Scripted, play


class RefreshCall(NamedTuple):
    """One recorded call of `refresh`."""

    provider: str
    refresh_token: str
    client_secret: str
    now: int


class ProbeCall(NamedTuple):
    """One recorded call of `probe`."""

    provider: str
    access_token: str
    account_id: str


REFRESHED = TokenSet(
    access_token="refreshed-access-token",
    refresh_token="refreshed-refresh-token",
    scopes=None,
    expires_at=None,
    refresh_expires_at=None,
    account_id=None,
    details={},
)


class FakeTokenKeeper(Fallible):
    """The token keeper port, safe for threads.

    `tokens` scripts what a refresh answers, `said` what a probe does; `refreshes` and `probes` are
    the recorded calls. `acting` puts a provider with a memory behind both.
    """

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.refreshes: list[RefreshCall] = []
        self.probes: list[ProbeCall] = []
        self.tokens: Scripted[RefreshCall, TokenSet] = REFRESHED
        self.said: Scripted[ProbeCall, Probe] = Probe.LIVE

    def acting(self, provider: "RotatingProvider") -> "FakeTokenKeeper":
        """The same keeper, answering as `provider` does."""
        self.tokens, self.said = provider.refresh, provider.probe
        return self

    def refresh(self, provider: Provider, refresh_token: str, client_secret: str, now: int) -> TokenSet:
        """Record the call; answer or raise."""
        call = RefreshCall(provider.id, refresh_token, client_secret, now)
        self.refreshes.append(call)
        self.called("refresh")
        return play(self.tokens, call)

    def probe(self, provider: Provider, access_token: str, account_id: str) -> Probe:
        """Record the call; answer or raise."""
        call = ProbeCall(provider.id, access_token, account_id)
        self.probes.append(call)
        self.called("probe")
        return play(self.said, call)


class RotatingProvider:
    """A provider that remembers which tokens it issued for one grant (RFC 9700 4.14.2).

    Args:
        first: the refresh token of the code exchange.
        rotates: whether each refresh ends the token that it used; if not, answers name no new one.
        grace: how many seconds a used refresh token works on.
        revokes: whether a refresh token that is used after that ends the whole grant.
        lifetime: seconds that an access token lives.

    `calls` counts the token calls, `issued` the refreshes among them that succeeded, and `most_at_once`
    is how many calls ever ran side by side. `losing` answers get lost after they took effect. `during`
    is called in the middle of each call.
    """

    def __init__(
        self,
        first: str = "refresh-0",
        *,
        rotates: bool = True,
        grace: int = 0,
        revokes: bool = False,
        lifetime: int = 3_600,
    ) -> None:
        self.calls = self.issued = self.most_at_once = self.losing = 0
        self.ended = False
        self.during: Callable[[], None] = lambda: None
        self.refresh_token, self.access_token = first, "access-0"
        self._used: dict[str, int] = {}
        self._rotates, self._grace, self._revokes, self._lifetime = rotates, grace, revokes, lifetime
        self._running = 0
        self._lock = Lock()

    def end(self) -> None:
        """The merchant takes the grant back: no token works any more."""
        self.ended = True

    def refresh(self, call: RefreshCall) -> TokenSet:
        """Answer a refresh. Raises `TokenCallFailure`: GRANT_LOST, or IN_DOUBT when the answer gets lost."""
        with self._lock:
            self.calls += 1
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            self.during()
            with self._lock:
                return self._answer(call)
        finally:
            with self._lock:
                self._running -= 1

    def probe(self, call: ProbeCall) -> Probe:
        """LIVE for the access token that was issued last, while the grant lasts."""
        alive = not self.ended and call.access_token == self.access_token
        return Probe.LIVE if alive else Probe.REFUSED

    def _answer(self, call: RefreshCall) -> TokenSet:
        if self.ended or not self._takes(call):
            raise TokenCallFailure(Outcome.GRANT_LOST, Reason.GRANT_REFUSED)
        self.issued += 1
        self.access_token = f"access-{self.issued}"
        if self._rotates:
            self._used.setdefault(self.refresh_token, call.now)
            self.refresh_token = f"refresh-{self.issued}"
        if self.losing:
            self.losing -= 1
            raise TokenCallFailure(Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT)
        return REFRESHED._replace(
            access_token=self.access_token,
            refresh_token=self.refresh_token if self._rotates else None,
            expires_at=call.now + self._lifetime,
        )

    def _takes(self, call: RefreshCall) -> bool:
        """Whether a refresh token still works; one that was used too long ago may end the grant."""
        if call.refresh_token == self.refresh_token:
            return True
        used_at = self._used.get(call.refresh_token)
        if used_at is not None and call.now < used_at + self._grace:
            return True
        self.ended = self.ended or (self._revokes and used_at is not None)
        return False
