"""`mooring doctor`: read everything about an installation's health, judge it, and say what to do.

It reads and never writes. The table of connections is scanned, which costs what reading it costs; functions
never do that. Exit code 0: healthy; 1: something needs attention, or it could not be read.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mooring.core.connection import Status
from mooring_cli.finding import Finding, Level
from mooring_cli.findings import Facts, judge
from mooring_cli.output import moment, number, show_json, show_marked, show_table
from mooring_cli.outside import circuits, metrics, queues
from mooring_cli.stage import Stage, find_stage
from mooring_cli.survey import Ending, Survey
from mooring_cli.surveying import enabled, surveyed
from mooring_cli.unwatched import Unwatched

HEALTHY, UNHEALTHY = 0, 1
_SHOWN = 10
_STATUSES = (Status.ACTIVE, Status.NEEDS_RECONNECT, Status.UNINSTALLED, Status.DISCONNECTED)
_STYLES = {Level.OK: "green", Level.NOTE: "cyan", Level.ATTENTION: "bold red"}


def run(options: argparse.Namespace) -> int:
    """Examine an installation and print what was found; the exit code. Raises CommandError."""
    stage = find_stage(options, Path.cwd())
    now = int(time.time())
    facts = _read(stage, now)
    findings = judge(facts, now)
    bad = [finding for finding in findings if finding.level is Level.ATTENTION]
    if options.json:
        show_json(_as_json(stage, now, facts, findings))
    else:
        _show(stage, now, facts, findings)
    return UNHEALTHY if bad else HEALTHY


def _read(stage: Stage, now: int) -> Facts:
    known = metrics(stage, now)
    ids, enabled_by = enabled(stage)
    survey = surveyed(stage, ids, now)
    switched = circuits(stage, sorted(survey.statuses), now)
    waiting = queues(stage, known.ages if known else {})
    return Facts(survey, switched, waiting, known, stage.options, enabled_by)


def _show(stage: Stage, now: int, facts: Facts, findings: Sequence[Finding]) -> None:
    total = number(facts.survey.total, "connection")
    print(f"Stage {stage.name} in {stage.region} at {moment(now)}: {total}.\n")
    if facts.survey.statuses:
        columns, rows = _statuses(facts.survey)
        show_table(("provider", *columns), rows)
        print()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        show_marked(_STYLES[finding.level], f"{finding.level:9}", f"  {finding.name:{width}}  {finding.text}")
        if finding.advice:
            print(f"{'':9}  {'':{width}}  {finding.advice}")
            print(f"{'':9}  {'':{width}}  See docs/runbook.md#{finding.runbook}")
    print()
    show_marked(*_verdict(findings))


def _statuses(survey: Survey) -> tuple[list[str], list[tuple[str, ...]]]:
    """Statuses as columns, those of a later release included, and a row for each provider."""
    found = {status for counts in survey.statuses.values() for status in counts}
    columns = [*_STATUSES, *sorted(found - set(_STATUSES))]
    rows = [
        (provider, *(f"{counts[status]:,}" for status in columns))
        for provider, counts in sorted(survey.statuses.items())
    ]
    return [str(column) for column in columns], rows


def _verdict(findings: Sequence[Finding]) -> tuple[str, str, str]:
    bad = list(dict.fromkeys(finding.name for finding in findings if finding.level is Level.ATTENTION))
    if not bad:
        return _STYLES[Level.OK], "Healthy", ": nothing needs attention."
    return _STYLES[Level.ATTENTION], "Not healthy", f": look after {', '.join(bad)}."


def _as_json(stage: Stage, now: int, facts: Facts, findings: Sequence[Finding]) -> dict[str, Any]:
    survey = facts.survey
    tallies = {
        "overdue": survey.overdue,
        "failing": survey.failing,
        "in_doubt": survey.in_doubt,
        "stuck_leases": survey.stuck,
        "forsaken": survey.forsaken,
    }
    return {
        "stage": stage.name,
        "region": stage.region,
        "at": now,
        "healthy": all(finding.level is not Level.ATTENTION for finding in findings),
        "connections": {name: dict(counts) for name, counts in sorted(survey.statuses.items())},
        **{
            name: {
                "count": tally.count,
                "oldest_seconds": tally.oldest_seconds if tally.oldest else None,
                "oldest": tally.oldest or None,
            }
            for name, tally in tallies.items()
        },
        "failing_reasons": dict(survey.failing_reasons.most_common()),
        "dead_tokens": survey.ended,
        "disabled": dict(survey.disabled),
        "never_looked_at": _unwatched(survey.unwatched),
        "put_off": {"count": survey.reasons.total(), "reasons": dict(survey.reasons.most_common())},
        "expiring": _ending(survey.expiring),
        "needs_reconnect": {"count": survey.lost.total(), "reasons": dict(survey.lost.most_common())},
        "revocations": {
            "failed": survey.unrevoked.total(),
            "providers": dict(survey.unrevoked.most_common()),
        },
        "confirmations": {"pending": survey.waiting, "lapsed": survey.lapsed},
        "circuits": [circuit._asdict() for circuit in facts.circuits],
        "queues": {name: _queue(queue) for name, queue in facts.queues.items()},
        "sweep": facts.metrics and {"seconds_ago": facts.metrics.swept_seconds},
        "findings": [finding._asdict() for finding in findings],
    }


def _ending(ending: Ending) -> dict[str, Any]:
    return {
        "count": ending.count,
        "first_seconds": ending.first_seconds if ending.count else None,
        "last_seconds": ending.last_seconds if ending.count else None,
        "first": ending.first or None,
    }


def _unwatched(unwatched: Unwatched) -> dict[str, Any]:
    return {
        "count": len(unwatched.due),
        "connections": [" ".join(key) for key in list(unwatched.due)[:_SHOWN]],
        "not_known": dict(unwatched.unknown),
    }


def _queue(queue: Any) -> dict[str, Any] | None:
    return None if queue is None else {**queue._asdict(), "depth": queue.depth}
