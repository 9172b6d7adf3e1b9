"""The refresh function's two doors: batches of queue messages, and one order at once.

Each message is on its own: what one does or raises touches no other (partial batch responses), and each
ends with one log line.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from secrets import token_hex
from typing import Any, NamedTuple

from mooring.core.errors import ALARMS, Failure, Reason
from mooring.core.upkeep import Answer, Cause, Confirm, Key, Order, Recovered, Refreshed, Work
from mooring.entry.http_api import Emit, Line, where

_METRICS = {
    "refreshed": "Refreshed",
    "uninstalled": "Uninstalled",
    "recovered": "Recovered",
    "probed": "Probed",
}
_ENDED = frozenset({Reason.GRANT_REFUSED, Reason.LOST_ROTATION, Reason.TOKEN_REFUSED, Reason.TOKEN_EXPIRED})
_NOT_AGAIN = frozenset({Reason.PROVIDER_UNKNOWN, Reason.TOKEN_LOST})
"""Trying again cannot help: the provider is disabled here, or there is nothing left to store."""

Done = Sequence[tuple[Key | None, Answer]]


class Doors(NamedTuple):
    """What the worker works with.

    Attributes:
        known: tells enabled providers; no other name becomes a metric's dimension.
        is_recovery: tells from an event source's ARN whether it is the recovery queue.
        parse: reads a message of the refresh queue.
        work: does one piece of work within the time left.
        parse_recovery: reads a message of the recovery queue.
        recover: stores what one brought.
        again_soon: lets a message of the recovery queue (its receipt handle) come again within seconds.
        parse_order: reads the order of a direct invocation.
        keep: does an order within the time left.
        answer_of: renders its answer.
    """

    known: Callable[[str], bool]
    is_recovery: Callable[[str], bool]
    parse: Callable[[str], Work]
    work: Callable[[Work, Callable[[], float]], Done]
    parse_recovery: Callable[[str], Recovered | Refreshed]
    recover: Callable[[Recovered | Refreshed], Done]
    again_soon: Callable[[str], None]
    parse_order: Callable[[object], Order]
    keep: Callable[[Order, Callable[[], float]], Answer]
    answer_of: Callable[[Answer], dict[str, Any]]


def run(event: object, doors: Doors, left: Callable[[], float], emit: Emit) -> dict[str, Any]:
    """Handle one invocation: `Records` of a queue, or one order."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        return _order(event, doors, left, emit)
    again = []
    with ThreadPoolExecutor(max(1, len(records))) as pool:
        # Told as each ends: were Lambda to end us, what is done would still be known, and ring.
        for done in as_completed([pool.submit(_record, record, doors, left) for record in records]):
            ending = done.result()
            again += [ending.message_id] if ending.again else []
            for line in ending.lines:
                emit(_enabled(line, doors))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}


class _Ending(NamedTuple):
    message_id: str
    lines: Sequence[Line]
    again: bool = False


def _record(record: Mapping[str, Any], doors: Doors, left: Callable[[], float]) -> _Ending:
    """One message; nothing that happens in it leaves it."""
    message_id = str(record.get("messageId"))
    item: Work | Recovered | Refreshed | None = None
    try:
        body = str(record.get("body"))
        if doors.is_recovery(str(record.get("eventSourceARN"))):
            item = doors.parse_recovery(body)
            done = doors.recover(item)
        else:
            item = doors.parse(body)
            done = doors.work(item, left)
        return _Ending(message_id, [_line(key, answer, message_id) for key, answer in done])
    except Failure as failure:
        # What is due is found again by the next sweep; all else has only its message.
        due = isinstance(item, Order) and item.cause is Cause.DUE
        answer = Answer("failed", failure.reason, detail=failure.detail)
        line = _line(_key(item), answer, message_id)
        again = not due and failure.reason not in _NOT_AGAIN
    except Exception as error:  # noqa: BLE001 - one record's defect must not fail its batch mates
        answer = Answer("failed", Reason.INTERNAL, detail=type(error).__name__)
        line, again = _line(_key(item), answer, message_id)._replace(at=where(error)), True
    if again and answer.reason is not Reason.MESSAGE_MALFORMED:
        _hurry(record, doors)
    return _Ending(message_id, [line], again)


def _hurry(record: Mapping[str, Any], doors: Doors) -> None:
    """What lies on the recovery queue must be stored before its token is used once more."""
    if doors.is_recovery(str(record.get("eventSourceARN"))):
        with suppress(Failure):  # it comes again in any case
            doors.again_soon(str(record.get("receiptHandle")))


def _key(item: Work | Recovered | Refreshed | None) -> Key | None:
    """The one connection that a message is about, if it was understood and is about one."""
    if isinstance(item, Recovered):
        return Key(item.new.merchant_id, item.new.provider, item.new.account.account_id)
    return item.key if isinstance(item, (Order, Confirm, Refreshed)) else None


def _order(event: object, doors: Doors, left: Callable[[], float], emit: Emit) -> dict[str, Any]:
    key = None
    try:
        order = doors.parse_order(event)
        key = order.key
        answer, at = doors.keep(order, left), None
    except Failure as failure:
        answer, at = Answer("failed", failure.reason, detail=failure.detail), None
    except Exception as error:  # noqa: BLE001 - the caller gets an answer, never a traceback
        answer, at = Answer("failed", Reason.INTERNAL, detail=type(error).__name__), where(error)
    emit(_enabled(_line(key, answer, "")._replace(at=at), doors))
    return doors.answer_of(answer)


def _line(key: Key | None, answer: Answer, message_id: str) -> Line:
    reason, failed = answer.reason, answer.word == "failed"
    line = Line(
        answer.word,
        (reason and failed and Failure(reason).status) or 200,
        token_hex(5),
        message_id,
        reason=reason.value if reason else None,
        alarm=ALARMS.get(reason) if reason and failed else None,
        detail=answer.detail or None,
        until=answer.until or None,
        counts=_counts(answer),
    )
    if key is None:
        return line
    return line._replace(provider=key.provider, merchant_id=key.merchant_id, account_id=key.account_id)


def _enabled(line: Line, doors: Doors) -> Line:
    return line if line.provider and doors.known(line.provider) else line._replace(provider=None)


def _counts(answer: Answer) -> tuple[tuple[str, int], ...]:
    if answer.word != "failed":
        news = (("ConnectionExpiring", 1),) if answer.expiring else ()
        return ((_METRICS.get(answer.word, "Skipped"), 1), *news)
    return (("NeedsReconnect" if answer.reason in _ENDED else "RefreshFailed", 1),)
