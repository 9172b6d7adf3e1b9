"""Printing: one line, a table, or JSON; a table is only drawn for people."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


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


def moment(seconds: int | None) -> str:
    """Epoch seconds as a UTC time, or `never`."""
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def say(text: str) -> None:
    """Print a remark for people: on standard error, so that it is in no one's pipe."""
    print(text, file=sys.stderr)
