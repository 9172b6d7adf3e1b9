"""The benchmark's tables as Markdown, and their place in the document."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench.contestants import STEPS
from tests.bench.results import OURS, YARDSTICK, Results, budgets, told
from tools.simulate.document import put_into as between_markers
from tools.sizes import Size

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def report(found: Results) -> str:
    """Every table, each after one line that says what it is."""
    parts = [
        _made_by(found),
        "Times as multiples of a Lambda that only answers 302, medians, smaller is better:",
        _table(["", *_names(found)], _times(found)),
        "What one warm call asks of others (`refresh`: of a connection that is new to the process):",
        _table(["", "", "AWS calls", "provider calls", "new TLS connections"], _costs(found)),
        "A warm read of a known token by the client library, beside a bare GetItem of the same row:",
        _table(["", "p50", "p99", "p50, times a GetItem"], _reads(found)),
        "What is uploaded, for arm64, with byte code:",
        _table(["", "zipped", "unzipped"], _sizes(found.sizes)),
        "The budgets:",
        _table(["", "budget", "measured", "holds"], _budgets(found)),
    ]
    return "\n\n".join(parts)


def put_into(document: Path, text: str) -> None:
    """Replace what stands between the two markers of a document.

    Raises:
        ValueError: it does not have each marker once, in order.
    """
    between_markers(document, text, BEGIN, END)


def _made_by(found: Results) -> str:
    cold, warm = found.rounds
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return f"One run; {cold} rounds cold, {warm} rounds warm; {versions}."


def _times(found: Results) -> Iterator[list[str]]:
    for row, times in found.times.items():
        ratios = [times[name] / times[YARDSTICK] for name in _names(found)]
        yield [row, *(f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" for ratio in ratios)]


def _costs(found: Results) -> Iterator[list[str]]:
    for step in STEPS:
        for name in _names(found):
            if name != YARDSTICK:
                cost = found.costs[name, step]
                calls, connections = cost.requests.total(), cost.connections
                yield [step, name, told(cost.aws.counts), str(calls or "none"), str(connections or "none")]


def _reads(found: Results) -> Iterator[list[str]]:
    for name, times in (("client library", found.reads.library), ("boto3 GetItem", found.reads.bare)):
        ratio = times.p50 / found.reads.bare.p50
        yield [name, f"{times.p50:.2f} ms", f"{times.p99:.2f} ms", f"{ratio:.2f}"]


def _sizes(sizes: Mapping[str, Sequence[Size]]) -> Iterator[list[str]]:
    for name, parts in sizes.items():
        for part in parts:
            yield [f"{name}: {part.name}", _megabytes(part.zipped), _megabytes(part.unzipped)]


def _budgets(found: Results) -> Iterator[list[str]]:
    for budget in budgets(found):
        yield [budget.what, budget.limit, budget.measured, "yes" if budget.holds else "**no**"]


def _names(found: Results) -> list[str]:
    """Contestants in the order of the tables: the yardstick, ours, the peers."""
    first = next(iter(found.times.values()))
    return [YARDSTICK, OURS, *(name for name in first if name not in (YARDSTICK, OURS))]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
