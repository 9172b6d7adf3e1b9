"""The command line: every command and option, apart from the code that runs them.

Nothing heavy is imported here, so that `mooring --help` answers at once.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mooring.core.link import MAX_LIFETIME_SECONDS

DEFAULT_TTL_SECONDS = 600
DEFAULT_WAIT_SECONDS = 30
_CODES = (
    "Exit codes: 0 done; 1 it could not be done, and standard error says what to do; 2 the command line is "
    "wrong; 130 interrupted."
)
_DOCTOR_CODES = (
    "Exit codes: 0 nothing needs attention; 1 something does, or it could not be read; 2 the command line is "
    "wrong; 130 interrupted."
)


class _Command(NamedTuple):
    name: str
    options: Callable[[argparse.ArgumentParser], None]
    text: str
    more: str = ""
    codes: str = _CODES


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; the chosen command's name is in `command`."""
    top = argparse.ArgumentParser(
        prog="mooring",
        description="Work with Mooring from the command line.",
        epilog=f"{_CODES} `doctor` ends with 1 as well when something needs attention.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, options, text, more, codes in _COMMANDS:
        command = commands.add_parser(name, help=text, description=f"{text} {more}", epilog=codes)
        command.add_argument("--json", action="store_true", help="print JSON")
        options(command)
    return top


def _stack(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stack-dir", type=Path, help="the stack's folder (default: .local here or above)")


def _stage(command: argparse.ArgumentParser) -> None:
    _stack(command)
    command.add_argument(
        "--stage", default="local", metavar="S", help="a deployed stage (default: the local stack)"
    )
    command.add_argument(
        "--region", metavar="R", help="the stage's AWS region (default: that of your AWS configuration)"
    )


def _api(command: argparse.ArgumentParser) -> None:
    _stage(command)
    command.add_argument(
        "--url", metavar="URL", help="the deployed API's address (default: what the stage was deployed with)"
    )


def _link(command: argparse.ArgumentParser) -> None:
    _stack(command)
    command.add_argument("--provider", required=True, metavar="P", help="the provider to connect")
    command.add_argument("--merchant", required=True, metavar="M", help="the merchant's id in your product")
    command.add_argument(
        "--return-to", required=True, metavar="URL", help="where the browser goes afterwards"
    )
    command.add_argument(
        "--scopes", help="scopes to ask for, separated by commas (default: all enabled ones)"
    )
    command.add_argument("--account", help="the account that must be connected, for a reconnect")
    command.add_argument(
        "--confirm", action="store_true", help="store the connection only once it is confirmed"
    )
    command.add_argument(
        "--ttl",
        type=int,
        default=DEFAULT_TTL_SECONDS,
        metavar="SECONDS",
        help=f"life of the link, up to {MAX_LIFETIME_SECONDS} (default: %(default)s)",
    )


def _one(command: argparse.ArgumentParser) -> None:
    _api(command)
    command.add_argument("merchant", metavar="M", help="the merchant's id")
    command.add_argument("provider", metavar="P", help="the provider's id")
    command.add_argument(
        "account", nargs="?", metavar="ACCOUNT", help="the account's id, where there are several"
    )


def _disconnect(command: argparse.ArgumentParser) -> None:
    _one(command)
    command.add_argument("--yes", action="store_true", help="do not ask")


def _sweep(command: argparse.ArgumentParser) -> None:
    _stage(command)
    command.add_argument(
        "--adopt",
        action="store_true",
        help="before that, give a time to what `doctor` calls never looked at; scans all connections",
    )


def _redrive(command: argparse.ArgumentParser) -> None:
    _stage(command)
    queues = ("refresh", "recovery", "revoke")
    command.add_argument("--queue", choices=queues, help="only the dead letters of this queue (default: all)")
    command.add_argument(
        "--dry-run", action="store_true", help="move nothing: count by kind and schema, with the oldest age"
    )
    command.add_argument("--yes", action="store_true", help="do not ask")


def _forget(command: argparse.ArgumentParser) -> None:
    _api(command)
    command.add_argument("merchant", metavar="M", help="the merchant's id")
    command.add_argument(
        "--wait",
        type=int,
        default=DEFAULT_WAIT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for providers to revoke tokens, to tell how that went (default: %(default)s)",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")


def _reseal(command: argparse.ArgumentParser) -> None:
    _stage(command)
    command.add_argument("--to", required=True, metavar="KEY_ARN", help="the KMS key to wrap them under")
    command.add_argument(
        "--dry-run", action="store_true", help="change nothing: count data keys by the key they are under"
    )


def _export(command: argparse.ArgumentParser) -> None:
    _stage(command)
    command.add_argument(
        "file", type=Path, metavar="FILE", help="the file to write; it must not be there yet"
    )
    command.add_argument(
        "--to", required=True, type=Path, metavar="PUBLIC_KEY", help="the receiver's public key, PEM or JWK"
    )


def _import(command: argparse.ArgumentParser) -> None:
    _stage(command)
    command.add_argument("file", type=Path, metavar="FILE", help="the export file")
    command.add_argument(
        "--key", required=True, type=Path, metavar="PRIVATE_KEY", help="the key that opens it, PEM or JWK"
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="store nothing: open every line, and say what would be imported",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")


def _connections(command: argparse.ArgumentParser) -> None:
    _api(command)
    command.add_argument(
        "merchant", nargs="?", metavar="M", help="a merchant's id (default: all, by a scan, local stack only)"
    )


def _providers(command: argparse.ArgumentParser) -> None:
    _project(command)
    command.add_argument(
        "provider", nargs="?", metavar="P", help="one provider, with everything known about it"
    )


def _project(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=Path, help="the settings file (default: mooring.yaml here or above)"
    )
    command.add_argument("--catalog", type=Path, help="the folder of descriptors (default: Mooring's own)")
    command.add_argument(
        "--local",
        action="store_true",
        help="judge as `make run` does: loopback allowed, with MOORING_PROVIDERS_DIR and MOORING_CONFIG",
    )


_COMMANDS = (
    _Command("link", _link, "Sign a link and print the address that starts the flow."),
    _Command("token", _one, "Print a connection's access token, and nothing else."),
    _Command("connections", _connections, "List connections."),
    _Command(
        "refresh",
        _one,
        "Refresh one connection's token now, and say what happened.",
        "A pause after a failed refresh does not hold it back. One that succeeds closes the provider's "
        "circuit.",
    ),
    _Command(
        "disconnect",
        _disconnect,
        "Disconnect one connection and erase its tokens.",
        "Asks first. Its tokens are then revoked at the provider, if that has a way. The merchant can "
        "connect again at any time.",
    ),
    _Command(
        "sweep",
        _sweep,
        "Run a sweep now, instead of at the next minute.",
        "Queues what is due for refresh and waits until that is done; the refreshes follow.",
    ),
    _Command(
        "redrive",
        _redrive,
        "Send dead letters through once more, after mending what made them fail.",
        "Asks first. What is not understood stays where it is. No harm is done by running it twice.",
    ),
    _Command(
        "forget",
        _forget,
        "Erase every row of a merchant, and prove it.",
        "Asks first. Disconnects what lives, so that its tokens are revoked. Scans both tables whole, twice.",
    ),
    _Command(
        "reseal",
        _reseal,
        "Wrap all data keys anew under another KMS key.",
        "No token is opened, and everything may run meanwhile. No harm is done by running it twice.",
    ),
    _Command(
        "export",
        _export,
        "Write all connections to a file, tokens sealed to a public key.",
        "Changes nothing. While it runs, a refresh can make an exported refresh token worthless: "
        "docs/leaving.md.",
    ),
    _Command(
        "import",
        _import,
        "Store the connections of an export file here.",
        "Asks first. Nothing newer is overwritten, and what ended there ends here. No harm is done by "
        "running it twice.",
    ),
    _Command(
        "doctor",
        _stage,
        "Examine an installation: what is late, stuck or refused, and what to do.",
        "Changes nothing. Scans the whole table of connections, which costs what reading it costs; once more "
        "where only that tells whether there is a refresh token.",
        _DOCTOR_CODES,
    ),
    _Command("providers", _providers, "Say what each provider can do."),
    _Command("check", _project, "Validate mooring.yaml and all descriptors."),
)
