"""The simulation's tables, each a section of docs/scale.md."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from mooring.adapters.work_queue import BATCH as SEND_BATCH
from mooring.flows.sweep import BATCH, FIRING_SECONDS, PAGE
from tools.simulate import assumptions as given
from tools.simulate import model, reading, scenarios
from tools.simulate.scenarios import HERD, PROVIDERS, Result
from tools.simulate.settings import Settings, defaults, extended, tuned

MANY = 10_000_000
FEW, SOME = 600_000, 2_000_000
"""What the defaults bear, and what the parameters alone bear, with some room."""
READS = (0.0, 0.1, 1.0, 24.0, 240.0)
_NAMES = ("defaults", "parameters alone", "proposed")


class Section(NamedTuple):
    """A title, and what writes its text; `slow` ones follow a world for hours."""

    title: str
    text: Callable[[], str]
    slow: bool = False


def sections() -> tuple[Section, ...]:
    """All of them, in order."""
    return (
        Section("Settings", _settings),
        Section("What ends growth", _limits),
        Section("Ten million connections", _many),
        Section("One firing of the sweep", _firing),
        Section("Queue and workers, minute by minute", _minutes, slow=True),
        Section("A million at once", _herd, slow=True),
        Section("One provider of ten does not answer for six hours", _outage, slow=True),
        Section("`eager` against `on_read`", _policies),
    )


def render(section: Section) -> str:
    """A section with its heading."""
    return f"### {section.title}\n\n{section.text()}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, figures to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _columns() -> tuple[Settings, ...]:
    return defaults(), tuned(), extended()


def _settings() -> str:
    labels = {
        "queue_limit": "`QueueLimit`",
        "workers": "`RefreshWorkers`",
        "batch": "messages a batch",
        "refresh_mb": "memory of `refresh`, MB",
        "sweep_mb": "`SweepMemory`, MB",
        "sweep_seconds": "time limit of `sweep`, s",
        "sweeps": "sweeps at once",
        "shards": "shards of a provider",
    }
    columns = _columns()
    rows = [[label, *(f"{getattr(each, name):,}" for each in columns)] for name, label in labels.items()]
    rows += [
        ["seconds a full batch", *(f"{model.batch_seconds(each):.3f}" for each in columns)],
        ["refreshes a second, of one worker", *(f"{model.worker_pace(each):.1f}" for each in columns)],
        *(
            [f"drained in two minutes, {said}", *(f"{model.drained(each, answer):,}" for each in columns)]
            for answer, said in ((given.PROVIDER, "providers answer after 0.2 s"), (1.0, "after a second"))
        ),
        ["connections that a firing can queue", *(f"{model.sweep_rows(each):,}" for each in columns)],
    ]
    return table(["", *_NAMES], rows)


def _limits() -> str:
    kms = min(given.KMS_PER_SECOND.values())
    parts = []
    for name, settings in zip(_NAMES, _columns(), strict=True):
        found = model.limits(settings, len(PROVIDERS), kms)
        rows = [
            [
                limit.name,
                f"{limit.per_second:,.0f}",
                f"{limit.per_second * model.spread().mean / 1e6:,.2f}",
                limit.moved_by,
            ]
            for limit in found
        ]
        head = [f"{name}: what ends growth", "refreshes a second", "million connections", "moved by"]
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def _many() -> str:
    rate, (written, index) = model.refresh_rate(MANY), model.writes()
    by_size, by_writes = model.partitions(MANY)
    rows = [
        ["refreshes a second", f"{rate:,.0f}"],
        ["write units a second, table", f"{rate * written:,.0f} of {given.TABLE_WRITES:,}"],
        ["write units a second, index", f"{rate * index:,.0f}"],
        *_shards(rate * index),
        ["read units a second (sweep)", f"{rate * _read_units():,.0f}"],
        ["gigabytes", f"{model.stored_gb(MANY):,.0f}"],
        ["partitions of the table, for size and for writes", f"{by_size} and {by_writes}"],
        *(
            [f"calls of KMS a second, of {quota:,} ({name})", f"{2 * rate:,.0f}: {200 * rate / quota:.0f} %"]
            for name, quota in given.KMS_PER_SECOND.items()
        ),
        ["calls of SQS a second", f"{3 * rate / SEND_BATCH:,.0f}"],
    ]
    wanted = rate / model.worker_pace(extended())
    for name, settings in zip(_NAMES, _columns(), strict=True):
        rows.append([f"workers wanted, {name}", f"{ceil(wanted):,} of {settings.workers:,}"])
    flying = wanted * extended().batch
    rows.append(["messages in flight", f"{flying:,.0f} of {given.IN_FLIGHT:,}"])
    return table(["", "a second, or at once"], rows) + "\n\n" + _money()


def _shards(index_writes: float) -> Iterator[list[str]]:
    for providers in (len(PROVIDERS), 1):
        for shards in (defaults().shards, extended().shards):
            each = index_writes / providers / shards
            what = f"write units a second of one shard: {providers} providers alike, {shards} shards each"
            if providers == 1:
                what = f"write units a second of one shard: one provider, {shards} shards"
            yield [what, f"{each:,.0f} of {given.PARTITION_WRITES:,}"]


def _read_units() -> float:
    """Read units for one due connection: its entry in the index, and its row, both eventually consistent."""
    return 0.5 * given.ROW_KB / 4 + 0.5 * 0.2 / 4


def _money() -> str:
    price, month = given.prices(), model.refresh_rate(MANY) * given.MONTH
    table_writes, index = model.writes()
    whole = model.refresh_dollars(extended()) * month
    parts = {
        "DynamoDB, writes": (table_writes + index) * price["WRITE_UNIT"] * month,
        "KMS": 2 * price["KMS_REQUEST"] * month,
        "SQS": 3 / SEND_BATCH * price["SQS_REQUEST"] * month,
        "logs": 1e-6 * price["LOG_GB"] * month,
    }
    parts["Lambda, and reads of the sweep"] = whole - sum(parts.values())
    parts["storage and its recovery"] = model.stored_gb(MANY) * (given.STORED_GB + given.RECOVERY_GB)
    rows = [[name, f"{dollars:,.0f}"] for name, dollars in parts.items()]
    rows.append(["**all**", f"**{sum(parts.values()):,.0f}**"])
    return table(["ten million connections, dollars a month", ""], rows)


def _firing() -> str:
    due = model.refresh_rate(MANY) * FIRING_SECONDS
    first = len(PROVIDERS) * defaults().shards
    rows = [
        ["connections due", f"{due:,.0f}"],
        ["queries", f"{max(first, due / PAGE):,.0f}"],
        ["`BatchGetItem`", f"{due / BATCH:,.0f}"],
        ["`SendMessageBatch`", f"{due / SEND_BATCH:,.0f}"],
    ]
    for name, settings in zip(_NAMES, _columns(), strict=True):
        taken = due * model.row_seconds(settings) / settings.sweeps
        rows.append([f"seconds, {name}", f"{taken:,.0f} of {settings.sweep_seconds}"])
    return table(["ten million connections, each minute", ""], rows)


def _minutes() -> str:
    head = ["", "due, not queued", "in the queue", "refreshed in the minute before"]
    parts = []
    for name, found in (
        (f"{FEW:,} connections, defaults", scenarios.ordinary(defaults(), FEW)),
        (f"{SOME:,} connections, {_NAMES[1]}", scenarios.ordinary(tuned(), SOME)),
        (f"{MANY:,} connections, {_NAMES[2]}", scenarios.ordinary(extended(), MANY)),
        (f"{MANY:,} connections, defaults", scenarios.ordinary(defaults(), MANY)),
    ):
        rows = [
            [
                f"minute {minute.second // 60}",
                f"{minute.due:,.0f}",
                f"{minute.depth:,.0f}",
                f"{minute.done:,.0f}",
            ]
            for minute in found.minutes[::15]
        ]
        said = (
            f"At most {found.peak_workers:,.0f} workers at once; tokens ended before their refresh: "
            f"{found.expired + found.others_expired:,.0f} of those refreshed."
        )
        parts.append(table([name, *head[1:]], rows) + f"\n\n{said}")
    return "\n\n".join(parts)


def _herd() -> str:
    found = {}
    for name, settings, others in zip(_NAMES, _columns(), (90_000, 900_000, 9 * HERD), strict=True):
        for jitter, how in ((True, "connected"), (False, "due")):
            what = f"{name}, beside {others:,}, {how} in one minute"
            found[what] = scenarios.herd(settings, others, jitter=jitter, seconds=21_600)
    return _told(found)


def _outage() -> str:
    found = {
        f"defaults, {FEW:,} connections": scenarios.outage(defaults(), FEW),
        f"{_NAMES[1]}, {SOME:,} connections": scenarios.outage(tuned(), SOME),
        f"{_NAMES[2]}, {MANY:,} connections": scenarios.outage(extended(), MANY),
    }
    calls = [f"{name}: {each.called_down:,.0f}" for name, each in found.items()]
    return f"{_told(found)}\n\nToken calls to it while it did not answer: {'; '.join(calls)}."


def _told(found: dict[str, Result]) -> str:
    head = [
        "",
        "in the queue at most",
        "workers at once",
        "refreshes a second, busiest minute",
        "drained after, minutes",
        "tokens that ended first",
        "still waiting at the end",
        "most belated, s",
        "most belated of other providers, s",
        "their tokens that ended",
    ]
    rows = [
        [
            name,
            f"{each.peak_depth:,.0f}",
            f"{each.peak_workers:,.0f}",
            f"{each.peak_done:,.0f}",
            "not in six hours" if each.drained is None else f"{each.drained / 60:,.0f}",
            f"{each.expired:,.0f}",
            f"{each.left:,.0f}",
            f"{each.overdue:,}",
            f"{each.others_overdue:,}",
            f"{each.others_expired:,.0f}",
        ]
        for name, each in found.items()
    ]
    return table(head, rows)


def _policies() -> str:
    settings = extended()
    before = reading.eager(settings)
    head = [
        "policy, and reads of each connection a day",
        "refreshes a second",
        "dollars a month",
        "part of reads that wait",
        "for, s",
    ]
    each = [("`eager`, however often", before)]
    each += [(f"`on_read`, {reads:g}", reading.on_read(settings, reads)) for reads in READS]
    rows = [
        [
            name,
            f"{found.refreshes * MANY / reading.DAY:,.1f}",
            f"{found.dollars * MANY:,.0f}",
            f"{100 * found.waiting:.1f} %",
            f"{found.seconds:.2f}",
        ]
        for name, found in each
    ]
    return table(head, rows)
