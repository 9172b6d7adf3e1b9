"""The entry point of the `mooring` command.

Exit codes: 0 done, 1 it could not be done (standard error says what to do) or `doctor` found something,
2 the command line is wrong, 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mooring_cli.arguments import parser
from mooring_cli.errors import CommandError
from mooring_cli.output import say

INTERRUPTED = 130
COMMANDS = {
    "link": ("link", "run"),
    "token": ("reads", "run_token"),
    "connections": ("reads", "run_connections"),
    "refresh": ("changes", "run_refresh"),
    "disconnect": ("changes", "run_disconnect"),
    "sweep": ("sweep", "run"),
    "redrive": ("redrive", "run"),
    "forget": ("forget", "run"),
    "reseal": ("reseal", "run"),
    "export": ("exporting", "run"),
    "import": ("importing", "run"),
    "doctor": ("doctor", "run"),
    "providers": ("providers", "run"),
    "check": ("check", "run"),
}
"""Module and function of each command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; default: those of the process.

    Returns:
        The exit code. A command line that cannot be parsed raises SystemExit(2).
    """
    options = parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except CommandError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing must be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(options: argparse.Namespace) -> int:
    """Each command imports its own libraries only: pydantic for settings, boto3 for AWS."""
    module, function = COMMANDS[options.command]
    return getattr(import_module(f"mooring_cli.{module}"), function)(options) or 0


if __name__ == "__main__":
    sys.exit(main())
