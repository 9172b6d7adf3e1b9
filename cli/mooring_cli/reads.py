"""`mooring connections` and `mooring token`: what a service reads."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring_cli.advice import Asked, connect_again
from mooring_cli.errors import UsageError
from mooring_cli.names import check_enabled, check_names, only_account
from mooring_cli.output import moment, say, show_json, show_table
from mooring_cli.service import Service, find_api
from mooring_cli.table import all_connections

_COLUMNS = ("provider", "account", "status", "generation", "version", "scopes", "expires", "connected")


def run_connections(options: argparse.Namespace) -> None:
    """Print a merchant's connections, or everybody's on the local stack. Raises CommandError."""
    if options.merchant is not None:
        check_names(options.merchant)
    api, stage = find_api(options, Path.cwd())
    if options.merchant is not None:
        entries = Service(api).connections(options.merchant)
        found = [{"merchant_id": options.merchant, **entry} for entry in entries]
    elif stage.stack is None:
        raise UsageError("Name a merchant: a deployed Mooring lists one merchant at a time")
    else:
        say("All merchants, read from the local table (a deployed Mooring lists one merchant at a time).")
        found = all_connections(stage)
    if options.json:
        show_json({"connections": found})
        return
    if not found:
        start = connect_again(options.merchant or "M", "", api.local)
        say(f"No connection yet. Start one{start}")
    rows = [(str(entry["merchant_id"]), *_row(entry)) for entry in found]
    show_table(("merchant", *_COLUMNS), rows)


def run_token(options: argparse.Namespace) -> None:
    """Print an access token, and nothing else. Raises CommandError."""
    merchant, provider = options.merchant, options.provider
    check_names(merchant, provider, options.account)
    api, stage = find_api(options, Path.cwd())
    check_enabled(provider, stage.stack.providers if stage.stack else ())
    service = Service(api)
    account = options.account
    if account is None:
        asked = Asked(merchant, provider, api.local, api.options)
        account = only_account("token", service.connections(merchant), asked)
    answer = service.token(merchant, provider, account)
    if options.json:
        show_json(answer)
    else:
        print(answer["access_token"])


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    revocation = entry.get("revocation")
    return (
        str(entry["provider"]),
        str(entry["account_id"]),
        f"{entry['status']} ({revocation})" if revocation else str(entry["status"]),
        str(entry["generation"]),
        str(entry["version"]),
        " ".join(entry.get("scopes") or ()),
        moment(entry.get("expires_at")),
        moment(entry["connected_at"]) if entry.get("connected_at") is not None else "",
    )
