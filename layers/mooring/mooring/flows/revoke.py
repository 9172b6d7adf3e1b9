"""Revoke the tokens of a generation that is gone. The whole revocation stands here.

The connection is looked at first: tokens of a generation that lives are never revoked, and where a provider
ends grants as a whole, nothing is revoked while another connection may live by the same grant. Then the
token is opened, the provider called, and the outcome noted on the row, if it still is of that generation.
Whoever does it twice does no harm.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.ports import Sealer, Secrets
from mooring.core.provider import Provider, Revoke
from mooring.core.revocation import Generations, Presented, Revocation, Revoked, TokenRevoker, Told
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Answer
from mooring.flows.client_secret import ask_with_secret

CALL_SECONDS, NOTE_SECONDS = 10, 8
"""One call of the provider takes no longer, and neither does the note after it."""
_NOTED = {
    "revoked": Revoked.REVOKED,
    "unsupported": Revoked.UNSUPPORTED,
    "skipped": Revoked.SKIPPED,
}


class RevokePorts(NamedTuple):
    """What `revoke` needs."""

    provider: Callable[[str], Provider]
    generations: Generations
    sealer: Sealer
    secrets: Secrets
    server: TokenRevoker
    clock: Callable[[], float]


def revoke(revocation: Revocation, ports: RevokePorts, left: Callable[[], float], *, last: bool) -> Answer:
    """Have a provider revoke sealed tokens.

    Args:
        revocation: whose, and the tokens.
        ports: the outside world.
        left: tells the seconds until Lambda ends us.
        last: nobody tries again after this; a failure is then noted on the row.

    Returns:
        Answer: `revoked`, `unsupported`, or `skipped` with `grant_in_use`.

    Raises:
        Failure: it is to be tried again. A `TokenCallFailure` may know in `retry_after` how soon.
    """
    try:
        answer = _revoke(revocation, ports, left)
    except Exception:  # a defect is a failure as well, and nobody tries again
        if last:
            with suppress(Failure):  # the dead-letter queue rings in any case
                ports.generations.note(revocation.key, revocation.generation, Revoked.FAILED)
        raise
    ports.generations.note(revocation.key, revocation.generation, _NOTED[answer.word])
    return answer


def _revoke(revocation: Revocation, ports: RevokePorts, left: Callable[[], float]) -> Answer:
    provider = ports.provider(revocation.key.provider)
    if provider.revoke is None:
        return Answer("unsupported")
    if _in_use(revocation, provider.revoke, ports):
        return Answer("skipped", Reason.GRANT_IN_USE)
    told = Told.UNSUPPORTED
    for kind, sealed in _tokens(revocation, provider.revoke):
        if told is Told.UNSUPPORTED:
            token = ports.sealer.open(sealed, *revocation.key, kind.removesuffix("_token"))
            presented = Presented(kind, token, revocation.key.account_id, revocation.details)
            told = _tell(presented, provider, provider.revoke, ports, left)
    if told is Told.REFUSED and revocation.refresh is not None:
        # Nobody can say by an ended access token that the refresh token beside it is not wanted any more.
        detail = "the access token ended before its refresh token"
        raise TokenCallFailure(Outcome.TRANSIENT, Reason.REVOCATION_REFUSED, detail)
    return Answer("unsupported" if told is Told.UNSUPPORTED else "revoked")


def _in_use(revocation: Revocation, revoke: Revoke, ports: RevokePorts) -> bool:
    """Whether a connection lives that the provider would end together with these tokens."""
    living, whole = ports.generations.living(revocation.key), revoke.ends == "grant"
    if living is not None:
        return whole or living == revocation.generation
    return whole and ports.generations.has_relatives(revocation.key)


def _tokens(revocation: Revocation, revoke: Revoke) -> tuple[tuple[str, SealedField], ...]:
    """Which tokens to name: the second one if the provider cannot revoke the first kind (RFC 7009 2.2.1)."""
    access = ("access_token", revocation.access)
    if revocation.refresh is None or revoke.token == access[0]:
        return (access,)
    return (("refresh_token", revocation.refresh), access)


def _tell(
    presented: Presented, provider: Provider, revoke: Revoke, ports: RevokePorts, left: Callable[[], float]
) -> Told:
    """Make the one call; once more only if a secret that was changed meanwhile was refused."""

    def ask(secret: str) -> Told:
        return ports.server.revoke(provider, presented, secret, int(ports.clock()))

    def may_ask() -> bool:
        return left() >= CALL_SECONDS + NOTE_SECONDS

    public = revoke.client_authentication == "none"
    secret = "" if public else ports.secrets.client_secret(provider.id)
    if not may_ask():
        raise Failure(Reason.OUT_OF_TIME)
    return ask(secret) if public else ask_with_secret(ask, secret, provider, ports.secrets, may_ask)
