"""The entry point of the `mooring` command.

Exit codes: 0 done, 1 it could not be done (standard error says what to do), 2 the command line is wrong.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mooring_cli.arguments import parser
from mooring_cli.errors import CommandError
from mooring_cli.output import say
from mooring_cli.stack import find_stack


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; default: those of the process.

    Returns:
        The exit code. A command line that cannot be parsed raises SystemExit(2).
    """
    options = parser().parse_args(arguments)
    try:
        _run(options)
        sys.stdout.flush()
    except CommandError as error:
        say(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing must be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(options: argparse.Namespace) -> None:
    """Each command imports its own libraries only: pydantic for settings, botocore for signed requests."""
    if options.command == "check":
        from mooring_cli import check

        check.run(options)
    elif options.command == "providers":
        from mooring_cli import providers

        providers.run(options)
    else:
        _run_on_stack(options)


def _run_on_stack(options: argparse.Namespace) -> None:
    stack = find_stack(options.stack_dir, Path.cwd())
    if options.command == "link":
        from mooring_cli import link

        link.run(options, stack)
        return
    from mooring_cli import reads

    run = reads.run_token if options.command == "token" else reads.run_connections
    run(options, stack)


if __name__ == "__main__":
    sys.exit(main())
