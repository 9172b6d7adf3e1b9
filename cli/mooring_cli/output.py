"""Printing: one line, a table, or JSON; tables, colours and progress are only drawn for people.

What is drawn keeps to NO_COLOR (https://no-color.org), which rich reads itself.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def show_json(value: Any) -> None:
    """Print `value` as JSON, indented for people and on one line for programs."""
    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, else plain columns under a line of headings."""
    if sys.stdout.isatty():
        _draw(columns, rows)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def show_marked(style: str, mark: str, text: str) -> None:
    """Print a line that begins with a mark; on a terminal the mark has the style (rich's words)."""
    if not sys.stdout.isatty():
        print(f"{mark}{text}")
        return
    from rich.console import Console
    from rich.text import Text

    Console(highlight=False).print(Text.assemble((mark, style), text), soft_wrap=True)


def agreed(question: str) -> bool:
    """Whether the answer is yes. Asked on standard error: standard output holds the result alone."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def progress(what: str, total: Callable[[], int | None]) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error while the block runs, if that is a terminal.

    Args:
        what: what is being done.
        total: how many steps there are, as far as is known; only asked when a bar is drawn.

    Yields:
        A function that is told of so many steps more.
    """
    if not sys.stderr.isatty():
        yield lambda _steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total() or None)
        yield lambda steps: bar.advance(task, steps)


def moment(seconds: int | None) -> str:
    """Epoch seconds as a UTC time, or `never`."""
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: int) -> str:
    """A duration in one unit, of which there are at least two: `119 s`, `12 min`, `3 h`, `5 days`."""
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def number(count: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say(text: str) -> None:
    """Print a remark for people: on standard error, so that it is in no one's pipe."""
    print(text, file=sys.stderr)
