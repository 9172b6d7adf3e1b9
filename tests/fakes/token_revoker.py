"""A provider's revocation endpoint: from a script, or as a provider that remembers what lives."""

from typing import NamedTuple

from mooring.core.provider import Provider
from mooring.core.revocation import Presented, Told
from tests.fakes.faults import Fallible
from tests.fakes.scripts import Scripted, play


class RevokeCall(NamedTuple):
    """One recorded call."""

    provider: str
    kind: str
    token: str
    account_id: str
    client_secret: str
    now: int


class FakeTokenRevoker(Fallible):
    """The token revoker port. `told` scripts its answers; `calls` are the recorded calls."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.calls: list[RevokeCall] = []
        self.told: Scripted[RevokeCall, Told] = Told.DONE

    def revoke(self, provider: Provider, presented: Presented, client_secret: str, now: int) -> Told:
        """Revoke one token."""
        named = (presented.kind, presented.token, presented.account_id)
        call = RevokeCall(provider.id, *named, client_secret, now)
        self.calls.append(call)
        self.called("revoke")
        return play(self.told, call)


class GrantingProvider:
    """A provider that knows which tokens live, and to which grant each belongs.

    Args:
        ends: `token` revokes what one consent led to, `grant` all that an account ever granted.
    """

    def __init__(self, ends: str) -> None:
        self._ends = ends
        self._consents: list[tuple[str, set[str]]] = []

    def consent(self, account_id: str, *tokens: str) -> None:
        """A consent, and the tokens that it led to."""
        self._consents.append((account_id, set(tokens)))

    @property
    def alive(self) -> set[str]:
        """Every token that lives."""
        return {token for _, tokens in self._consents for token in tokens}

    def revoke(self, call: RevokeCall) -> Told:
        """Revoke a token and what ends with it; one that is none any more is revoked already."""
        accounts = [account for account, tokens in self._consents if call.token in tokens]
        self._consents = [
            (account, tokens)
            for account, tokens in self._consents
            if call.token not in tokens and not (self._ends == "grant" and account in accounts)
        ]
        return Told.DONE
