"""Judging what was counted: which findings need somebody, what to do, and where the runbook says more."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mooring.core.errors import Reason
from mooring.core.upkeep import Circuit
from mooring_cli.finding import Finding, Level
from mooring_cli.output import moment, number, span
from mooring_cli.outside import WINDOW_SECONDS, Metrics, Queue
from mooring_cli.queue_findings import queue_findings
from mooring_cli.survey import Ending, Survey, Tally

PATIENCE_SECONDS = 360
"""What is younger heals by itself: the longest pause has four minutes, then come a sweep and a call."""
_OURS = frozenset(
    {
        Reason.PROVIDER_MISCONFIGURED,
        Reason.SECRET_UNAVAILABLE,
        Reason.SEALING_UNAVAILABLE,
        Reason.KEY_DENIED,
        Reason.TOKEN_UNREADABLE,
        Reason.INTERNAL,
    }
)
"""Reasons that no waiting mends."""
_SECTIONS: Mapping[str, str] = {
    Reason.PROVIDER_MISCONFIGURED: "alarm-provider-misconfigured",
    Reason.KEY_DENIED: "alarm-key-denied",
    Reason.TOKEN_UNREADABLE: "alarm-token-unreadable",
    Reason.SECRET_UNAVAILABLE: "alarm-secret-unavailable",
    Reason.INTERNAL: "alarm-defect",
    Reason.PROVIDER_UNAVAILABLE: "alarm-overdue",
    Reason.PROVIDER_TIMEOUT: "alarm-overdue",
}
"""Where the runbook tells more of a reason than it does under the others."""


class Facts(NamedTuple):
    """All that was read of an installation.

    `options` lead a command of the advice to it; `enabled_by` says where the enabled providers were read.
    """

    survey: Survey
    circuits: Sequence[Circuit]
    queues: Mapping[str, Queue | None]
    metrics: Metrics | None
    options: str = ""
    enabled_by: str = ""


def judge(facts: Facts, now: int) -> list[Finding]:
    """Every finding, those that are well included."""
    found = [] if facts.metrics is None else [_sweep(facts.metrics, facts.options)]
    found += [
        _overdue(facts.survey.overdue, facts.circuits, facts.options),
        _failing(facts.survey, facts.options),
        *_disabled(facts),
        _unwatched(facts),
        _in_doubt(facts.survey.in_doubt, facts.options),
        _put_off(facts.survey),
        _stuck(facts.survey.stuck, facts.options),
        *_circuits(facts.circuits, now, facts.options),
        *queue_findings(facts.queues, facts.options),
        _confirmations(facts.survey),
        _expiring(facts.survey.expiring),
        _lost(facts.survey),
        _unrevoked(facts.survey),
    ]
    return found


def _sweep(metrics: Metrics, options: str) -> Finding:
    if not metrics.known:
        return Finding("sweep", Level.NOTE, "not known: these credentials may not read CloudWatch's metrics")
    if metrics.swept_seconds is None:
        text = f"none has ended for {span(WINDOW_SECONDS)}"
        return Finding(
            "sweep", Level.ATTENTION, text, f"Run one: mooring sweep{options}", "alarm-sweep-missing"
        )
    return Finding("sweep", Level.OK, f"the last one ended {span(metrics.swept_seconds)} ago")


def _overdue(tally: Tally, circuits: Sequence[Circuit], options: str) -> Finding:
    if not tally.count:
        return Finding("overdue", Level.OK, "none")
    advice = f"Run a sweep and look again in a minute: mooring sweep{options}"
    opened = [circuit for circuit in circuits if circuit.is_open]
    if opened:
        advice = f"Those of {_names(opened)} wait for the open circuit: mend that first"
    elif circuits:
        advice = f"Those of {_names(circuits)} catch up, more each minute: look again in ten minutes"
    return Finding("overdue", Level.ATTENTION, _tally(tally), advice, "alarm-overdue")


def _failing(survey: Survey, options: str) -> Finding:
    """What fails for so long is no pause any more, even where each single try will be repeated."""
    if not survey.failing.count:
        return Finding("failing", Level.OK, "none")
    ranked = _ranked(survey.failing_reasons)
    (reason, count), *_ = ranked
    ended = f"; {number(survey.ended, 'token')} dead by now" if survey.ended else ""
    text = f"{_tally(survey.failing)}; mostly {reason} ({count:,}){ended}"
    what = (
        f"Waiting does not mend {reason}: it is on our side"
        if reason in _OURS
        else "It is tried again by itself, and may go on so for ever: find out what the provider has"
    )
    advice = f"{what}. Try the oldest, and see: mooring refresh {survey.failing.oldest}{options}"
    return Finding("failing", Level.ATTENTION, text, advice, _SECTIONS.get(reason, "by-reason"))


def _disabled(facts: Facts) -> Iterator[Finding]:
    survey = facts.survey
    if not survey.disabled:
        return
    text = (
        f"active connections of providers that are not enabled {facts.enabled_by}: "
        f"{_counted(survey.disabled)}. Nothing refreshes them; a token is handed out until it ends"
    )
    if not survey.forsaken.count:
        yield Finding("disabled", Level.NOTE, text)
        return
    late = survey.forsaken
    text = f"{text}. Late or dead: {_tally(late)}"
    advice = (
        f"Enable {', '.join(sorted(survey.disabled))} again in mooring.yaml, or end what is left: "
        f"mooring disconnect {late.oldest}{facts.options}"
    )
    yield Finding("disabled", Level.ATTENTION, text, advice, "alarm-overdue")


def _unwatched(facts: Facts) -> Finding:
    """A change of descriptor or policy reaches only those whose tokens are written after it."""
    name, found = "never looked at", facts.survey.unwatched
    unknown = (
        f"{number(found.unknown.total(), 'active connection')} without a time for the sweep; whether they "
        f"should have one, descriptors tell that are not at hand: {_counted(found.unknown)}"
    )
    if not found.due:
        return Finding(name, Level.NOTE, unknown) if found.unknown else Finding(name, Level.OK, "none")
    counted = _counted(Counter(key.provider for key in found.due))
    text = (
        f"{number(len(found.due), 'connection')} without a time for the sweep, which descriptor and policy "
        f"give by now: {counted}; such as {' '.join(next(iter(found.due)))}"
    )
    advice = f"Give each its time: mooring sweep --adopt{facts.options}"
    text = f"{text}. And {unknown}" if found.unknown else text
    return Finding(name, Level.ATTENTION, text, advice, "alarm-overdue")


def _in_doubt(tally: Tally, options: str) -> Finding:
    advice = (
        "Nobody tried again. Look at the refresh queues below, then try the oldest: mooring refresh "
        f"{tally.oldest}{options}"
    )
    return _aged("in doubt", tally, advice, "alarm-lost-rotation")


def _stuck(tally: Tally, options: str) -> Finding:
    advice = (
        "A refresh died, and none came after it. Look for the function's timeouts, and try the oldest: "
        f"mooring refresh {tally.oldest}{options}"
    )
    return _aged("stuck leases", tally, advice, "alarm-overdue")


def _aged(name: str, tally: Tally, advice: str, runbook: str) -> Finding:
    if not tally.count:
        return Finding(name, Level.OK, "none")
    if not tally.oldest or tally.oldest_seconds <= PATIENCE_SECONDS:
        return Finding(name, Level.NOTE, f"{_tally(tally)}; the sweep tries again by itself")
    return Finding(name, Level.ATTENTION, _tally(tally), advice, runbook)


def _put_off(survey: Survey) -> Finding:
    if not survey.reasons:
        return Finding("put off", Level.OK, "none")
    text = f"{number(survey.reasons.total(), 'connection')} after a failed call: {_counted(survey.reasons)}"
    ours = [reason for reason, _ in survey.reasons.most_common() if reason in _OURS]
    if not ours:
        return Finding("put off", Level.NOTE, f"{text}; tried again by itself")
    advice = f"Waiting does not mend {', '.join(ours)}: it is on our side"
    return Finding("put off", Level.ATTENTION, text, advice, "by-reason")


def _circuits(circuits: Sequence[Circuit], now: int, options: str) -> Iterator[Finding]:
    if not circuits:
        yield Finding("circuits", Level.OK, "all closed")
    for circuit in circuits:
        yield _circuit(circuit, now, options) if circuit.is_open else _ramping(circuit, now)


def _circuit(circuit: Circuit, now: int, options: str) -> Finding:
    text = f"{circuit.provider}: open for {span(max(0, now - circuit.opened_at))} ({circuit.reason})"
    if circuit.not_before > now:
        text += f"; at its own wish not asked before {moment(circuit.not_before)}"
    refuses = circuit.reason == Reason.PROVIDER_MISCONFIGURED
    what = (
        "The provider refuses our client id or secret: compare both with its console"
        if refuses
        else "The provider does not answer as it should: look at its status page. Nothing is lost by waiting"
    )
    advice = (
        f"{what}. The circuit closes when a trial of the sweep succeeds, or a refresh that you ask for: "
        f"mooring refresh M {circuit.provider} ACCOUNT{options}"
    )
    section = "alarm-provider-misconfigured" if refuses else "alarm-overdue"
    return Finding("circuits", Level.ATTENTION, text, advice, section)


def _ramping(circuit: Circuit, now: int) -> Finding:
    ago = span(max(0, now - (circuit.closed_at or now)))
    text = f"{circuit.provider}: closed {ago} ago ({circuit.reason}); its share grows again, minute by minute"
    return Finding("circuits", Level.NOTE, text)


def _confirmations(survey: Survey) -> Finding:
    if not survey.waiting + survey.lapsed:
        return Finding("confirmations", Level.OK, "none pending")
    lapsed = f", {survey.lapsed:,} too old to be confirmed" if survey.lapsed else ""
    return Finding("confirmations", Level.NOTE, f"{survey.waiting:,} pending{lapsed}")


def _expiring(ending: Ending) -> Finding:
    if not ending.count:
        return Finding("expiring", Level.OK, "none")
    text = f"{number(ending.count, 'connection')} must be reconnected within {span(ending.last_seconds)}"
    return Finding(
        "expiring", Level.NOTE, f"{text}, the first in {span(ending.first_seconds)}: {ending.first}"
    )


def _lost(survey: Survey) -> Finding:
    if not survey.lost:
        return Finding("needs reconnect", Level.OK, "none")
    text = (
        f"{number(survey.lost.total(), 'connection')}, for their merchants to mend: {_counted(survey.lost)}"
    )
    return Finding("needs reconnect", Level.NOTE, text)


def _unrevoked(survey: Survey) -> Finding:
    """Cut off here, and still granted there. What can be tried again lies among the dead letters."""
    if not survey.unrevoked:
        return Finding("revocations", Level.OK, "none failed")
    text = (
        f"{number(survey.unrevoked.total(), 'connection')} cut off here whose tokens the provider did not "
        f"revoke: {_counted(survey.unrevoked)}"
    )
    return Finding("revocations", Level.NOTE, text)


def _tally(tally: Tally) -> str:
    count = number(tally.count, "connection")
    return f"{count}, the oldest for {span(tally.oldest_seconds)}: {tally.oldest}" if tally.oldest else count


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {count:,}" for word, count in _ranked(counts))


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _names(circuits: Sequence[Circuit]) -> str:
    return ", ".join(circuit.provider for circuit in circuits)
