"""Run a soak: many connections, refreshed in the real Lambda runtime while everything around them fails.

make soak           1,500 connections, ten minutes of faults; DOC=1 puts the report into docs/reliability.md
make soak-short     300 connections, two minutes

python -m tests.soak [--connections 1500] [--minutes 10] [--seed N] [--sweep-every 60] [--json FILE] [--doc]

Exits with 1 and a list when a promise was broken.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.soak.plan import Plan
from tests.soak.report import as_json, broken, command, put_into, text
from tests.soak.run import Soak
from tests.support import ROOT

DOCUMENT = ROOT / "docs/reliability.md"
_LINE_SECONDS = 10.0


class Progress:
    """One line that changes, on a terminal; elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._status = console.status("soak") if console.is_terminal else None
        self._next_at, self._stage = 0.0, ""
        if self._status:
            self._status.start()

    def tell(self, line: str) -> None:
        """Show how far it is."""
        now, stage = time.monotonic(), line.partition(" ")[0]
        if self._status:
            self._status.update(f"soak: {line}")
        elif now >= self._next_at or stage != self._stage:
            print(f"soak: {line}", file=sys.stderr, flush=True)
            self._next_at = now + _LINE_SECONDS
        self._stage = stage

    def close(self) -> None:
        """Leave the line."""
        if self._status:
            self._status.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one; 0 when every promise held, 1 when one did not."""
    plan, given = _plan(arguments)
    print(f"soak: {command(plan)}", file=sys.stderr, flush=True)
    progress = Progress()
    try:
        with tempfile.TemporaryDirectory(prefix="mooring-soak-") as folder:
            report = Soak(plan, Path(folder), progress.tell).run()
    finally:
        progress.close()
    print(text(report))
    if given.json:
        given.json.write_text(json.dumps(as_json(report), indent=2) + "\n", encoding="utf-8")
    if given.doc:
        put_into(DOCUMENT, text(report))
    wrong = broken(report)
    for line in wrong:
        print(f"soak: broken: {line}", file=sys.stderr)
    print(
        f"soak: {f'{len(wrong)} broken' if wrong else 'every promise held'}; seed {plan.seed}",
        file=sys.stderr,
    )
    return 1 if wrong else 0


def _plan(arguments: Sequence[str] | None) -> tuple[Plan, argparse.Namespace]:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Run a soak.")
    parser.add_argument("--connections", type=int, default=usual.connections)
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="for how long faults fall")
    parser.add_argument("--seed", type=int, help="of the faults; any by default, and printed")
    parser.add_argument(
        "--sweep-every",
        type=int,
        default=usual.sweep_seconds,
        help="seconds; 60 is the template's own schedule, anything else is fired by hand",
    )
    parser.add_argument("--json", type=Path, help="write the report there as well")
    parser.add_argument("--doc", action="store_true", help=f"put the report into {DOCUMENT.name}")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    return Plan(given.connections, given.minutes, seed, given.sweep_every), given


if __name__ == "__main__":
    sys.exit(main())
