"""`mooring export`: every connection in one file, the tokens sealed to a receiver's public key."""

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mooring.adapters.items import number_or_none
from mooring.adapters.kms import Kms
from mooring.adapters.rows import connection, sealed_field
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.connection import Connection
from mooring.core.errors import Failure, Reason
from mooring.core.ports import Sealer
from mooring_cli.envelope import CONTENT, Receiver, receiver_from
from mooring_cli.errors import CommandError
from mooring_cli.exportfile import Line, first_line, last_line, line
from mooring_cli.output import number, progress, say, show_json
from mooring_cli.roles import taking_on
from mooring_cli.rows import about, pages
from mooring_cli.stage import Stage, asking, find_stage

_THREADS = 8
_ATTEMPTS = 8
_OWNER_ONLY = 0o600
_WHERE = "docs/leaving.md"
_SHOWN = 5
_STANDING = ("merchant_id", "connection", "status", "generation", "version", "attempts")
_OWN = "@"

type Row = Mapping[str, Mapping[str, Any]]
type _Place = tuple[str, str]
type _Stood = tuple[str, int, int, bool]
"""Status, generation and version, and whether a refresh is under way or in doubt."""


@dataclass(slots=True)
class _Exported:
    """What was written. `seen` tells how each connection stood; `unreadable` are names."""

    seen: dict[_Place, _Stood] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    in_doubt: int = 0
    waiting: int = 0


def run(options: argparse.Namespace) -> int:
    """Write the file.

    Returns:
        1 when tokens of some connection could not be read, or some connection changed meanwhile.

    Raises:
        UsageError: the key cannot be used.
        CommandError: nothing was written; the message says why.
    """
    receiver = receiver_from(options.to)
    own = find_stage(options, Path.cwd())
    if options.file.exists():
        raise CommandError(f"{options.file} is there already. Name another file, or move it away")
    stage = taking_on(own, "export")
    with _new_file(options.file) as file:
        done = _write(stage, receiver, file)
        moved = _moved(stage, done)
    if options.json:
        show_json(_as_json(stage, options.file, done, moved))
    else:
        print(f"Exported {number(len(done.seen), 'connection')} of stage {stage.name} to {options.file}.")
    _remark(done, moved)
    return 1 if done.unreadable or moved else 0


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """A file of this name that nobody else can read, once it is whole; before that it has another name."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except OSError:
        raise CommandError(f"{path} cannot be written") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _write(stage: Stage, receiver: Receiver, file: TextIO) -> _Exported:
    done, client, table = _Exported(), stage.client("dynamodb"), stage.connections_table
    sealer = EnvelopeSealer(Kms(stage.client("kms", attempts=_ATTEMPTS)), time.time)
    exporter = _Exporter(sealer, receiver)
    head = (stage.name, stage.region, int(time.time()), receiver.algorithm, CONTENT, receiver.thumbprint)
    file.write(f"{first_line(*head)}\n")
    threads = 1 if stage.stack else _THREADS
    with asking(stage), progress("Exporting connections", lambda: about(client, table)) as step:
        for page in pages(client, table, (), step):
            done.waiting += sum(row["connection"]["S"].startswith(_OWN) for row in page)
            rows = [row for row in page if _is_connection(row)]
            with ThreadPoolExecutor(threads) as pool:
                for found, readable in pool.map(exporter.line, rows):
                    _count(done, found, readable=readable)
                    file.write(f"{line(found)}\n")
    file.write(f"{last_line(len(done.seen), len(done.unreadable))}\n")
    return done


class _Exporter:
    """Opens what is sealed here and seals it to the receiver."""

    def __init__(self, sealer: Sealer, receiver: Receiver) -> None:
        self._sealer = sealer
        self._receiver = receiver

    def line(self, row: Row) -> tuple[Line, bool]:
        """A connection's line, and whether its tokens could be read if it has some. Raises CommandError."""
        try:
            found = connection(row)
        except Failure as failure:
            raise CommandError(f"A row of the table cannot be understood ({failure.detail})") from None
        told = _told(row, found)
        if "access" not in row:
            return told, True
        try:
            tokens = {"access_token": self._open(row, found, "access")}
            refresh = self._open(row, found, "refresh") if "refresh" in row else None
        except Failure as failure:
            if failure.reason is not Reason.TOKEN_UNREADABLE:
                raise CommandError(_why(failure)) from None
            return told, False
        sealed = self._receiver.seal({**told.identity, **tokens, "refresh_token": refresh})
        return told.model_copy(update={"tokens": sealed}), True

    def _open(self, row: Row, found: Connection, name: str) -> str:
        sealed = sealed_field(row, name)
        return self._sealer.open(sealed, found.merchant_id, found.provider, found.account_id, name)


