"""`python -m local`: run everything until Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Sequence

from local.console import Console
from local.processes import ProcessError, adopt_orphans, end_descendants
from local.settings import read_options
from local.stack_dir import StackError
from local.template import TemplateError


class _Stopped(BaseException):
    """Somebody pressed Ctrl-C or sent SIGTERM."""


def main(arguments: Sequence[str]) -> int:
    """Run the stack; 0 after Ctrl-C or SIGTERM, 1 after one message that says what is wrong."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    # A proxy is for the world outside; everything here is on this machine.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    adopt_orphans()
    try:
        return _run(arguments)
    except _Stopped:
        return 0
    finally:
        # What a killed helper of a helper left behind, such as the workers of a compiler.
        end_descendants()


def _run(arguments: Sequence[str]) -> int:
    # Late, so that Ctrl-C is already understood while all this is imported.
    from local.stack import Stack
    from mooring.providers.problems import ConfigurationError
    from tools.dependencies import StagingError

    console = Console()
    try:
        options = read_options(arguments, os.environ)
        console.say("Starting ...")
        with Stack(options, console):
            # Ends by a signal only.
            threading.Event().wait()
    except (StackError, ProcessError, TemplateError, ConfigurationError, StagingError) as error:
        print(f"local: {error}", file=sys.stderr)
        return 1
    return 0


def _stop(*_: object) -> None:
    # A second Ctrl-C must not interrupt the clean-up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
