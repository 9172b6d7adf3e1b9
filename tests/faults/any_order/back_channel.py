"""The way to the providers, as one process has it: the call, what goes wrong with it, and its answer."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mooring.core.connection import Account
from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.link import Link
from mooring.core.provider import Probe, Provider
from mooring.core.revocation import Presented, Told
from mooring.core.tokens import TokenSet
from tests.faults.any_order.ledger import Ledger
from tests.faults.any_order.process import Process
from tests.faults.any_order.provider import Pair, answer_of

_UNAVAILABLE, _TIMEOUT = Reason.PROVIDER_UNAVAILABLE, Reason.PROVIDER_TIMEOUT
_failure = partial(partial, TokenCallFailure)

UNHEARD: dict[str, Callable[[], TokenCallFailure]] = {
    "refused connection": _failure(Outcome.TRANSIENT, _UNAVAILABLE, "connect"),
    "too many": _failure(Outcome.TRANSIENT, _UNAVAILABLE, "HTTP 429", retry_after=60),
    "request lost": _failure(Outcome.IN_DOUBT, _TIMEOUT, "timeout"),
    "error before": _failure(Outcome.TRANSIENT, _UNAVAILABLE, "HTTP 503", maybe_issued=True),
    "invalid client": _failure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
}
"""The provider does nothing."""
HEARD: dict[str, Callable[[], TokenCallFailure]] = {
    "answer lost": _failure(Outcome.IN_DOUBT, _TIMEOUT, "timeout"),
    "error after": _failure(Outcome.TRANSIENT, _UNAVAILABLE, "HTTP 502", maybe_issued=True),
}
"""It does what it was asked to, and only its answer goes wrong."""


class BackChannel:
    """The ports `TokenKeeper` and `AuthorizationServer` of one process; `flow` is what it exchanges for."""

    def __init__(
        self,
        process: Process,
        ledger: Ledger,
        clock: Callable[[], float],
        flow: tuple[Link, str] | None = None,
    ) -> None:
        self._process, self._ledger, self._clock = process, ledger, clock
        self._providers = ledger.providers
        self._flow = flow

    def refresh(
        self, provider: Provider, refresh_token: str, client_secret: str, now: int, **_: Any
    ) -> TokenSet:
        """One refresh."""
        process, ledger = self._process, self._ledger
        process.reach("before call")
        ledger.require(client_secret.endswith(provider.id), "another provider's secret was sent")
        grant = ledger.calling(process, refresh_token)
        ledger.require(grant.key.provider == provider.id, f"{grant.key} was refreshed at {provider.id}")
        try:
            self._goes_wrong(UNHEARD)
            alive = not grant.dead
            try:
                pair = self._providers.refresh(refresh_token, self._clock())
            except TokenCallFailure:
                if alive and grant.dead:
                    ledger.reused(process, grant, refresh_token)
                process.reach("answered")
                raise
            silent = process.plan.get("provider") == "error after"
            ledger.issue(process, pair, grant.key, silent=silent)
            process.reach("answered")
            self._goes_wrong(HEARD)
            return answer_of(pair, grant.key, grant.manner, now)
        finally:  # whatever became of the process, its socket is closed
            ledger.answered(process, refresh_token)

    def exchange(
        self, provider: Provider, code: str, redirect_uri: str, verifier: str, client_secret: str, now: int
    ) -> TokenSet:
        """One code exchange."""
        del provider, redirect_uri, verifier, client_secret
        process = self._process
        process.reach("before call")
        self._goes_wrong(UNHEARD)
        pair = self._providers.exchange(code, self._clock())
        if process.plan.get("provider") != "error after":  # then the merchant is told to try again
            self._issue(pair)
        process.reach("answered")
        self._goes_wrong(HEARD)
        grant = self._providers.grants[pair.grant]
        return answer_of(pair, grant.key, grant.manner, now)

    def _issue(self, pair: Pair) -> None:
        grant = self._providers.grants[pair.grant]
        self._ledger.issue(self._process, pair, grant.key).flow = self._flow

    def probe(self, provider: Provider, access_token: str, account_id: str) -> Probe:
        """One probe."""
        del provider, account_id
        process = self._process
        process.reach("before call")
        if process.plan.get("provider"):
            return Probe.UNKNOWN
        said = self._providers.probe(access_token, self._clock())
        process.reach("answered")
        return said

    def identify(self, provider: Provider, access_token: str, named: str | None) -> Account:
        """Never asked: the token answers name their account."""
        del provider, access_token, named
        raise AssertionError("nobody asks for an identity here")

    def _goes_wrong(self, how: dict[str, Callable[[], TokenCallFailure]]) -> None:
        failure = how.get(self._process.plan.get("provider", ""))
        if failure is not None:
            raise failure()


class Revoker:
    """The port `TokenRevoker`, at which the ledger judges what is revoked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def revoke(self, _provider: Provider, presented: Presented, _secret: str, _now: int) -> Told:
        """Revoke one token."""
        self._ledger.revoking(presented.token)
        return Told.DONE
