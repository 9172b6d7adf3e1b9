"""Which findings need somebody, and that each says what to do and where to read on."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from mooring.core.upkeep import Circuit, Key
from mooring_cli.finding import Finding, Level
from mooring_cli.findings import PATIENCE_SECONDS, Facts, judge
from mooring_cli.outside import Metrics, Queue
from mooring_cli.queue_findings import WORK_PATIENCE_SECONDS
from mooring_cli.stage import QUEUES
from mooring_cli.survey import UNNAMED, Ending, Survey, Tally
from mooring_cli.unwatched import Unwatched
from tests.docs.markdown import document

NOW = 1_790_000_000
EMPTY = {name: Queue(name, 0, 0, 0, None) for name in QUEUES}
WELL = Facts(Survey(), [], EMPTY, Metrics(40, {}))
OLD, YOUNG = PATIENCE_SECONDS + 1, PATIENCE_SECONDS
CIRCUIT = Circuit("acme", "provider_misconfigured", NOW - 7200)
SILENT = Circuit("zeta", "provider_unavailable", NOW - 600, not_before=NOW + 60)
RAMPING = Circuit("zeta", "provider_unavailable", NOW - 7200, not_before=NOW + 60, closed_at=NOW - 300)


def tally(seconds: int) -> Tally:
    return Tally(3, seconds, "m-1 acme shop-7")


def with_survey(**changes: Any) -> Facts:
    return WELL._replace(survey=replace(Survey(), **changes))


def with_queue(name: str, *numbers: int, age: int | None = None) -> Facts:
    waiting, in_work, delayed = (*numbers, 0, 0, 0)[:3]
    return WELL._replace(queues={**EMPTY, name: Queue(name, waiting, in_work, delayed, age)})


def finding(facts: Facts, name: str) -> Finding:
    [found] = [each for each in judge(facts, NOW) if each.name == name]
    return found


UNWATCHED = Unwatched(due={Key("m-1", "acme", "shop-7"): NOW}, unknown=Counter(zeta=2))
FAILING = with_survey(
    failing=tally(500_000), failing_reasons=Counter(provider_timeout=1, provider_unavailable=2), ended=1
)._replace(options=" --stage prod")
BAD = {
    "no sweep": ("sweep", WELL._replace(metrics=Metrics(None, {}))),
    "overdue": ("overdue", with_survey(overdue=tally(121))),
    "overdue behind a circuit": ("overdue", with_survey(overdue=tally(121))._replace(circuits=[CIRCUIT])),
    "in doubt": ("in doubt", with_survey(in_doubt=tally(OLD))),
    "stuck": ("stuck leases", with_survey(stuck=tally(OLD))),
    "failing": ("failing", FAILING),
    "failing by us": ("failing", with_survey(failing=tally(700), failing_reasons=Counter(key_denied=3))),
    "failing with no reason": (
        "failing",
        with_survey(failing=tally(700), failing_reasons=Counter({UNNAMED: 3})),
    ),
    "disabled and late": (
        "disabled",
        with_survey(disabled=Counter(acme=3), forsaken=tally(700))._replace(enabled_by="in mooring.yaml"),
    ),
    "never looked at": ("never looked at", with_survey(unwatched=UNWATCHED)),
    "put off by us": ("put off", with_survey(reasons=Counter(provider_timeout=9, key_denied=1))),
    "overdue while one catches up": ("overdue", with_survey(overdue=tally(121))._replace(circuits=[RAMPING])),
    "circuit": ("circuits", WELL._replace(circuits=[CIRCUIT])),
    "circuit of a silent provider": ("circuits", WELL._replace(circuits=[SILENT])),
    "no queue": ("queue recovery", WELL._replace(queues={**EMPTY, "recovery": None})),
    "old work": ("queue refresh", with_queue("refresh", 9, age=WORK_PATIENCE_SECONDS + 1)),
    "old tokens": ("queue recovery", with_queue("recovery", 0, 1, age=OLD)),
    "tokens of an age that SQS does not tell": ("queue recovery", with_queue("recovery", 0, 1)),
    "dead work": ("queue refresh-dead", with_queue("refresh-dead", 1)),
    "dead revocations": ("queue revoke-dead", with_queue("revoke-dead", 1)),
    "dead tokens": ("queue recovery-dead", with_queue("recovery-dead", 1)),
}
FINE = {
    "swept": ("sweep", WELL, Level.OK, "the last one ended 40 s ago"),
    "no metrics": (
        "sweep",
        WELL._replace(metrics=Metrics(None, {}, known=False)),
        Level.NOTE,
        "not known: these credentials may not read CloudWatch's metrics",
    ),
    "young doubt": (
        "in doubt",
        with_survey(in_doubt=tally(YOUNG)),
        Level.NOTE,
        "3 connections, the oldest for 6 min: m-1 acme shop-7; the sweep tries again by itself",
    ),
    "doubt of unknown age": (
        "in doubt",
        with_survey(in_doubt=Tally(2)),
        Level.NOTE,
        "2 connections; the sweep tries again by itself",
    ),
    "disabled": (
        "disabled",
        with_survey(disabled=Counter(acme=3, zeta=9))._replace(enabled_by="in the running stack"),
        Level.NOTE,
        (
            "active connections of providers that are not enabled in the running stack: zeta 9, acme 3. "
            "Nothing refreshes them; a token is handed out until it ends"
        ),
    ),
    "without a time, for all that is known": (
        "never looked at",
        with_survey(unwatched=Unwatched(unknown=Counter(zeta=2))),
        Level.NOTE,
        "2 active connections without a time for the sweep; whether they should have one, descriptors tell",
    ),
    "provider down": (
        "put off",
        with_survey(reasons=Counter(provider_timeout=2, provider_unavailable=1)),
        Level.NOTE,
        "after a failed call: provider_timeout 2, provider_unavailable 1; tried again by itself",
    ),
    "young work": (
        "queue refresh",
        with_queue("refresh", 2, 1, 4, age=WORK_PATIENCE_SECONDS),
        Level.NOTE,
        "",
    ),
    "revocations that wait": ("queue revoke", with_queue("revoke", 0, 9, age=OLD), Level.NOTE, "9 messages"),
    "failed revocations": (
        "revocations",
        with_survey(unrevoked=Counter(zeta=1, acme=2)),
        Level.NOTE,
        "3 connections cut off here whose tokens the provider did not revoke: acme 2, zeta 1",
    ),
    "work of unknown age": ("queue refresh", with_queue("refresh", 1), Level.NOTE, "1 message"),
    "confirmations": (
        "confirmations",
        with_survey(waiting=2, lapsed=1),
        Level.NOTE,
        "2 pending, 1 too old to be confirmed",
    ),
    "circuit that was closed": (
        "circuits",
        WELL._replace(circuits=[RAMPING]),
        Level.NOTE,
        "zeta: closed 5 min ago (provider_unavailable); its share grows again, minute by minute",
    ),
    "expiring": (
        "expiring",
        with_survey(expiring=Ending(3, 7_200, 200_000, "m-2 acme shop-7")),
        Level.NOTE,
        "3 connections must be reconnected within 2 days, the first in 2 h: m-2 acme shop-7",
    ),
    "merchants": (
        "needs reconnect",
        with_survey(lost=Counter(grant_refused=1)),
        Level.NOTE,
        "1 connection, for their merchants to mend: grant_refused 1",
    ),
}


def test_all_is_well() -> None:
    found = judge(WELL, NOW)
    assert {each.level for each in found} == {Level.OK}
    assert [each for each in found if each.advice or each.runbook] == []
    assert len(found) == 11 + 1 + len(QUEUES)


def test_a_local_stack_has_no_metrics() -> None:
    names = {each.name for each in judge(WELL._replace(metrics=None), NOW)}
    assert "sweep" not in names
    assert "overdue" in names


@pytest.mark.parametrize("case", BAD)
def test_needs_somebody(case: str) -> None:
    name, facts = BAD[case]
    found = finding(facts, name)
    assert found.level is Level.ATTENTION
    assert found.text
    assert found.advice
    others = [each for each in judge(facts, NOW) if each.level is Level.ATTENTION and each.name != name]
    assert [each.name for each in others] == (["circuits"] if case == "overdue behind a circuit" else [])


@pytest.mark.parametrize("case", FINE)
def test_needs_nobody(case: str) -> None:
    name, facts, level, text = FINE[case]
    found = finding(facts, name)
    assert (found.level, found.advice) == (level, "")
    assert text in found.text


@pytest.mark.parametrize("case", BAD)
def test_the_runbook_has_the_section(case: str) -> None:
    name, facts = BAD[case]
    assert finding(facts, name).runbook in document("docs/runbook.md").anchors()


def test_texts() -> None:
    name, facts = BAD["overdue behind a circuit"]
    assert finding(facts, name).text == "3 connections, the oldest for 2 min: m-1 acme shop-7"
    assert "Those of acme wait for the open circuit" in finding(facts, name).advice
    assert finding(facts, "circuits").text == "acme: open for 2 h (provider_misconfigured)"
    assert (
        "or a refresh that you ask for: mooring refresh M acme ACCOUNT" in finding(facts, "circuits").advice
    )
    assert finding(FAILING, "failing") == Finding(
        "failing",
        Level.ATTENTION,
        "3 connections, the oldest for 5 days: m-1 acme shop-7; mostly provider_unavailable (2); "
        "1 token dead by now",
        "It is tried again by itself, and may go on so for ever: find out what the provider has. "
        "Try the oldest, and see: mooring refresh m-1 acme shop-7 --stage prod",
        "alarm-overdue",
    )
    ours = finding(BAD["failing by us"][1], "failing")
    assert ours.advice.startswith("Waiting does not mend key_denied: it is on our side. ")
    assert ours.runbook == "alarm-key-denied"
    assert finding(BAD["failing with no reason"][1], "failing").runbook == "by-reason"
    late = finding(BAD["disabled and late"][1], "disabled")
    assert late.text.endswith("Late or dead: 3 connections, the oldest for 11 min: m-1 acme shop-7")
    assert late.advice.startswith(
        "Enable acme again in mooring.yaml, or end what is left: mooring disconnect m-1"
    )
    assert finding(BAD["put off by us"][1], "put off").advice.startswith("Waiting does not mend key_denied:")
    assert finding(with_queue("refresh", 2, 1, 4, age=90), "queue refresh").text == (
        "7 messages, the oldest for 90 s"
    )
    dead = finding(with_queue("recovery-dead", 1)._replace(options=" --stage prod"), "queue recovery-dead")
    assert dead.advice.endswith("through once more: mooring redrive --queue recovery --stage prod")
    assert finding(with_queue("refresh-dead", 1), "queue refresh-dead").advice.endswith(
        "mooring redrive --queue refresh"
    )
    unwatched = finding(BAD["never looked at"][1], "never looked at")
    assert "acme 1; such as m-1 acme shop-7. And 2 active connections without" in unwatched.text
    doubt = finding(with_survey(in_doubt=tally(OLD)), "in doubt")
    assert doubt.advice.endswith("mooring refresh m-1 acme shop-7")


def test_circuits_side_by_side() -> None:
    found = [
        each for each in judge(WELL._replace(circuits=[CIRCUIT, SILENT]), NOW) if each.name == "circuits"
    ]
    refuses, silent = found
    assert "compare both with its console" in refuses.advice
    assert silent.text == (
        "zeta: open for 10 min (provider_unavailable); at its own wish not asked before 2026-09-21 14:14:20Z"
    )
    assert (silent.runbook, "look at its status page" in silent.advice) == ("alarm-overdue", True)
    late = with_survey(overdue=tally(121))
    assert finding(late._replace(circuits=[RAMPING]), "overdue").advice.startswith("Those of zeta catch up")
    both = late._replace(circuits=[CIRCUIT, RAMPING])
    assert finding(both, "overdue").advice.startswith("Those of acme wait for the open circuit")
