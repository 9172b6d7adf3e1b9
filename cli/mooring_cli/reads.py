"""`mooring connections` and `mooring token`: what a service reads."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from mooring.core.names import is_name, is_provider_id
from mooring_cli.errors import CommandError, UsageError
from mooring_cli.output import moment, say, show_json, show_table
from mooring_cli.service import Service
from mooring_cli.stack import Stack
from mooring_cli.table import all_connections

_COLUMNS = ("provider", "account", "status", "generation", "version", "scopes", "expires", "connected")


def run_connections(options: argparse.Namespace, stack: Stack) -> None:
    """Print a merchant's connections, or everybody's on the local stack. Raises CommandError."""
    if options.merchant is None:
        say("All merchants, read from the local table (a deployed Mooring lists one merchant at a time).")
        found = all_connections(stack)
    else:
        _check(merchant=options.merchant)
        found = [
            {"merchant_id": options.merchant, **entry}
            for entry in Service(stack).connections(options.merchant)
        ]
    if options.json:
        show_json({"connections": found})
        return
    if not found:
        say("No connection yet. Start one with: mooring link --provider P --merchant M --return-to URL")
    rows = [(str(entry["merchant_id"]), *_row(entry)) for entry in found]
    show_table(("merchant", *_COLUMNS), rows)


def run_token(options: argparse.Namespace, stack: Stack) -> None:
    """Print an access token, and nothing else. Raises CommandError."""
    merchant, provider = options.merchant, options.provider
    _check(merchant=merchant, provider=provider, account=options.account)
    service = Service(stack)
    account = options.account or _only_account(service.connections(merchant), merchant, provider)
    answer = service.token(merchant, provider, account)
    if options.json:
        show_json(answer)
    else:
        print(answer["access_token"])


def _check(merchant: str, provider: str | None = None, account: str | None = None) -> None:
    if not is_name(merchant) or (account is not None and not is_name(account)):
        raise UsageError("A merchant or account id has 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    if provider is not None and not is_provider_id(provider):
        raise UsageError("That is no provider id. See which there are: mooring providers")


def _only_account(found: Sequence[Mapping[str, Any]], merchant: str, provider: str) -> str:
    accounts = [str(entry["account_id"]) for entry in found if entry["provider"] == provider]
    if len(accounts) == 1:
        return accounts[0]
    if accounts:
        raise CommandError(
            f"{merchant} has several connections to {provider}: {', '.join(accounts)}. "
            f"Name one: mooring token {merchant} {provider} {accounts[0]}"
        )
    raise CommandError(
        f"{merchant} has no connection to {provider}. "
        f"Connect it: mooring link --provider {provider} --merchant {merchant} --return-to URL"
    )


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(entry["provider"]),
        str(entry["account_id"]),
        str(entry["status"]),
        str(entry["generation"]),
        str(entry["version"]),
        " ".join(entry.get("scopes") or ()),
        moment(entry.get("expires_at")),
        moment(entry["connected_at"]) if entry.get("connected_at") is not None else "",
    )
