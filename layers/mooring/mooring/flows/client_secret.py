"""The client secret of a token call, which may have been changed since this process fetched it."""

from collections.abc import Callable

from mooring.core.errors import Failure, Outcome, TokenCallFailure
from mooring.core.ports import Secrets
from mooring.core.provider import Provider


def client_secret(provider: Provider, secrets: Secrets) -> str:
    """Our secret at a provider; empty for a public client. Raises `Failure(SECRET_UNAVAILABLE)`."""
    return "" if provider.token.client_authentication == "none" else secrets.client_secret(provider.id)


def ask_with_secret[Said](
    ask: Callable[[str], Said],
    secret: str,
    provider: Provider,
    secrets: Secrets,
    may_repeat: Callable[[], bool],
) -> Said:
    """Make one token call. Only who was refused as a client asks again, with a secret changed meanwhile.

    A refused client was given nothing, so its grant or code is unused (RFC 6749 5.2 `invalid_client`).

    Args:
        ask: makes the call with this secret.
        secret: the one that was fetched before.
        provider: whom the call goes to.
        secrets: where a changed one is.
        may_repeat: tells whether there is time for a second call and what follows it.

    Raises:
        TokenCallFailure: that of the last call.
    """
    try:
        return ask(secret)
    except TokenCallFailure as failure:
        if failure.outcome is not Outcome.MISCONFIGURED:
            raise
        secrets.forget(provider.id)
        try:
            changed = client_secret(provider, secrets)
        except Failure:
            raise failure from None
        if changed == secret or not may_repeat():
            raise
        return ask(changed)
