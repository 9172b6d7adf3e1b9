"""The door of `revoke`: batches of the queue of revocations.

Each message is on its own and ends with one log line. One that failed says itself when it comes again, each
time later; after `TRIES` of them it lies in the dead-letter queue.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import Any, NamedTuple

from mooring.core.errors import Failure, Reason, TokenCallFailure
from mooring.core.revocation import TRIES, Revocation, tried_again_in
from mooring.core.upkeep import Answer
from mooring.entry.http_api import Emit, Line, where, where_from
from mooring.entry.invocation import Left, line_of

_METRICS = {"revoked": "Revoked", "unsupported": "RevocationUnsupported", "skipped": "RevocationSkipped"}


class Doors(NamedTuple):
    """What the door works with.

    Attributes:
        known: tells enabled providers; no other name becomes a metric's dimension.
        parse: reads a message.
        revoke: revokes what it brought within the time left; told whether this is the last try.
        again_in: lets a message (its receipt handle) come again in so many seconds.
        jitter: returns a number from 0 to 1.
    """

    known: Callable[[str], bool]
    parse: Callable[[str], Revocation]
    revoke: Callable[[Revocation, Left, bool], Answer]
    again_in: Callable[[str, int], None]
    jitter: Callable[[], float]


class _Ending(NamedTuple):
    message_id: str
    line: Line
    again: bool


def run(event: Mapping[str, Any], doors: Doors, left: Left, emit: Emit) -> dict[str, Any]:
    """Handle one batch; the answer names the messages that stay in the queue."""
    records: Sequence[Mapping[str, Any]] = event.get("Records") or []
    again = []
    with ThreadPoolExecutor(max(1, len(records))) as pool:
        for done in as_completed([pool.submit(_record, record, doors, left) for record in records]):
            ending = done.result()
            again += [ending.message_id] if ending.again else []
            emit(ending.line)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}


def _record(record: Mapping[str, Any], doors: Doors, left: Left) -> _Ending:
    """One message; nothing that happens in it leaves it."""
    message_id, tries = str(record.get("messageId")), _tries(record)
    revocation, at, pause = None, None, 0
    try:
        revocation = doors.parse(str(record.get("body")))
        answer = doors.revoke(revocation, left, tries >= TRIES)
    except Failure as failure:
        answer = Answer("failed", failure.reason, detail=failure.detail)
        at = where_from(failure)
        pause = failure.retry_after or 0 if isinstance(failure, TokenCallFailure) else 0
    except Exception as error:  # noqa: BLE001 - one record's defect must not fail its batch mates
        answer, at = Answer("failed", Reason.INTERNAL, detail=type(error).__name__), where(error)
    again = answer.word == "failed"
    if again and answer.reason is not Reason.MESSAGE_MALFORMED:
        with suppress(Failure):  # it comes again in any case
            # After the last try it is received no more: SQS then moves it to the dead letters.
            seconds = 0 if tries >= TRIES else tried_again_in(tries, doors.jitter(), pause)
            doors.again_in(str(record.get("receiptHandle")), seconds)
    return _Ending(message_id, _line(revocation, answer, message_id, doors)._replace(at=at), again)


def _tries(record: Mapping[str, Any]) -> int:
    """How often the message was received, this time included; as SQS counts."""
    counted = str((record.get("attributes") or {}).get("ApproximateReceiveCount", ""))
    return int(counted) if counted.isascii() and counted.isdigit() else 1


def _line(revocation: Revocation | None, answer: Answer, message_id: str, doors: Doors) -> Line:
    counts = (("RevokeFailed" if answer.word == "failed" else _METRICS[answer.word], 1),)
    return line_of(answer, revocation and revocation.key, message_id, counts, doors.known)
