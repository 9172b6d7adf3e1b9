"""`mooring import`: the connections of an export file into this installation, sealed under its own key."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring.adapters.kms import Kms
from mooring.adapters.operator_transitions import Moved, import_parts
from mooring.adapters.patience import refused_part
from mooring.adapters.rows import projection
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.names import connection_key
from mooring.core.tokens import SealedTokens
from mooring_cli.envelope import NotOpened, Opener, opener_from
from mooring_cli.errors import CommandError, UsageError
from mooring_cli.exportfile import (
    Head,
    Line,
    Problem,
    check_whole,
    connections_in,
    read_line,
    read_tokens,
)
from mooring_cli.output import agreed, moment, number, progress, say, show_json
from mooring_cli.project import enabled_providers
from mooring_cli.stage import LOCAL, Stage, asking, find_stage, physical
from mooring_cli.standing import ATTRIBUTES, WRITTEN, Done, Row, arriving, foreseen, in_doubt

_ATTEMPTS = 8
_SHOWN = 10
_ROW, _TOMBSTONE = 0, 1
_SAID = {
    Done.THERE: "there already",
    Done.NEWER: "left alone, because what stands here is newer, has ended, or is being refreshed",
    Done.OUTLIVED: "left alone, because it was refreshed here since, though it ended in the other place",
    Done.UNINSTALLED: "left out, because the account removed the app since",
}


def run(options: argparse.Namespace) -> int:
    """Import a file, line by line; what is there already is passed over, so it can be run again.

    Returns:
        1 when some line could not be imported.

    Raises:
        UsageError: the key cannot be used, or nobody can be asked.
        CommandError: the file is not whole, or AWS does not let us.
    """
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise UsageError("Nobody can be asked here. To import without a question, add --yes; or --dry-run")
    opener = opener_from(options.key)
    head, count = check_whole(options.file)
    if head.kid != opener.thumbprint:
        raise UsageError(f"{options.file} was sealed to another key, the one with the thumbprint {head.kid}")
    stage = find_stage(options, Path.cwd())
    if not (options.yes or options.dry_run or _agreed(head, count, stage)):
        raise CommandError("Nothing was changed.")
    work = _Import(stage, opener, write=not options.dry_run)
    with progress("Importing connections", lambda: count) as step:
        for line_number, text in connections_in(options.file):
            work.line(line_number, text)
            step(1)
    if options.json:
        show_json(work.as_json(options.file))
    else:
        work.show()
    work.remark(_enabled(stage))
    return 1 if work.failed else 0


def _agreed(head: Head, count: int, stage: Stage) -> bool:
    what = f"{number(count, 'connection')} of stage {head.stage}, exported {moment(head.exported_at)}"
    return agreed(f"Import {what}, into stage {stage.name}?")


def _enabled(stage: Stage) -> frozenset[str] | None:
    if stage.stack:
        return frozenset(stage.stack.providers) or None
    project = enabled_providers(Path.cwd())
    return project.ids if project else None


class _Import:
    """One file's way into one installation."""

    def __init__(self, stage: Stage, opener: Opener, *, write: bool) -> None:
        self._stage = stage
        self._opener = opener
        self._write = write
        self._client = stage.client("dynamodb")
        key = f"alias/{physical(LOCAL if stage.stack else stage.name, 'token')}"
        self._sealer = EnvelopeSealer(Kms(stage.client("kms", attempts=_ATTEMPTS), key), time.time)
        self.done = Counter[Done]()
        self.failed: dict[int, str] = {}
        self._outlived: list[str] = []
        self._providers = Counter[str]()

    def line(self, line_number: int, text: str) -> None:
        """Import one line. Raises CommandError when no line can be."""
        try:
            found = read_line(text)
            done = self._import(found)
        except (Problem, NotOpened) as problem:
            self.failed[line_number] = str(problem)
            return
        self.done[done] += 1
        self._providers[found.provider] += 1
        if done is Done.OUTLIVED:
            self._outlived.append(f"{found.merchant_id} {found.provider} {found.account_id}")

    def _import(self, found: Line) -> Done:
        # A line with a mistake is told of also where nothing would be written.
        tokens = None
        if found.tokens is not None:
            tokens = read_tokens(self._opener.open(found.tokens), found)
        refreshable = tokens is not None and tokens.refresh_token is not None
        done = foreseen(found, self._standing(found), refreshable=refreshable)
        if done not in WRITTEN or not self._write:
            return done
        sealed = None
        if tokens is not None:
            sealed = self._seal(found, tokens.access_token, tokens.refresh_token)
        return self._store(_moved(found, sealed), done)

    def _standing(self, found: Line) -> Row | None:
        where = {
            "merchant_id": {"S": found.merchant_id},
            "connection": {"S": connection_key(found.provider, found.account_id)},
        }
        with asking(self._stage):
            answer = self._client.get_item(
                TableName=self._stage.connections_table,
                Key=where,
                ConsistentRead=True,
                **projection(ATTRIBUTES),
            )
        row: Row | None = answer.get("Item")
        return row

    def _seal(self, found: Line, access: str, refresh: str | None) -> SealedTokens:
        try:
            keys = self._sealer.prepare(found.merchant_id, found.provider)
        except Failure as failure:
            again = (
                "docs/runbook.md#alarm-key-denied" if failure.reason is Reason.KEY_DENIED else "Run it again"
            )
            raise CommandError(
                f"KMS gives no data key ({failure.detail}). What was imported by now stays. {again}"
            ) from None
        return SealedTokens(
            access=keys.seal("access", found.account_id, access),
            refresh=keys.seal("refresh", found.account_id, refresh) if refresh else None,
            scopes=tuple(found.scopes),
            expires_at=found.expires_at,
            refresh_expires_at=found.refresh_expires_at,
            details=found.details,
        )

    def _store(self, moved: Moved, done: Done) -> Done:
        tables = self._stage.connections_table, self._stage.flows_table
        parts = import_parts(*tables, moved, int(time.time()))
        cancelled = self._client.exceptions.TransactionCanceledException
        with asking(self._stage):
            try:
                self._client.transact_write_items(TransactItems=parts)
            except cancelled as error:
                if len(parts) > _TOMBSTONE and refused_part(error.response, _TOMBSTONE):
                    return Done.UNINSTALLED
                if not refused_part(error.response, _ROW):
                    raise
                return Done.NEWER
        return done

    def show(self) -> None:
        """Print what became of the lines."""
        imported, ended = ("imported", "ended") if self._write else ("would be imported", "would end")
        print(f"{number(self.done[Done.IMPORTED], 'connection')} {imported}.")
        told = {Done.ENDED: f"{ended} here, after a disconnect or an uninstall in the other place", **_SAID}
        for each, text in told.items():
            if self.done[each]:
                print(f"{self.done[each]:,} {text}.")

    def remark(self, enabled: frozenset[str] | None) -> None:
        """Say what failed, and what will not work here."""
        for line_number, problem in list(self.failed.items())[:_SHOWN]:
            say(f"Line {line_number} was not imported: {problem}")
        if len(self.failed) > _SHOWN:
            say(f"and {number(len(self.failed) - _SHOWN, 'line')} more. All of them: add --json")
        for name in self._outlived[:_SHOWN]:
            say(f"It lives on here. To end it: mooring disconnect {name}{self._stage.options}")
        for provider, count in sorted(self._providers.items()):
            if enabled is not None and provider not in enabled:
                say(f"{provider} is not enabled here: nothing refreshes its {number(count, 'connection')}.")

    def as_json(self, path: Path) -> dict[str, Any]:
        """The same for programs."""
        counts: Mapping[str, int] = {each.value: self.done[each] for each in Done}
        return {
            "stage": self._stage.name,
            "region": self._stage.region,
            "file": str(path),
            "dry_run": not self._write,
            **counts,
            "live_on": self._outlived,
            "failed": {str(line_number): problem for line_number, problem in self.failed.items()},
        }


def _moved(found: Line, tokens: SealedTokens | None) -> Moved:
    connection = arriving(found)
    due_at = found.due_at if connection.status is Status.ACTIVE else None
    doubtful = in_doubt(found, refreshable=tokens is not None and tokens.refresh is not None)
    return Moved(connection, tokens, due_at, found.uninstalled_at, doubtful)
