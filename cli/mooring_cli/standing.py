"""What becomes of a line of an export file, given the row that stands in its place. Rules only.

The condition of the write decides (`operator_transitions.imported`); this foresees it, for a dry run and so
that no key is asked for in vain. What it cannot see is a refresh under way, and a notice of an uninstall.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mooring.adapters.items import number_or_none
from mooring.adapters.operator_transitions import ENDED, says_given_up
from mooring.core.connection import Connection, Status
from mooring.core.errors import Reason
from mooring_cli.exportfile import Line

ATTRIBUTES = ("status", "generation", "version", "connected_at", "issued_at", "updated_at", "attempts")
"""What has to be read of the row: no token, sealed or not."""
_LIVING = (Status.ACTIVE, Status.NEEDS_RECONNECT)

type Row = Mapping[str, Mapping[str, Any]]


class Done(StrEnum):
    """What became of a line; the first two are written."""

    IMPORTED = "imported"
    ENDED = "ended"
    THERE = "already_there"
    NEWER = "newer_here"
    OUTLIVED = "refreshed_since"
    UNINSTALLED = "uninstalled_since"


WRITTEN = (Done.IMPORTED, Done.ENDED)


def arriving(found: Line) -> Connection:
    """The connection as it comes here: what lived and comes without tokens has to be connected again."""
    connection = found.connection()
    if connection.status is not Status.ACTIVE or found.tokens is not None:
        return connection
    return connection._replace(
        status=Status.NEEDS_RECONNECT, last_error=Reason.TOKEN_UNREADABLE.value, expiring_at=None
    )


def in_doubt(found: Line, *, refreshable: bool) -> bool:
    """Whether its refresh token may be spent, and somebody is going to find out with it."""
    return found.in_doubt and refreshable and found.status is Status.ACTIVE


def foreseen(found: Line, row: Row | None, *, refreshable: bool) -> Done:
    """What will become of a line.

    Args:
        found: the line.
        row: what stands here, as DynamoDB writes it, or None.
        refreshable: whether a refresh token comes with it.
    """
    written = Done.IMPORTED
    if row is None:
        return written
    status, since = row["status"]["S"], int(row["connected_at"]["N"])
    here, there = _counts(row), (found.generation, found.version)
    lives = status in _LIVING
    if lives and found.status in ENDED:
        written = Done.ENDED
    if (here, since) == (there, found.connected_at):
        return written if _is_news(found, row, refreshable=refreshable) else _of_the_same(found, status)
    if since > found.connected_at or here > there:
        outlived = written is Done.ENDED and (here[0], since) == (there[0], found.connected_at)
        return Done.OUTLIVED if outlived else Done.NEWER
    if lives or (int(row["updated_at"]["N"]) < found.connected_at and (here == there or here[0] < there[0])):
        return written
    return Done.NEWER


def _counts(row: Row) -> tuple[int, int]:
    return int(row["generation"]["N"]), int(row["version"]["N"])


def _is_news(found: Line, row: Row, *, refreshable: bool) -> bool:
    """Whether something became of this connection, or of these very tokens, that is not known here."""
    status, connection = row["status"]["S"], arriving(found)
    if connection.status in ENDED:
        return status in _LIVING
    if status != Status.ACTIVE or number_or_none(row, "issued_at") != found.issued_at:
        return False
    doubted = in_doubt(found, refreshable=refreshable) and "attempts" not in row
    return says_given_up(connection) or doubted


def _of_the_same(found: Line, status: str) -> Done:
    """Of the same tokens, where nothing became of them there: it stands here so already, or more did here."""
    if status in ENDED:
        return Done.THERE if found.status in ENDED else Done.NEWER
    given_up_here = status == Status.NEEDS_RECONNECT and arriving(found).status is Status.ACTIVE
    return Done.NEWER if given_up_here else Done.THERE
