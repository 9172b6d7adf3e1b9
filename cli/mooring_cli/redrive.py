"""`mooring redrive`: send dead letters through once more, after what made them fail was mended."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mooring_cli.errors import CommandError, UsageError
from mooring_cli.letters import QUEUES, Letters
from mooring_cli.output import agreed, number, progress, say, show_json, show_table, span
from mooring_cli.stage import Stage, asking, find_stage

_RUNBOOK = "docs/runbook.md#dead-letters"
_COLUMNS = ("queue", "kind", "schema", "messages", "oldest", "problem")


def run(options: argparse.Namespace) -> None:
    """Move the dead letters of one queue or of all, asking first; or only count them.

    Raises:
        UsageError: there is no terminal to ask at, and neither `--yes` nor `--dry-run`.
        CommandError: not all were moved; what was not is still there.
    """
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise UsageError(
            "Nobody can be asked here. To move them without a question, add --yes; to only look, --dry-run"
        )
    stage = find_stage(options, Path.cwd())
    found = _open(stage, (options.queue,) if options.queue else QUEUES)
    with asking(stage):
        waiting = {letters.name: letters.waiting() for letters in found}
    lying = {name: count for name, (count, _) in waiting.items()}
    if sum(lying.values()) and not (options.yes or options.dry_run or _agreed(lying)):
        raise CommandError("Nothing was changed.")
    for letters in found:
        if lying[letters.name] or options.dry_run:
            _work(stage, letters, lying[letters.name], dry_run=options.dry_run)
    if options.json:
        show_json(_as_json(stage, found, dry_run=options.dry_run))
    else:
        _show(found, dry_run=options.dry_run)
    _remark(stage, found, sum(taken for _, taken in waiting.values()), dry_run=options.dry_run)


def _open(stage: Stage, names: Sequence[str]) -> list[Letters]:
    with asking(stage):
        sqs = stage.client("sqs")
        return [
            Letters(sqs, name, stage.queue_url(f"{name}-dead", sqs), stage.queue_url(name, sqs))
            for name in names
        ]


def _agreed(lying: dict[str, int]) -> bool:
    what = " and ".join(
        f"{number(count, 'message')} of {name}-dead" for name, count in lying.items() if count
    )
    return agreed(f"Send {what} through once more?")


def _work(stage: Stage, letters: Letters, total: int, *, dry_run: bool) -> None:
    act, what = (letters.look, "Reading") if dry_run else (letters.move, "Moving")
    try:
        with asking(stage), progress(f"{what} {letters.name}-dead", lambda: total) as step:
            act(int(time.time()), step)
    except CommandError as error:
        text = str(error).rstrip(".")
        if dry_run:
            raise
        raise CommandError(
            f"{text}. {number(letters.moved, 'message')} of {letters.name}-dead moved; what was not is still "
            f"there. Run it again: mooring redrive --queue {letters.name}{stage.options}"
        ) from None


def _show(found: Sequence[Letters], *, dry_run: bool) -> None:
    rows = [row for letters in found for row in _rows(letters)]
    if dry_run and rows:
        show_table(_COLUMNS, rows)
        return
    for letters in found:
        print(_line(letters))


def _rows(letters: Letters) -> list[tuple[str, ...]]:
    return [
        (
            f"{letters.name}-dead",
            sort.kind,
            "unknown" if sort.schema is None else str(sort.schema),
            f"{count:,}",
            span(letters.oldest[sort]),
            sort.problem,
        )
        for sort, count in letters.sorts.most_common()
    ]


def _line(letters: Letters) -> str:
    if not letters.sorts:
        return f"{letters.name}-dead: nothing there."
    line = f"{letters.name}-dead: {number(letters.moved, 'message')} sent back to {letters.name}"
    return f"{line}; {letters.left:,} left, not understood." if letters.left else f"{line}."


def _remark(stage: Stage, found: Sequence[Letters], taken: int, *, dry_run: bool) -> None:
    if any(letters.left for letters in found):
        look = "" if dry_run else f" What they are: mooring redrive --dry-run{stage.options}."
        say(f"What is not understood would fail again, and stays there.{look} See {_RUNBOOK}")
    if taken:
        say(f"{number(taken, 'message')} had just been received by others: run it again in a few minutes.")
    if any(letters.moved for letters in found):
        say(f"What fails again comes back there. Look in a while: mooring doctor{stage.options}")


def _as_json(stage: Stage, found: Sequence[Letters], *, dry_run: bool) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "region": stage.region,
        "dry_run": dry_run,
        "queues": {
            f"{letters.name}-dead": {
                "moved": letters.moved,
                "left": letters.left,
                "found": [
                    {**sort._asdict(), "count": count, "oldest_seconds": letters.oldest[sort]}
                    for sort, count in letters.sorts.most_common()
                ],
            }
            for letters in found
        },
    }
