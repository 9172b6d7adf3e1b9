"""What every function says of an invocation: the time that is left, and the line of an answer."""

from collections.abc import Callable
from secrets import token_hex
from typing import Any

from mooring.core.errors import ALARMS, Failure
from mooring.core.upkeep import Answer, Key
from mooring.entry.http_api import Line

Left = Callable[[], float]
"""Tells how many seconds are left before Lambda ends the invocation."""


def time_left(context: Any) -> Left:
    """The clock of an invocation, from its Lambda context."""
    return lambda: float(context.get_remaining_time_in_millis()) / 1000


def line_of(
    answer: Answer,
    key: Key | None,
    message_id: str,
    counts: tuple[tuple[str, int], ...],
    known: Callable[[str], bool],
) -> Line:
    """The log line of what became of one message or order.

    Args:
        answer: what became of it.
        key: the connection that it is about, if it was understood and is about one.
        message_id: the queue's name for it, or nothing.
        counts: what is counted.
        known: tells enabled providers; no other name stands in the line.
    """
    reason, failed = answer.reason, answer.word == "failed"
    line = Line(
        answer.word,
        Failure(reason).status if reason and failed else 200,
        token_hex(5),
        message_id,
        reason=reason.value if reason else None,
        alarm=ALARMS.get(reason) if reason and failed else None,
        detail=answer.detail or None,
        until=answer.until or None,
        counts=counts,
    )
    if key is None:
        return line
    provider = key.provider if known(key.provider) else None
    return line._replace(provider=provider, merchant_id=key.merchant_id, account_id=key.account_id)
