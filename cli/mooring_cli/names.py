"""Names on the command line: checked before anything is asked, and filled in where there is one choice."""

from collections.abc import Mapping, Sequence
from typing import Any

from mooring.core.names import is_name, is_provider_id
from mooring_cli.advice import Asked, connect_again
from mooring_cli.errors import CommandError, UsageError


def check_names(merchant: str, provider: str | None = None, account: str | None = None) -> None:
    """Raise UsageError for what cannot be the id of a merchant, provider or account."""
    if not is_name(merchant) or (account is not None and not is_name(account)):
        raise UsageError("A merchant or account id has 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    if provider is not None and not is_provider_id(provider):
        raise UsageError("That is no provider id. See which there are: mooring providers")


def check_enabled(provider: str, enabled: Sequence[str]) -> None:
    """Raise UsageError for a provider that is not among the enabled ones; none named means unknown."""
    if enabled and provider not in enabled:
        raise UsageError(
            f"{provider} is not enabled in the running stack. Enabled: {', '.join(enabled)}. "
            "To enable it, add it to mooring.yaml and start the stack again: make run"
        )


def only_account(command: str, found: Sequence[Mapping[str, Any]], asked: Asked) -> str:
    """The one account of a merchant at a provider.

    Args:
        command: the command to name in the advice.
        found: the merchant's connections, as the API lists them.
        asked: whose, and where.

    Raises:
        CommandError: there is none, or there are several.
    """
    merchant, provider, local, options = asked
    accounts = [str(entry["account_id"]) for entry in found if entry["provider"] == provider]
    if len(accounts) == 1:
        return accounts[0]
    if accounts:
        raise CommandError(
            f"{merchant} has several connections to {provider}: {', '.join(accounts)}. "
            f"Name one: mooring {command} {merchant} {provider} {accounts[0]}{options}"
        )
    raise CommandError(
        f"{merchant} has no connection to {provider}. "
        f"The merchant has to connect it{connect_again(merchant, provider, local)}"
    )
