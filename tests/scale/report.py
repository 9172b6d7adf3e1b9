"""The measurements' tables as Markdown, and their place in the document."""

from collections.abc import Iterable, Sequence

from tests.scale.counts import Counted
from tests.scale.throughput import BUDGET, PROVIDER_MILLISECONDS, Paces

_HEAD = (
    "messages a batch",
    "ms a batch",
    "refreshes a second",
    "times one at a time",
    "processor ms a refresh",
)
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"


def report(found: Sequence[Counted], paces: Paces) -> str:
    """Both tables, each after a line that says what it is."""
    due = found[0].due
    parts = [
        f"What one sweep and the work that it queued ask for; {due} connections of three providers are due:",
        table(["", *(f"{each.stored:,} stored" for each in found)], _counts(found)),
        _said(paces),
        table(_HEAD, _paces(paces)),
    ]
    return "\n\n".join(parts)


def _said(paces: Paces) -> str:
    return (
        f"One execution environment; the provider answers after {PROVIDER_MILLISECONDS} ms. "
        f"`template.yaml` says batches of {paces.template}; the budget is {BUDGET:.0f} times one at a time:"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _counts(found: Sequence[Counted]) -> Iterable[list[str]]:
    for part in ("sweep", "work"):
        calls = [getattr(each, part) for each in found]
        for name in sorted({name for each in calls for name in each.counts}):
            yield [f"{part}: {name}", *(f"{each.counts[name]:,}" for each in calls)]
        for name in sorted({name for each in calls for name in each.rows}):
            yield [f"{part}: rows that {name} returned", *(f"{each.rows[name]:,}" for each in calls)]
    yield ["work: invocations", *(f"{each.batches:,}" for each in found)]
    yield ["work: token calls", *(f"{each.provider.total():,}" for each in found)]


def _paces(paces: Paces) -> Iterable[list[str]]:
    for pace in paces.paces:
        size = f"**{pace.size}**" if pace.size == paces.template else str(pace.size)
        figures = (f"{pace.milliseconds:.0f}", f"{pace.per_second:.1f}", f"{pace.ratio:.1f}")
        yield [size, *figures, f"{pace.processor:.1f}"]