def _told(row: Row, found: Connection) -> Line:
    names = set(Line.model_fields) & set(found._fields) - {"scopes", "details"}
    return Line(
        **{name: getattr(found, name) for name in names},
        scopes=list(found.scopes),
        details=dict(found.details),
        refresh_expires_at=number_or_none(row, "refresh_expires_at"),
        uninstalled_at=number_or_none(row, "uninstalled_at"),
        due_at=number_or_none(row, "due_at"),
        in_doubt="attempts" in row,
        tokens=None,
    )


def _is_connection(row: Row) -> bool:
    return not (row["merchant_id"]["S"].startswith(_OWN) or row["connection"]["S"].startswith(_OWN))


def _count(done: _Exported, found: Line, *, readable: bool) -> None:
    place = (found.merchant_id, f"{found.provider}#{found.account_id}")
    done.seen[place] = (found.status.value, found.generation, found.version, found.in_doubt)
    done.in_doubt += found.in_doubt
    if not readable:
        done.unreadable.append(f"{found.merchant_id} {found.provider} {found.account_id}")


def _moved(stage: Stage, done: _Exported) -> int:
    """How many connections are not any more as they were written.

    Refreshed or about to be, connected, ended, erased or new since.
    """
    moved, client, table = 0, stage.client("dynamodb"), stage.connections_table
    gone = set(done.seen)
    with asking(stage), progress("Looking once more", lambda: len(done.seen)) as step:
        for page in pages(client, table, _STANDING, step):
            for row in page:
                if _is_connection(row):
                    place = (row["merchant_id"]["S"], row["connection"]["S"])
                    counts = int(row["generation"]["N"]), int(row["version"]["N"])
                    now = (row["status"]["S"], *counts, "attempts" in row)
                    moved += done.seen.get(place) != now
                    gone.discard(place)
    return moved + len(gone)


def _why(failure: Failure) -> str:
    if failure.reason is Reason.KEY_DENIED:
        return (
            f"KMS does not let you open tokens ({failure.detail}). Nothing was written. Only the role for "
            "exports may: docs/keys.md#the-roles-of-operators"
        )
    return f"KMS cannot be asked ({failure.detail}). Nothing was written. Run it again"


def _remark(done: _Exported, moved: int) -> None:
    for name in done.unreadable[:_SHOWN]:
        say(f"Without its tokens, which do not open here: {name}")
    if len(done.unreadable) > _SHOWN:
        say(f"and {len(done.unreadable) - _SHOWN:,} more.")
    if done.in_doubt:
        say(f"{number(done.in_doubt, 'connection')} in doubt: the last refresh was sent and not heard of.")
    if done.waiting:
        say(f"{number(done.waiting, 'set')} of tokens that wait for confirmation are not among them.")
    if moved:
        say(
            f"{number(moved, 'connection')} changed meanwhile, so the file may hold refresh tokens that are "
            "spent, or tokens of what has ended. Stop the refresh, and export again: "
            f"{_WHERE}#leaving-step-by-step"
        )


def _as_json(stage: Stage, path: Path, done: _Exported, moved: int) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "region": stage.region,
        "file": str(path),
        "connections": len(done.seen),
        "without_tokens": done.unreadable,
        "in_doubt": done.in_doubt,
        "waiting": done.waiting,
        "changed_meanwhile": moved,
    }
