"""What is wrong with a settings file, said so that whoever wrote it can mend it.

Exception
  +-- ConfigurationError   one or more problems, each with file, line, path and what to do
"""

from collections.abc import Iterable
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Keys and list positions from the top of a YAML file down to one value."""


class Problem(NamedTuple):
    """One thing to mend. `line` counts from 1; 0 stands for the whole file."""

    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.text}" if self.path else f"{place}: {self.text}"


class ConfigurationError(Exception):
    """Settings that cannot be used.

    Args:
        problems: everything found wrong, at least one; the message has one line for each.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """A path as text: `link_keys[0].kid`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
