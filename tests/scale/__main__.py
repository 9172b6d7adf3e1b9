"""Measure how the work grows, and how much of it one worker does.

make scale           measure, print the tables; exits 1 when work grows with what is stored or is slow
make scale DOC=1     the same, and put the tables into docs/scale.md

python -m tests.scale [--stored 1000 10000 40000] [--due 500] [--batches 10 25 50] [--rounds 3] [--doc]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from local import ROOT
from local.processes import ProcessError
from local.template import TemplateError
from mooring.providers.compiler import ConfigurationError
from tests.scale.counts import Counted, counted, same
from tests.scale.ground import ScaleError
from tests.scale.report import BEGIN, END, report
from tests.scale.throughput import BUDGET, ROUNDS, Paces, paces
from tools.dependencies import StagingError
from tools.simulate.document import put_into

STORED = (1_000, 10_000, 40_000)
DUE = 500
BATCHES = (10, 25, 50)
ATTEMPTS = 3
DOCUMENT = ROOT / "docs/scale.md"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 when all holds, 1 when something does not, 2 when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description="Measure how the work grows.")
    parser.add_argument("--stored", type=int, nargs="+", default=STORED, help="connections in each table")
    parser.add_argument("--due", type=int, default=DUE, help="how many of them are due")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES, help="batch sizes to compare")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each batch size has its turn")
    parser.add_argument("--doc", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    given = parser.parse_args(arguments)
    try:
        found = [_counted(stored, given.due) for stored in given.stored]
        _say("worker")
        with tempfile.TemporaryDirectory() as folder:
            paced = paces(Path(folder), given.batches, given.rounds)
    except (ConfigurationError, ProcessError, ScaleError, StagingError, TemplateError) as error:
        print(f"scale: {error}", file=sys.stderr)
        return 2
    text = report(found, paced)
    print(text)
    if given.doc:
        put_into(DOCUMENT, text, BEGIN, END)
    missed = list(_missed(found, paced))
    for line in missed:
        print(f"scale: {line}", file=sys.stderr)
    return 1 if missed else 0


def _missed(found: list[Counted], paced: Paces) -> list[str]:
    missed = []
    if not same(found):
        missed.append("calls or rows grow with the connections that are stored")
    if paced.ratio < BUDGET:
        missed.append(
            f"batches of {paced.template} are {paced.ratio:.1f} times as fast as one at a time, not {BUDGET}"
        )
    return missed


def _counted(stored: int, due: int, attempts: int = ATTEMPTS) -> Counted:
    _say(f"{stored:,} stored, {due} due")
    try:
        with tempfile.TemporaryDirectory() as folder:
            return counted(Path(folder), stored, due)
    except ScaleError as error:
        # On a machine that is busy the simulated AWS may answer too late.
        if attempts == 1:
            raise
        _say(f"again: {str(error).splitlines()[0][:120]}")
    return _counted(stored, due, attempts - 1)


def _say(what: str) -> None:
    print(f"scale: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
