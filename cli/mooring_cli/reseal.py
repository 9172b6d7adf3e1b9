"""`mooring reseal`: wrap every data key anew under another KMS key, while everything runs."""

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mooring.core.upkeep import LEASE_SECONDS
from mooring_cli.errors import CommandError, UsageError
from mooring_cli.output import number, progress, say, show_json, show_table
from mooring_cli.project import enabled_providers
from mooring_cli.queues import waiting_in
from mooring_cli.rewrap import ATTRIBUTES, Hopeless, Pass, Rewrapper, Row
from mooring_cli.roles import taking_on
from mooring_cli.rows import about, pages
from mooring_cli.stage import Stage, asking, find_stage

_KEY = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")
_WHERE = "docs/keys.md#moving-to-a-new-token-key"
_QUEUES = ("recovery", "recovery-dead", "revoke", "revoke-dead")
"""Their messages carry wrapped data keys."""
_MOST_PASSES = 5
_THREADS = 8
_ATTEMPTS = 8
_LOOK_SECONDS = 1
_SHOWN = 5


def run(options: argparse.Namespace) -> int:
    """Rewrap all data keys, pass by pass, until a pass finds none under another key.

    Returns:
        1 when something is left under another key.

    Raises:
        UsageError: `--to` is no key's ARN.
        CommandError: AWS does not let us.
    """
    if not _KEY.fullmatch(options.to):
        raise UsageError("--to must be the ARN of a KMS key: arn:aws:kms:REGION:ACCOUNT:key/ID")
    own = find_stage(options, Path.cwd())
    work = _Work(taking_on(own, "reseal"), options.to, write=not options.dry_run)
    passes = [work.once()]
    while passes[-1].rewrapped and not options.dry_run and len(passes) < _MOST_PASSES:
        passes.append(work.once())
    if options.json:
        show_json(_as_json(own, options, passes))
    else:
        _show(options, passes)
    last = passes[-1]
    _remark(own, last, dry_run=options.dry_run)
    return 1 if last.refused or last.leased or (last.rewrapped and not options.dry_run) else 0


class _Work:
    """Passes over both tables of one installation."""

    def __init__(self, stage: Stage, to: str, *, write: bool) -> None:
        self._stage = stage
        self._dynamodb = stage.client("dynamodb")
        kms = stage.client("kms", attempts=_ATTEMPTS)
        tables = stage.connections_table, stage.flows_table
        # The simulated AWS answers one request at a time.
        threads = 1 if stage.stack else _THREADS
        self._rewrapper = Rewrapper(kms, self._dynamodb, *tables, to, write=write, threads=threads)

    def once(self) -> Pass:
        """One pass over everything. Raises CommandError."""
        done, providers = Pass(), self._enabled()
        try:
            with asking(self._stage):
                for page in self._pages(self._stage.connections_table, "Rewrapping connections", ATTRIBUTES):
                    providers |= {_provider(row) for row in page} - {""}
                    self._rewrapper.connections(page, done)
                self._wait_for_leased(done)
                for page in self._pages(self._stage.flows_table, "Looking through flows", ()):
                    self._rewrapper.flows(page, sorted(providers), done)
        except Hopeless as hopeless:
            raise CommandError(
                f"KMS refused every data key so far ({hopeless}). Was the stage deployed with this key as "
                f"CurrentTokenKeyArn, and are both keys enabled? {_WHERE}"
            ) from None
        except CommandError as error:
            raise CommandError(
                f"{str(error).rstrip('.')}. What was rewrapped by now stays so: run it again"
            ) from None
        return done

    def _pages(self, table: str, what: str, attributes: Sequence[str]) -> Iterator[Sequence[Row]]:
        with progress(what, lambda: about(self._dynamodb, table)) as step:
            yield from pages(self._dynamodb, table, attributes, step)

    def _wait_for_leased(self, done: Pass) -> None:
        """Whoever refreshes a connection now is done when its lease ends."""
        deadline = time.monotonic() + 2 * LEASE_SECONDS
        while done.leased and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            leased, done.leased = done.leased, []
            self._rewrapper.again(leased, done)

    def _enabled(self) -> set[str]:
        if self._stage.stack:
            return set(self._stage.stack.providers)
        project = enabled_providers(Path.cwd())
        return set(project.ids) if project else set()


def _provider(row: Row) -> str:
    connection = str(row["connection"]["S"])
    # Rows of our own have keys that begin with "@"; of pointers nothing is rewrapped.
    return "" if connection.startswith("@") else connection.partition("#")[0]


def _show(options: argparse.Namespace, passes: Sequence[Pass]) -> None:
    first, last = passes[0], passes[-1]
    if options.dry_run:
        show_table(("data keys", "under"), [(f"{count:,}", key) for key, count in sorted(first.keys.items())])
        print("Nothing was changed.")
        return
    print(f"{number(sum(done.rewrapped for done in passes), 'row')} rewrapped under {options.to}.")
    left = Counter({key: count for key, count in last.keys.items() if key != options.to})
    if last.rewrapped:
        print(f"The last look still found {number(left.total(), 'data key')} under another key.")
    elif not (last.refused or last.leased):
        print(f"A last look found nothing else: {number(last.keys.total(), 'data key')} under that key.")


def _remark(stage: Stage, last: Pass, *, dry_run: bool) -> None:
    for name, code in sorted(last.refused.items())[:_SHOWN]:
        say(f"Not rewrapped: {name} ({code})")
    if len(last.refused) > _SHOWN:
        say(f"and {number(len(last.refused) - _SHOWN, 'row')} more. All of them: add --json")
    if last.leased:
        say(
            f"{number(len(last.leased), 'row')} not rewrapped, because refreshes are under way. Run it again."
        )
    if last.rewrapped and not dry_run:
        say(
            "Something still seals under another key. Deploy with CurrentTokenKeyArn, and run it again: "
            f"{_WHERE}"
        )
    if waiting := waiting_in(stage, _QUEUES):
        say(
            f"{number(waiting, 'message')} of the recovery and revoke queues and their dead letters may hold "
            f"data keys under another key. Run it again when they are gone: mooring doctor{stage.options}"
        )


def _as_json(stage: Stage, options: argparse.Namespace, passes: Sequence[Pass]) -> dict[str, Any]:
    last = passes[-1]
    return {
        "stage": stage.name,
        "region": stage.region,
        "to": options.to,
        "dry_run": options.dry_run,
        "passes": len(passes),
        "rewrapped": sum(done.rewrapped for done in passes),
        "found": dict(passes[0].keys),
        "left": dict(last.keys),
        "refused": dict(last.refused),
        "leased": len(last.leased),
    }
