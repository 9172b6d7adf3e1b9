"""`mooring forget`: erase every row of a merchant, and prove it."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mooring.adapters.revocation_queue import SqsRevocations
from mooring.core.errors import Failure
from mooring_cli.errors import CommandError, UsageError
from mooring_cli.names import check_names
from mooring_cli.output import agreed, number, progress, say, show_json
from mooring_cli.queues import waiting_in
from mooring_cli.service import Service, find_api
from mooring_cli.stage import Stage, asking
from mooring_cli.traces import LIVING, UNDER_WAY_SECONDS, Eraser, Trace, Traces

_ROUNDS = 3
_LOOK_SECONDS = 1
_WHERE = "docs/runbook.md#a-merchant-wants-to-be-forgotten"
_NOUNS = {
    "connections": "connection",
    "waiting": "unconfirmed connection",
    "pointers": "pointer",
    "links": "link",
    "confirmations": "confirmation",
}
_REVOKE = "revoke"
_NOT_YET, _QUEUED = "under_way", "queued"
_TOLD = {_NOT_YET: "not known yet", _QUEUED: "queued, of unconfirmed ones"}


def run(options: argparse.Namespace) -> int:
    """Disconnect what lives, wait for its revocation, erase all rows, and look whether any is left.

    Returns:
        1 when a row is left.

    Raises:
        UsageError: no merchant has such an id, or nobody can be asked.
        CommandError: it was broken off; run again it goes on.
    """
    check_names(options.merchant)
    if not (options.yes or sys.stdin.isatty()):
        raise UsageError("Nobody can be asked here. To forget a merchant without a question, add --yes")
    api, stage = find_api(options, Path.cwd())
    work = _Forgetting(stage, Service(api), options.merchant, options.wait)
    found = work.look("Looking for rows")
    if found.total and not (options.yes or _agreed(options.merchant, found)):
        raise CommandError("Nothing was changed.")
    left = work.erase(found)
    if options.json:
        show_json(work.as_json(left))
    else:
        work.show(left)
    _remark(stage, work, left)
    return 1 if left.total else 0


def _agreed(merchant: str, found: Traces) -> bool:
    living = sum(trace.status in LIVING for trace in found.connections)
    first = f" {number(living, 'connection')} disconnected first." if living else ""
    return agreed(f"Erase {_listed(found.counts())} of {merchant} for good?{first}")


class _Forgetting:
    """One merchant's way out.

    `erased` counts rows by kind, `revocations` connections by how revoking went.
    """

    def __init__(self, stage: Stage, service: Service, merchant_id: str, wait: int) -> None:
        self._stage = stage
        self._service = service
        self._merchant_id = merchant_id
        self._wait = wait
        self._eraser = Eraser(stage, merchant_id)
        self.erased = Counter[str]()
        self.disconnected = 0
        self.revocations = Counter[str]()

    def look(self, what: str) -> Traces:
        """What there is of the merchant. Raises CommandError."""
        with asking(self._stage):
            return self._eraser.find(what)

    def erase(self, found: Traces) -> Traces:
        """Erase what was found, and what is found then; what is left. Raises CommandError."""
        for _ in range(_ROUNDS):
            if not found.total:
                break
            try:
                self._disconnect([trace for trace in found.connections if trace.status in LIVING])
                self._revoke_unconfirmed(found.waiting)
                with asking(self._stage):
                    self._eraser.erase(found, int(time.time()))
                left = self.look("Looking once more")
            except CommandError as error:
                again = f"mooring forget {self._merchant_id}{self._stage.options}"
                raise CommandError(f"{str(error).rstrip('.')}. It is not finished. Go on: {again}") from None
            before, after = found.counts(), left.counts()
            self.erased.update({kind: max(0, before[kind] - after[kind]) for kind in before})
            found = left
        return found

    def _disconnect(self, living: Sequence[Trace]) -> None:
        """Through the API, as anybody would: the change of the row is what has the tokens revoked."""
        for trace in living:
            self._service.disconnect(self._merchant_id, trace.provider, trace.account_id)
            self.disconnected += 1
        if living:
            self._wait_for_revocations(list(living))

    def _revoke_unconfirmed(self, waiting: Sequence[str]) -> None:
        """What nobody confirmed has no connection to disconnect, so its tokens are queued from here."""
        if not waiting:
            return
        with asking(self._stage):
            sqs = self._stage.client("sqs")
            queue = SqsRevocations(sqs, self._stage.queue_url(_REVOKE, sqs))
            for connection in waiting:
                if revocation := self._eraser.unconfirmed(connection):
                    try:
                        queue.ask(revocation)
                    except Failure as failure:
                        raise CommandError(f"The queue {_REVOKE} takes nothing ({failure.detail})") from None
                    self.revocations[_QUEUED] += 1

    def _wait_for_revocations(self, waiting: list[Trace]) -> None:
        """The rows say how it went, so they stay for a while; revoking itself does not need them."""
        deadline, total = time.monotonic() + self._wait, len(waiting)
        with asking(self._stage), progress("Revoking at providers", lambda: total) as step:
            while True:
                known = [(trace, word) for trace in waiting if (word := self._eraser.revocation(trace))]
                self.revocations.update(word for _, word in known)
                step(len(known))
                told = {trace for trace, _ in known}
                waiting = [trace for trace in waiting if trace not in told]
                if not waiting or time.monotonic() >= deadline:
                    break
                time.sleep(min(_LOOK_SECONDS, max(0, deadline - time.monotonic())))
        self.revocations[_NOT_YET] += len(waiting)

    def show(self, left: Traces) -> None:
        """Print what was erased and what is left."""
        erased = {kind: count for kind, count in self.erased.items() if count}
        print(f"Erased of {self._merchant_id}: {_listed(erased) if erased else 'nothing'}.")
        if self.disconnected:
            print(f"{number(self.disconnected, 'connection')} disconnected first.")
        if told := ", ".join(f"{n:,} {_told(word)}" for word, n in sorted(self.revocations.items()) if n):
            print(f"Revoking at providers: {told}.")
        if left.total:
            print(f"Still there: {_listed(left.counts())}.")
        else:
            print("Both tables were read once more: no row is left.")

    def as_json(self, left: Traces) -> dict[str, Any]:
        """The same for programs."""
        return {
            "stage": self._stage.name,
            "region": self._stage.region,
            "merchant_id": self._merchant_id,
            "disconnected": self.disconnected,
            "revocations": {word: count for word, count in self.revocations.items() if count},
            "erased": {kind: self.erased[kind] for kind in _NOUNS},
            "left": left.counts(),
        }


def _told(word: str) -> str:
    return _TOLD.get(word, word)


def _listed(counts: dict[str, int]) -> str:
    parts = [number(count, _NOUNS[kind]) for kind, count in counts.items() if count]
    return ", ".join(parts) or "nothing"


def _remark(stage: Stage, work: _Forgetting, left: Traces) -> None:
    if left.flows:
        say(
            f"A flow of this merchant came back within the last {UNDER_WAY_SECONDS} s, and may be under way. "
            "Run it again in a minute"
        )
    if left.connections or left.waiting:
        say("The merchant connects again this moment. Stop signing links for it, and run it again")
    if work.revocations["failed"]:
        say(
            f"{number(work.revocations['failed'], 'connection')} could not be revoked at the provider. The "
            "sealed tokens lie in revoke-dead: docs/runbook.md#dead-letters"
        )
    if waiting := waiting_in(stage, ("recovery", "recovery-dead")):
        say(
            f"{number(waiting, 'message')} in the recovery queue and its dead letters: one of this merchant "
            "would store it again. Run it again when they are gone"
        )
    say(
        f"What is not in the tables stays for its time: backups of them for 35 days, log lines, messages, "
        f"export files, and whatever heard of it by events: {_WHERE}"
    )
