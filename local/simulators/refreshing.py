"""What simulated providers with refresh tokens share: issuing a token set, and renewing it."""

import secrets
from typing import ClassVar, NamedTuple

from local.simulators.behaviour import REFRESHING
from local.simulators.families import RefreshReused, RefreshUnknown, Renewal
from local.simulators.grants import Token
from local.simulators.site import Site
from local.simulators.strict import Refused


class Issued(NamedTuple):
    """A token set that lives `seconds`; `refresh_token` is None where the answer names none."""

    access_token: str
    account: str
    scope: str | None
    refresh_token: str | None
    seconds: int


class RefreshingSite(Site):
    """A provider whose access tokens expire and are renewed as its behaviour says."""

    settable: ClassVar[frozenset[str]] = REFRESHING

    def issue(self, account: str, scope: str | None) -> Issued:
        """The first token set of what a merchant has just granted."""
        renewal = self.grants.open_family(account, scope)
        return self._issued(renewal, renewal.refresh_token)

    def renew(self, refresh_token: str) -> Issued:
        """The token set that a refresh token is good for.

        Raises:
            Refused: `invalid_grant`; the call log says `reused` for one that was replaced before.
        """
        behaviour = self.behaviour
        try:
            renewal = self.grants.renew(refresh_token, behaviour.rules)
        except RefreshUnknown:
            raise Refused("invalid_grant", "unknown refresh token") from None
        except RefreshReused:
            raise Refused("invalid_grant", "the refresh token was replaced", "reused") from None
        return self._issued(renewal, renewal.refresh_token if behaviour.send_refresh_token else None)

    def end_by(self, token: str) -> None:
        """End what a token stands for, as the behaviour says; one that nobody has is ended already.

        Raises:
            Refused: `unsupported_token_type` (RFC 7009 2.2.1).
        """
        if self.behaviour.revokes == "nothing":
            raise Refused("unsupported_token_type", "this server revokes no such tokens")
        account = self.grants.account_of(token) if self.behaviour.revokes == "grant" else None
        if account is not None:
            self.grants.end(account)
        self.grants.end_one(token)

    def _issued(self, renewal: Renewal, told: str | None) -> Issued:
        seconds = self.behaviour.access_token_seconds
        token = Token(
            secrets.token_urlsafe(40),
            renewal.account,
            renewal.scope,
            self.clock() + seconds,
            renewal.refresh_token,
            renewal.family,
        )
        self.grants.add(token)
        return Issued(token.access_token, token.account, token.scope, told, seconds)
