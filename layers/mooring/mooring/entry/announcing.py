"""The door of `announce`: batches of the table's stream.

Each record is on its own: it ends told, or comes again, or, where that cannot help, lies whole in the
bucket of the undelivered; so none holds up those behind it. Each ends with one log line.
"""

from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any, NamedTuple

from mooring.core.announcement import Change
from mooring.core.errors import ALARMS, Failure, Reason
from mooring.entry.http_api import Emit, Line, where
from mooring.flows.announce import Announced

Record = Mapping[str, Any]

_NOT_AGAIN = frozenset({Reason.MESSAGE_MALFORMED, Reason.EVENT_REFUSED, Reason.INTERNAL})
"""Trying again cannot help before another release."""


class Doors(NamedTuple):
    """What the door works with.

    Attributes:
        known: tells enabled providers; no other name becomes a metric's dimension.
        parse: reads one record.
        announce: tells changes; one answer for each.
        keep: puts a record into the bucket of the undelivered.
    """

    known: Callable[[str], bool]
    parse: Callable[[Record], Change]
    announce: Callable[[Sequence[Change]], Sequence[Announced]]
    keep: Callable[[Record], None]


class _Ending(NamedTuple):
    record: Record
    change: Change | None
    told: Announced
    at: str | None = None


def run(event: object, doors: Doors, emit: Emit) -> dict[str, Any]:
    """Handle one batch; the answer names the records that shall come again (partial batch response)."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    again = []
    for ending in _tell(records if isinstance(records, list) else [], doors):
        line, retry = _close(ending, doors)
        if retry:
            again.append({"itemIdentifier": _sequence_number(ending.record)})
        emit(line)
    return {"batchItemFailures": again}


def _tell(records: Sequence[Record], doors: Doors) -> list[_Ending]:
    read = [_read(record, doors) for record in records]
    good = [ending for ending in read if ending.change is not None]
    told = iter(_announce(good, doors))
    return [ending if ending.change is None else next(told) for ending in read]


def _read(record: Record, doors: Doors) -> _Ending:
    try:
        return _Ending(record, doors.parse(record), Announced(()))
    except Failure as failure:
        return _Ending(record, None, Announced((), failure))
    except Exception as error:  # noqa: BLE001 - one record's defect must not fail its batch mates
        return _defect(_Ending(record, None, Announced(())), error)


def _announce(good: Sequence[_Ending], doors: Doors) -> list[_Ending]:
    """All at once; after a defect one by one, so that only the one that has it is held back."""
    changes = [ending.change for ending in good if ending.change is not None]
    try:
        answers = doors.announce(changes)
        return [ending._replace(told=told) for ending, told in zip(good, answers, strict=True)]
    except Exception as error:  # noqa: BLE001 - see above
        if len(good) == 1:
            return [_defect(good[0], error)]
        return [ended for ending in good for ended in _announce([ending], doors)]


def _defect(ending: _Ending, error: Exception) -> _Ending:
    failure = Failure(Reason.INTERNAL, type(error).__name__)
    return ending._replace(told=Announced((), failure), at=where(error))


def _close(ending: _Ending, doors: Doors) -> tuple[Line, bool]:
    """The line of one record, and whether it shall come again."""
    counted, retry = _ended(ending, doors)
    # It rings even if the event cannot be put.
    lost = ending.change is not None and ending.change.lost
    counts = (counted, ("LossAnnounced", int(lost)))
    return _line(ending, doors)._replace(counts=tuple(one for one in counts if one[1])), retry


def _ended(ending: _Ending, doors: Doors) -> tuple[tuple[str, int], bool]:
    """What is counted of one record, and whether it shall come again."""
    failure = ending.told.failure
    if failure is None:
        return ("Announced", len(ending.told.detail_types)), False
    if failure.reason not in _NOT_AGAIN:
        return ("AnnounceFailed", 1), True
    try:
        doors.keep(ending.record)
    except Failure:
        return ("AnnounceFailed", 1), True
    return ("EventSetAside", 1), False


def _line(ending: _Ending, doors: Doors) -> Line:
    failure, change = ending.told.failure, ending.change
    line = Line(_outcome(ending.told), 200, token_hex(5), str(ending.record.get("eventID") or ""))
    line = line._replace(detail=", ".join(ending.told.detail_types) or None, at=ending.at)
    if failure is not None:
        line = line._replace(status=failure.status, reason=failure.reason.value)
        line = line._replace(detail=failure.detail or None, alarm=ALARMS.get(failure.reason))
    if change is None:
        return line
    row = change.after
    provider = row.provider if doors.known(row.provider) else None
    return line._replace(provider=provider, merchant_id=row.merchant_id, account_id=row.account_id)


def _outcome(told: Announced) -> str:
    if told.failure is not None:
        return "failed"
    return "announced" if told.detail_types else "ignored"


def _sequence_number(record: Record) -> str:
    """What Lambda knows a record by; without it, it takes the whole batch for failed."""
    return str((record.get("dynamodb") or {}).get("SequenceNumber") or "")
