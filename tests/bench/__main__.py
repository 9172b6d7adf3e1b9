"""Run the benchmark.

make bench           measure, print the tables; exits 1 and names the budgets that do not hold
make bench DOC=1     the same, and put the tables into docs/performance.md

python -m tests.bench [--rounds 15] [--doc]
"""

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

from local import ROOT
from local.processes import ProcessError
from local.template import TemplateError
from mooring.providers.compiler import ConfigurationError
from tests.bench.contestants import STEPS, Contestant, contestants
from tests.bench.ground import Ground, packages
from tests.bench.reads import read
from tests.bench.report import put_into, report
from tests.bench.results import OURS, Results, budgets
from tests.bench.runs import BenchError, Cost, Track, within
from tests.bench.upkeep import swept, uninstalled
from tools.dependencies import ARM64, StagingError, digest, install
from tools.sizes import Size, measure
from tools.stage import LAYER_LOCK

ROUNDS = 15
DOCUMENT = ROOT / "docs/performance.md"
_PEERS = {"Authlib by hand": ("authlib", ("authlib",)), "Slack Bolt": ("slack", ("slack_bolt", "slack_sdk"))}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 when every budget holds, 1 when one does not, 2 when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Run the benchmark.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each cold start; warm twice")
    parser.add_argument("--doc", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    given = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = run(Path(folder), given.rounds)
    except (BenchError, ConfigurationError, ProcessError, StagingError, TemplateError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    text = report(found)
    print(text)
    if given.doc:
        put_into(DOCUMENT, text)
    missed = [budget for budget in budgets(found) if not budget.holds]
    for budget in missed:
        print(f"bench: over budget: {budget.what}: {budget.measured} ({budget.limit})", file=sys.stderr)
    _say(f"{time.monotonic() - started:.0f} s")
    return 1 if missed else 0


def run(folder: Path, rounds: int) -> Results:
    """Measure everything.

    Args:
        folder: empty.
        rounds: of each cold start; each warm call is measured twice as often.

    Raises:
        BenchError: somebody did not do what was asked.
        ProcessError: something does not start.
        StagingError: a package cannot be had.
    """
    _say("staging")
    with Ground(folder) as ground, Track(ground) as track:
        crew = contestants(ground)
        times = {}
        for step in STEPS:
            _say(f"{step}, warm")
            times[f"{step}, warm"] = track.warm(crew, step, rounds * 2)
        _say("counting")
        costs = {(who.name, step): track.cost(who, step) for who in crew for step in STEPS}
        for step in STEPS[:2]:
            _say(f"{step}, cold")
            times[f"{step}, cold"] = track.cold(crew, step, rounds)
        _say("reads by the client library")
        reads = read(ground)
        _say("uninstall, sweep, sizes")
        ours = next(who for who in crew if who.name == OURS)
        return Results(
            versions=_versions(),
            rounds=(rounds, rounds * 2),
            times=dict(
                sorted(times.items(), key=lambda row: (STEPS.index(row[0].partition(",")[0]), row[0]))
            ),
            costs=costs,
            cold_start=track.cold_cost(ours, "authorize"),
            changed_read=_changed_read(track, ours),
            handler=within(ours.specs["authorize"], ours.event("authorize", None)),
            uninstalled=uninstalled(ground, track),
            swept=swept(ground, track),
            reads=reads,
            sizes=_sizes(ground),
        )


def _changed_read(track: Track, ours: Contestant) -> Cost:
    """The first read after a refresh."""
    track.call(ours, "refresh")
    return track.next_cost(ours, "read")


def _sizes(ground: Ground) -> dict[str, list[Size]]:
    """What each contestant uploads for arm64; the bare Lambda is a file of ten lines."""
    packed = ROOT / f".local/packages/dependencies-{digest(LAYER_LOCK, ARM64)[:16]}"
    install(LAYER_LOCK, packed, platform=ARM64)
    sizes = {
        OURS: [
            measure("packages, one layer", packed),
            measure("code, one layer", ground.build / "layers/mooring"),
            measure("all functions", ground.build / "functions"),
        ]
    }
    for name, (peer, _) in _PEERS.items():
        code = ground.peer_code(peer)
        sizes[name] = [measure("packages", packages(peer, ARM64)), measure("code", code)]
    return sizes


def _versions() -> dict[str, str]:
    """Python's version and those of the peers' libraries."""
    found = {"Python": platform.python_version()}
    for peer, libraries in _PEERS.values():
        for library in libraries:
            (info,) = (packages(peer) / "python").glob(f"{library}-*.dist-info")
            found[library] = info.name.removesuffix(".dist-info").rpartition("-")[2]
    return found


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
