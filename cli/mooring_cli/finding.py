"""What an examination finds."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad: nothing, worth knowing, or somebody has to act."""

    OK = "ok"
    NOTE = "note"
    ATTENTION = "attention"


class Finding(NamedTuple):
    """One line of the examination; `advice` and `runbook` (an anchor) are empty where none is needed."""

    name: str
    level: Level
    text: str
    advice: str = ""
    runbook: str = ""
