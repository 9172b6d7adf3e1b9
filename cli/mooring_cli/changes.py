"""`mooring refresh` and `mooring disconnect`: what an operator does to one connection."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring_cli.advice import Asked
from mooring_cli.errors import CommandError, UsageError
from mooring_cli.names import check_enabled, check_names, only_account
from mooring_cli.output import agreed, moment, say, show_json
from mooring_cli.service import Service, find_api

_OUTCOMES = {
    "refreshed": "Refreshed",
    "fresh": "Nothing to do, because it was refreshed a moment ago",
    "skipped": "Nothing to refresh, because there is no refresh token",
}


def run_refresh(options: argparse.Namespace) -> None:
    """Refresh one connection now, and say what happened. Raises CommandError when that failed."""
    service, account = _find("refresh", options)
    answer = service.refresh(options.merchant, options.provider, account)
    if options.json:
        show_json(answer)
    else:
        print(_refreshed(f"{options.provider} {account} of {options.merchant}", answer))


def run_disconnect(options: argparse.Namespace) -> None:
    """Disconnect one connection, asking first.

    Raises:
        UsageError: there is no terminal to ask at, and no `--yes`.
        CommandError: it was not disconnected.
    """
    if not (options.yes or sys.stdin.isatty()):
        raise UsageError("Nobody can be asked here. To disconnect without a question, add --yes")
    service, account = _find("disconnect", options)
    what = f"{options.provider} {account} of {options.merchant}"
    if not (options.yes or _agreed(what)):
        raise CommandError("Nothing was changed.")
    answer = service.disconnect(options.merchant, options.provider, account)
    if options.json:
        show_json(answer)
        return
    print(f"Disconnected: {what}. Its tokens are erased; services get none from now on.")
    say("The merchant can connect it again at any time, with a new link.")


def _find(command: str, options: argparse.Namespace) -> tuple[Service, str]:
    """The API, and the account that is meant."""
    merchant, provider = options.merchant, options.provider
    check_names(merchant, provider, options.account)
    api, stage = find_api(options, Path.cwd())
    if command == "refresh":  # what is left of a provider that is not enabled any more can still be ended
        check_enabled(provider, stage.stack.providers if stage.stack else ())
    service = Service(api)
    if options.account is not None:
        return service, options.account
    asked = Asked(merchant, provider, api.local, api.options)
    return service, only_account(command, service.connections(merchant), asked)


def _agreed(what: str) -> bool:
    return agreed(f"Disconnect {what}? Its tokens are erased and cannot be brought back.")


def _refreshed(what: str, answer: Mapping[str, Any]) -> str:
    expires_at = answer.get("expires_at")
    life = f"good until {moment(expires_at)}" if isinstance(expires_at, int) else "with no known end"
    token = f"version {answer.get('version')}, {life}"
    word = str(answer.get("outcome"))
    return f"{_OUTCOMES.get(word, word)}: {what} ({token})."
