"""A provider's back channel that answers as a test says."""

from typing import NamedTuple

from mooring.core.connection import Account
from mooring.core.names import DEFAULT_ACCOUNT
from mooring.core.provider import Provider
from mooring.core.tokens import TokenSet
from tests.fakes.scripts import Scripted, play


class Exchange(NamedTuple):
    """One recorded call of `exchange`."""

    provider: str
    code: str
    redirect_uri: str
    verifier: str
    client_secret: str
    now: int


class Identify(NamedTuple):
    """One recorded call of `identify`."""

    provider: str
    access_token: str
    named: str | None


TOKENS = TokenSet(
    access_token="access-token-of-the-fake",
    refresh_token=None,
    scopes=None,
    expires_at=None,
    refresh_expires_at=None,
    account_id=None,
    details={},
)


class FakeAuthorizationServer:
    """The authorization server port.

    `tokens` and `account` are what it answers, or the failure that it raises. A function is called
    with the recorded call (to look at the world in the middle of a flow). A list is used up from
    its front, one answer a call. Without an account it believes the named, unverified.
    """

    def __init__(self, journal: list[str] | None = None) -> None:
        self.journal: list[str] = [] if journal is None else journal
        self.exchanges: list[Exchange] = []
        self.identifications: list[Identify] = []
        self.tokens: Scripted[Exchange, TokenSet] = TOKENS
        self.account: Scripted[Identify, Account] | None = None

    def exchange(
        self, provider: Provider, code: str, redirect_uri: str, verifier: str, client_secret: str, now: int
    ) -> TokenSet:
        """Record the call; answer or raise."""
        self.journal.append("exchange")
        call = Exchange(provider.id, code, redirect_uri, verifier, client_secret, now)
        self.exchanges.append(call)
        return play(self.tokens, call)

    def identify(self, provider: Provider, access_token: str, named: str | None) -> Account:
        """Record the call; answer or raise."""
        self.journal.append("identify")
        call = Identify(provider.id, access_token, named)
        self.identifications.append(call)
        if self.account is None:
            return Account(named or DEFAULT_ACCOUNT, verified=False)
        return play(self.account, call)
