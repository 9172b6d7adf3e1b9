"""What a soak found, as text, as JSON and as a block of the document, and which promises it saw broken."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.soak.findings import Losses, Sweeps
from tests.soak.plan import (
    BOUND_SECONDS,
    KILL_SECONDS,
    RATE,
    SCHEDULE_SECONDS,
    TOKEN_SECONDS,
    WAIT_SECONDS,
    Kind,
    Plan,
)
from tools.simulate.document import put_into as between_markers

BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
_LOST = "needs_reconnect lost_rotation"
_OFTEN = 5


class OfKind(NamedTuple):
    """What became of the connections of one kind.

    Attributes:
        kind: which.
        connections: how many there were.
        refreshes: refreshed token sets that were stored.
        calls: token calls that reached the provider, by outcome.
        overlapping: pairs of token calls of one connection that were in flight together.
        ended: connections that are not active any more, by status and reason.
        wrong: active connections whose stored tokens are not what the provider takes, by what is wrong.
        losses: what was said about those that were lost.
    """

    kind: Kind
    connections: int
    refreshes: int
    calls: Mapping[str, int]
    overlapping: int
    ended: Mapping[str, int]
    wrong: Mapping[str, int]
    losses: Losses


class Report(NamedTuple):
    """Everything that a soak found. Times are seconds.

    Attributes:
        plan: how it ran.
        seconds: for how long faults fell.
        kinds: by kind of provider.
        faults_provider, faults_aws: how often each fault fell.
        calls_provider, calls_aws: calls that one could have befallen.
        kills: killed runtime processes, by function.
        reads: what the token route answered.
        dead: tokens that were given out dead.
        overdue: the longest that any active connection was due or failing.
        lifeless: the longest that the token of any active connection was out of its life.
        healed: from the last fault until no trace of one was left; None: never.
        rested: from the last fault until nothing was due, leased, queued or in doubt; None: never.
        left: what was still to be seen when that took too long.
        superseded: token sets that a newer one had overtaken.
        alarms: how often each metric that rings was counted.
        outcomes: what the refresh function said.
        odd: log lines that tell of a defect.
        leaks: places that hold a token or a client secret.
        dead_letters: messages in the queues of last resort.
        undelivered: changes that could not be told, in their bucket.
        sweeps: what became of the sweep's firings.
        wall: for how long the whole soak took.
        load: the machine's highest load average of one minute, this run's own work included.
        processors: what it has to do that with.
    """

    plan: Plan
    seconds: float
    kinds: Sequence[OfKind]
    faults_provider: Mapping[str, int]
    faults_aws: Mapping[str, int]
    calls_provider: int
    calls_aws: int
    kills: Mapping[str, int]
    reads: Mapping[str, int]
    dead: Sequence[str]
    overdue: int
    lifeless: int
    healed: float | None
    rested: float | None
    left: str
    superseded: int
    alarms: Mapping[str, int]
    outcomes: Mapping[str, int]
    odd: Sequence[str]
    leaks: Sequence[str]
    dead_letters: Mapping[str, int]
    undelivered: int
    sweeps: Sweeps
    wall: float
    load: float
    processors: int


def broken(report: Report) -> list[str]:
    """Every promise that was seen broken, one line each; empty when all held."""
    found = [line for one in report.kinds for line in _broken_by_kind(one)]
    found += [f"a dead token was given out: {each}" for each in report.dead[:_OFTEN]]
    found += [f"a defect was logged: {line}" for line in report.odd[:_OFTEN]]
    found += [f"a token or secret lies in the clear: {place}" for place in report.leaks[:_OFTEN]]
    if report.rested is None or report.rested > BOUND_SECONDS:
        took = (
            "did not come to rest" if report.rested is None else f"came to rest after {report.rested:.0f} s"
        )
        found.append(f"everything {took}; the bound is {BOUND_SECONDS} s after the last fault: {report.left}")
    for queue, what in (("recovery", "token sets"), ("revoke", "revocations")):
        if letters := report.dead_letters.get(f"{queue}-dead", 0):
            found.append(f"{letters} {what} ended as dead letters of the {queue} queue")
    if report.undelivered:
        found.append(f"{report.undelivered} changes were never told, and lie in the bucket")
    found += _vain(report)
    return found


def _broken_by_kind(one: OfKind) -> Iterator[str]:
    title = one.kind.title
    for word, count in one.ended.items():
        if word != _LOST:
            yield f"{title}: {count} connections ended as {word}, and nobody ended them"
        elif not one.kind.may_lose:
            yield f"{title}: {count} connections were lost"
    for word, count in one.wrong.items():
        yield f"{title}: {count} active connections: {word}"
    losses = one.losses
    if losses.silent:
        yield f"{title}: {losses.silent} lost connections never rang"
    if losses.counted != losses.logged:
        yield f"{title}: LostRotation was counted {losses.counted} times and logged {losses.logged} times"
    if losses.announced < losses.rows:
        yield f"{title}: LossAnnounced was counted {losses.announced} times for {losses.rows} losses"
    if one.overlapping:
        yield f"{title}: {one.overlapping} pairs of token calls of one connection were in flight together"


def _vain(report: Report) -> Iterator[str]:
    """A soak in which nothing happened proves nothing."""
    for where, faults in (("providers", report.faults_provider), ("AWS", report.faults_aws)):
        if not sum(faults.values()):
            yield f"no fault fell at {where}"
    if not sum(report.kills.values()):
        yield "no process was killed"
    for one in report.kinds:
        if one.refreshes < one.connections:
            yield f"{one.kind.title}: {one.refreshes} refreshes of {one.connections} connections are too few"
    if not report.sweeps.ended:
        yield "no sweep ended"
    if not report.reads.get("ok"):
        yield "no reader was given a token"


def text(report: Report) -> str:
    """Every table, as Markdown that reads well on a terminal too."""
    parts = [
        _made_by(report),
        _table(("", *(one.kind.title for one in report.kinds)), _by_kind(report.kinds)),
        _table(("", ""), _measures(report)),
        _table(("at the providers' token endpoints", "times"), _counted(report.faults_provider)),
        _table(("at the functions' calls of AWS", "times"), _counted(report.faults_aws)),
        _table(("killed with SIGKILL", "times"), _counted(report.kills)),
        _table(("the token route answered", "times"), _counted(report.reads)),
        _table(("metrics that ring", "counted"), _counted(report.alarms)),
    ]
    return "\n\n".join(parts)


def as_json(report: Report) -> dict[str, Any]:
    """The same as plain values; what was broken stands in it."""
    plain = _plain(report)
    assert isinstance(plain, dict)
    return {**plain, "broken": broken(report)}


def put_into(document: Path, block: str) -> None:
    """Replace what stands between the two markers of a document.

    Raises:
        ValueError: it does not have each marker once, in order.
    """
    between_markers(document, block, BEGIN, END)


def command(plan: Plan) -> str:
    """The command that runs this plan."""
    sweep = "" if plan.sweep_seconds == SCHEDULE_SECONDS else f" --sweep-every {plan.sweep_seconds}"
    minutes = f"{plan.minutes:g}"
    return (
        f"python -m tests.soak --connections {plan.connections} --minutes {minutes} --seed {plan.seed}{sweep}"
    )


def _made_by(report: Report) -> str:
    plan = report.plan
    swept = (
        "by the template's own schedule, every minute"
        if plan.sweep_seconds == SCHEDULE_SECONDS
        else f"by hand every {plan.sweep_seconds} seconds"
    )
    return (
        f"`{command(plan)}`: {plan.connections} connections, access tokens of {TOKEN_SECONDS} seconds, "
        f"{RATE:.0%} of the calls at fault for {report.seconds / 60:.1f} minutes, a SIGKILL every "
        f"{KILL_SECONDS} seconds, swept {swept}. The whole run took {report.wall / 60:.1f} minutes."
    )


def _by_kind(kinds: Sequence[OfKind]) -> Iterator[Sequence[object]]:
    yield "connections", *(one.connections for one in kinds)
    yield "refreshed token sets stored", *(one.refreshes for one in kinds)
    yield "token calls that reached the provider", *(sum(one.calls.values()) for one in kinds)
    yield "of these refused", *(_refused(one.calls) for one in kinds)
    yield "connections lost", *(sum(one.ended.values()) for one in kinds)
    yield "of these, alarmed by refresh", *(one.losses.by_refresh for one in kinds)
    yield "of these without an alarm", *(one.losses.silent for one in kinds)
    yield "given up as lost, and recovered after all", *(one.losses.came_back for one in kinds)
    yield "two token calls of one connection at once", *(one.overlapping for one in kinds)
    yield "stored tokens that the provider does not take", *(sum(one.wrong.values()) for one in kinds)


def _refused(calls: Mapping[str, int]) -> int:
    return sum(count for outcome, count in calls.items() if outcome != "refreshed")


def _measures(report: Report) -> Iterator[Sequence[object]]:
    yield "refreshes a second, while faults fell and after", f"{_rate(report):.1f}"
    yield "calls of AWS by functions, while faults fell", report.calls_aws
    yield "longest overdue", f"{report.overdue} s"
    yield "longest without a living token", f"{report.lifeless} s"
    yield "from the last fault until no trace of one was left", _seconds(report.healed)
    yield "from the last fault until everything was at rest", _seconds(report.rested)
    yield "the bound for both", f"{BOUND_SECONDS} s"
    yield "dead tokens given to readers", len(report.dead)
    yield "token sets that a newer one had overtaken", report.superseded
    yield "places with a token or secret in the clear", len(report.leaks)
    yield "sweeps that started, ended well, failed, and died", _of_sweeps(report.sweeps)
    yield "longest from the end of one that ended well to the next", f"{report.sweeps.gap_seconds} s"
    yield "processors, and the highest load average", f"{report.processors}, {report.load:.1f}"
    yield "dead letters", ", ".join(f"{name} {n}" for name, n in report.dead_letters.items()) or "none"
    yield "changes that could not be told", report.undelivered


def _rate(report: Report) -> float:
    return sum(one.refreshes for one in report.kinds) / max(
        1.0, report.seconds + (report.rested or WAIT_SECONDS)
    )


def _of_sweeps(sweeps: Sweeps) -> str:
    return f"{sweeps.started}, {sweeps.ended}, {sweeps.failed}, {sweeps.died}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


def _counted(counts: Mapping[str, int]) -> Iterator[Sequence[object]]:
    yield from sorted(counts.items(), key=lambda item: (-item[1], item[0])) or [("none", 0)]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
