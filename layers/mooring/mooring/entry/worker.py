"""The refresh function's two doors: batches of queue messages, and one order at once.

Each message is on its own: what one does or raises touches no other (partial batch responses), and each
ends with a log line; one about an account, with a line for each merchant who has it.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import Any, NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Answer, Cause, Confirm, Hint, Key, Order, Recovered, Refreshed, Search, Work
from mooring.entry.http_api import Emit, Line, where, where_from
from mooring.entry.invocation import Left, line_of

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
    work: Callable[[Work, Left], Done]
    parse_recovery: Callable[[str], Recovered | Refreshed]
    recover: Callable[[Recovered | Refreshed], Done]
    again_soon: Callable[[str], None]
    parse_order: Callable[[object], Order]
    keep: Callable[[Order, Left], Answer]
    answer_of: Callable[[Answer], dict[str, Any]]


def run(event: object, doors: Doors, left: Left, emit: Emit) -> dict[str, Any]:
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
                emit(line)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}


class _Ending(NamedTuple):
    message_id: str
    lines: Sequence[Line]
    again: bool = False


def _record(record: Mapping[str, Any], doors: Doors, left: Left) -> _Ending:
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
            done = doors.work(item, left) or _nobodys(item)
        return _Ending(message_id, [_line(key, answer, message_id, doors) for key, answer in done])
    except Failure as failure:
        # What is due is found again by the next sweep; all else has only its message.
        due = isinstance(item, Order) and item.cause is Cause.DUE
        answer = Answer("failed", failure.reason, detail=failure.detail)
        line = _line(_key(item), answer, message_id, doors)._replace(at=where_from(failure))
        again = not due and failure.reason not in _NOT_AGAIN
    except Exception as error:  # noqa: BLE001 - one record's defect must not fail its batch mates
        answer = Answer("failed", Reason.INTERNAL, detail=type(error).__name__)
        line, again = _line(_key(item), answer, message_id, doors)._replace(at=where(error)), True
    if again and answer.reason is not Reason.MESSAGE_MALFORMED:
        _hurry(record, doors)
    return _Ending(message_id, [line], again)


def _nobodys(item: Work) -> Done:
    """What is told of a notice whose account no merchant has; it has no key, and is told all the same."""
    if not isinstance(item, (Hint, Search)):
        return []
    return [(Key("", item.provider, item.account_id), Answer("ignored", detail="nobody has the account"))]


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


def _order(event: object, doors: Doors, left: Left, emit: Emit) -> dict[str, Any]:
    key = None
    try:
        order = doors.parse_order(event)
        key = order.key
        answer, at = doors.keep(order, left), None
    except Failure as failure:
        answer, at = Answer("failed", failure.reason, detail=failure.detail), where_from(failure)
    except Exception as error:  # noqa: BLE001 - the caller gets an answer, never a traceback
        answer, at = Answer("failed", Reason.INTERNAL, detail=type(error).__name__), where(error)
    emit(_line(key, answer, "", doors)._replace(at=at))
    return doors.answer_of(answer)


def _line(key: Key | None, answer: Answer, message_id: str, doors: Doors) -> Line:
    return line_of(answer, key, message_id, _counts(answer), doors.known)


def _counts(answer: Answer) -> tuple[tuple[str, int], ...]:
    if answer.word != "failed":
        news = (("ConnectionExpiring", 1),) if answer.expiring else ()
        return ((_METRICS.get(answer.word, "Skipped"), 1), *news)
    return (("NeedsReconnect" if answer.reason in _ENDED else "RefreshFailed", 1),)
