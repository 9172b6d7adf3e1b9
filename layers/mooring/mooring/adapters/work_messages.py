"""The refresh queue's messages, and what the refresh function is asked and answers when it is invoked.

A message names a connection and says what is wanted; it never holds a token. Writing and reading
stand side by side, because a worker of a later release reads what this one wrote: a change to the
shape raises `SCHEMA`, and the old one goes on being read. Keys that are not known are passed over,
so that a later release may add some.
"""

import re
from collections.abc import Callable
from typing import Any

from mooring.adapters.message_fields import (
    Fields,
    dump,
    fields,
    flag,
    key,
    load,
    malformed,
    member,
    missing,
    named,
    number,
    provider,
    seen,
    text,
)
from mooring.core.errors import Reason
from mooring.core.upkeep import Answer, Cause, Confirm, Hint, Order, Search, Seen, Work

SCHEMA = 1
MAX_BYTES = 8_192
"""Our own messages have a few hundred bytes."""
_WORD = re.compile(r"[a-z_]{1,32}")


def message(work: Work) -> str:
    """The body of a message: one JSON object of kind refresh, hint, confirm or notice."""
    return dump({"schema": SCHEMA, **_of(work)})


def parse(body: str) -> Work:
    """Read a message's body.

    Raises:
        Failure: MESSAGE_MALFORMED for whatever is not understood exactly: another schema or kind, a
            wrong type, a name that is none, a negative number, more than `MAX_BYTES`.
    """
    data = _known(load(body, MAX_BYTES))
    kind = text(data, "kind")
    if kind not in _READERS:
        malformed("the kind is unknown")
    return _READERS[kind](data)


def order_payload(order: Order) -> bytes:
    """What the refresh function is invoked with: UTF-8 JSON."""
    return dump({"schema": SCHEMA, "order": _order(order)}).encode()


def parse_order(event: object) -> Order:
    """Read what the refresh function was invoked with. Raises `Failure(MESSAGE_MALFORMED)`."""
    return _read_order(member(_known(fields(event)), "order"))


def answer_of(answer: Answer) -> dict[str, Any]:
    """What the refresh function returns: a word, a reason or None, and `until` (epoch seconds, or 0)."""
    reason = answer.reason.value if answer.reason else None
    return {"schema": SCHEMA, "word": answer.word, "reason": reason, "until": answer.until}


def parse_answer(body: bytes) -> Answer:
    """Read what the refresh function returned. Raises `Failure(MESSAGE_MALFORMED)`."""
    data = _known(load(body.decode(errors="replace"), MAX_BYTES))
    word = text(data, "word")
    if not _WORD.fullmatch(word):
        malformed("word is no word")
    reason = None if missing(data, "reason") else _reason(data)
    return Answer(word, reason, number(data, "until"))


def _of(work: Work) -> Fields:
    match work:
        case Order():
            return {"kind": "refresh", **_order(work)}
        case Hint():
            return {"kind": "hint", **work._asdict()}
        case Confirm(where, known, refused_at, uninstall):
            more = {"refused_at": refused_at, "uninstall": uninstall}
            return {"kind": "confirm", **where._asdict(), **known._asdict(), **more}
        case Search():
            return {"kind": "notice", **work._asdict()}


def _order(order: Order) -> Fields:
    known = order.seen._asdict() if order.seen else dict.fromkeys(Seen._fields)
    return {**order.key._asdict(), **known, "cause": order.cause.value, "trial": order.trial}


def _read_order(data: Fields) -> Order:
    # Both numbers or neither: who has seen a connection has seen both.
    unseen = missing(data, "generation") and missing(data, "version")
    return Order(key(data), None if unseen else seen(data), _cause(data), flag(data, "trial"))


def _read_hint(data: Fields) -> Hint:
    # Earlier releases did not write `again` and `merchant_id`, and their messages may still wait.
    again = "again" in data and flag(data, "again")
    alone = "merchant_id" in data and not missing(data, "merchant_id")
    merchant_id = named(data, "merchant_id") if alone else None
    return Hint(provider(data), named(data, "account_id"), again, merchant_id)


def _read_confirm(data: Fields) -> Confirm:
    return Confirm(key(data), seen(data), number(data, "refused_at"), flag(data, "uninstall"))


def _read_search(data: Fields) -> Search:
    return Search(provider(data), named(data, "account_id"), number(data, "at"))


_READERS: dict[str, Callable[[Fields], Work]] = {
    "refresh": _read_order,
    "hint": _read_hint,
    "confirm": _read_confirm,
    "notice": _read_search,
}


def _known(data: Fields) -> Fields:
    if number(data, "schema") != SCHEMA:
        malformed("the schema is unknown")
    return data


def _cause(data: Fields) -> Cause:
    found = text(data, "cause")
    try:
        return Cause(found)
    except ValueError:
        malformed("the cause is unknown")


def _reason(data: Fields) -> Reason:
    found = text(data, "reason")
    try:
        return Reason(found)
    except ValueError:
        malformed("the reason is unknown")
