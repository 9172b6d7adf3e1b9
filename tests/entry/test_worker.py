"""Each message on its own: what one does or raises touches no other, and every ending is one line."""

import json
import re
from collections.abc import Callable
from threading import Barrier, Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.recovery_queue import message as recovery_message
from mooring.adapters.recovery_queue import refreshed_message
from mooring.adapters.work_messages import message, order_payload, parse_answer
from mooring.core.connection import Status
from mooring.core.errors import ALARMS, Failure, Reason
from mooring.core.upkeep import Answer, Cause, Confirm, Hint, Key, Order, Search, Seen, Work
from mooring.entry.http_api import Line
from mooring.entry.worker import Doors
from mooring.flows.token_sets import ringing
from tests.core.signing import NOW
from tests.entry.deployed import RECOVERY_ARN, Deployed, batch
from tests.fakes.token_keeper import REFRESHED
from tests.flows.upkeep_world import DOWN, KEY, LOST, MISCONFIGURED, PROBED, SEEN, TRANSIENT, provider_of

DUE = Order(KEY, SEEN, Cause.DUE)
HINT = Hint("probed", "shop-9")
PROBED_KEY = KEY._replace(provider=PROBED.id)


@pytest.fixture
def deployed() -> Deployed:
    return Deployed()


def failures(answered: dict[str, Any]) -> list[str]:
    """Ids of the messages that must come again, sorted; nothing else is answered."""
    assert set(answered) == {"batchItemFailures"}
    return sorted(each["itemIdentifier"] for each in answered["batchItemFailures"])


def doing(deployed: Deployed, work: Callable[[Work], Answer]) -> Doors:
    """Doors behind which `work` is done."""
    return deployed.doors()._replace(work=lambda item, _left: [(KEY, work(item))])


def crowd(deployed: Deployed, count: int = 10) -> list[Order]:
    """So many due connections of as many merchants."""
    keys = [deployed.world.stands(KEY._replace(merchant_id=f"m-{number}")) for number in range(count)]
    return [Order(key, SEEN, Cause.DUE) for key in keys]


def test_a_batch_is_refreshed_message_by_message(deployed: Deployed) -> None:
    orders = crowd(deployed)
    assert failures(deployed.refresh(batch(*map(message, orders)))) == []
    assert [deployed.world.row(order.key).version for order in orders] == [6] * 10
    assert [(line.merchant_id, line.request_id) for line in deployed.in_order()] == [
        (f"m-{number}", f"message-{number}") for number in range(10)
    ]
    first = deployed.in_order()[0]
    assert first == Line(
        "refreshed", 200, first.ref, "message-0", None, "acme", "m-0", "shop-9", counts=(("Refreshed", 1),)
    )
    assert len({line.ref for line in deployed.lines}) == 10


@pytest.mark.parametrize("poison", [ValueError("canary"), KeyError("canary"), RecursionError("canary")])
def test_one_poison_in_ten_comes_again_alone(deployed: Deployed, poison: Exception) -> None:
    orders = crowd(deployed)

    def work(item: Work) -> Answer:
        if item == orders[3]:
            raise poison
        return Answer("refreshed")

    answered = deployed.refresh(batch(*map(message, orders)), doing(deployed, work))
    assert failures(answered) == ["message-3"]
    assert [line.outcome for line in deployed.lines].count("refreshed") == 9
    bad = deployed.in_order()[3]
    assert (bad.outcome, bad.reason, bad.detail, bad.status, bad.alarm) == (
        "failed",
        "internal",
        type(poison).__name__,
        500,
        "Defect",
    )
    assert (bad.merchant_id, bad.provider) == ("m-3", "acme")
    assert re.search(r"test_worker\.py:\d+$", str(bad.at))
    assert "canary" not in repr(deployed.lines)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '"x"',
        "{}",
        '{"schema":1,"kind":"refresh"}',
        message(DUE).replace('"schema":1', '"schema":2'),
        message(DUE).replace('"refresh"', '"drop_table"'),
        message(DUE).replace('"m-1"', '"m 1"'),
        message(DUE).replace(":5", ':"5"'),
        message(DUE).replace(":5", ":true"),
        message(DUE) + " " * 9_000,
        "[" * 100_000,
    ],
    ids=lambda body: body[:30],
)
def test_what_nobody_understands_comes_again_until_it_is_a_dead_letter(deployed: Deployed, body: str) -> None:
    (good,) = crowd(deployed, 1)
    assert failures(deployed.refresh(batch(body, message(good)))) == ["message-0"]
    bad, fine = deployed.in_order()
    assert (bad.outcome, bad.reason, bad.provider, bad.merchant_id) == (
        "failed",
        "message_malformed",
        None,
        None,
    )
    assert fine.outcome == "refreshed"


def test_what_is_due_never_returns_by_failing(deployed: Deployed) -> None:
    deployed.world.stands()
    deployed.world.leases.broken["lease"] = DOWN
    others = [DUE._replace(cause=cause) for cause in Cause if cause is not Cause.DUE]
    answered = deployed.refresh(batch(message(DUE), *map(message, others)))
    assert failures(answered) == [f"message-{number}" for number in range(1, len(Cause))]
    assert {(line.reason, line.merchant_id) for line in deployed.lines} == {("storage_unavailable", "m-1")}


@pytest.mark.parametrize(
    "work", [HINT, Search("signed", "shop-9", 1), Confirm(PROBED_KEY, SEEN, 1, uninstall=True)]
)
def test_what_has_only_its_message_returns(deployed: Deployed, work: Work) -> None:
    deployed.world.stands(PROBED_KEY, refresh=None)
    deployed.world.endings.broken |= {"holders": DOWN, "probing": DOWN}
    assert failures(deployed.refresh(batch(message(work)))) == ["message-0"]
    assert deployed.lines[0].reason == "storage_unavailable"
    key = work.key if isinstance(work, Confirm) else None
    assert deployed.lines[0].account_id == (key and key.account_id)


@pytest.mark.parametrize("reason", [Reason.PROVIDER_UNKNOWN, Reason.TOKEN_LOST])
def test_what_trying_again_cannot_help_does_not_return(deployed: Deployed, reason: Reason) -> None:
    def work(item: Work) -> Answer:
        raise Failure(reason, "a fixed text")

    assert failures(deployed.refresh(batch(message(HINT)), doing(deployed, work))) == []
    (line,) = deployed.lines
    assert (line.reason, line.detail, line.alarm) == (reason.value, "a fixed text", ALARMS.get(reason))


def test_a_provider_that_is_not_enabled_any_more_ends_its_messages(deployed: Deployed) -> None:
    gone = KEY._replace(provider="gone")
    bodies = [message(DUE._replace(key=gone)), message(Order(gone, None, Cause.HINT))]
    assert failures(deployed.refresh(batch(*bodies))) == []
    assert {line.reason for line in deployed.lines} == {"provider_unknown"}


def test_an_answer_that_failed_is_no_reason_to_return(deployed: Deployed) -> None:
    deployed.world.stands()
    deployed.world.keeper.tokens = TRANSIENT
    assert failures(deployed.refresh(batch(message(DUE)))) == []
    (line,) = deployed.lines
    assert (line.outcome, line.reason, line.detail, line.status) == (
        "failed",
        "provider_unavailable",
        "HTTP 429",
        503,
    )
    assert line.until == deployed.world.rest().retry_at
    assert line.counts == (("RefreshFailed", 1),)


@pytest.mark.parametrize(
    ("answer", "counts", "alarm", "status"),
    [
        (Answer("refreshed"), "Refreshed", None, 200),
        (Answer("recovered"), "Recovered", None, 200),
        (Answer("probed"), "Probed", None, 200),
        (Answer("probed", Reason.TOKEN_REFUSED), "Probed", None, 200),
        (Answer("uninstalled"), "Uninstalled", None, 200),
        (Answer("fresh"), "Skipped", None, 200),
        (Answer("busy", Reason.REFRESH_BUSY, 9), "Skipped", None, 200),
        (Answer("skipped", Reason.CONNECTION_NOT_FOUND), "Skipped", None, 200),
        (Answer("reported"), "Skipped", None, 200),
        (Answer("failed", Reason.GRANT_REFUSED), "NeedsReconnect", None, 400),
        (Answer("failed", Reason.TOKEN_REFUSED), "NeedsReconnect", None, 409),
        (Answer("failed", Reason.LOST_ROTATION), "NeedsReconnect", "LostRotation", 409),
        (Answer("failed", Reason.REFRESH_IN_DOUBT, 9), "RefreshFailed", "RefreshInDoubt", 503),
        (Answer("failed", Reason.PROVIDER_MISCONFIGURED), "RefreshFailed", "ProviderMisconfigured", 500),
        (Answer("failed", Reason.KEY_DENIED), "RefreshFailed", "KeyDenied", 503),
        (Answer("failed", Reason.TOKEN_UNREADABLE), "RefreshFailed", "TokenUnreadable", 500),
        (Answer("failed", Reason.PROVIDER_TIMEOUT), "RefreshFailed", None, 504),
        (Answer("failed", Reason.PROVIDER_ERROR), "RefreshFailed", None, 502),
        (Answer("failed", Reason.SECRET_UNAVAILABLE), "RefreshFailed", "SecretUnavailable", 503),
        (Answer("failed", Reason.INTERNAL), "RefreshFailed", "Defect", 500),
        (Answer("waiting", Reason.REFRESH_IN_DOUBT, 9), "Skipped", None, 200),
        (Answer("failed", Reason.STORE_DELAYED), "RefreshFailed", None, 202),
    ],
    ids=lambda value: f"{value.word} {value.reason}" if isinstance(value, Answer) else None,
)
def test_every_ending_is_counted_as_what_it_is(
    deployed: Deployed, answer: Answer, counts: str, alarm: str | None, status: int
) -> None:
    deployed.refresh(batch(message(DUE)), doing(deployed, lambda _item: answer))
    (line,) = deployed.lines
    assert (line.counts, line.alarm, line.status) == (((counts, 1),), alarm, status)
    assert (line.outcome, line.reason) == (answer.word, answer.reason.value if answer.reason else None)
    assert line.until == (answer.until or None)


def test_a_hint_is_a_line_for_each_connection(deployed: Deployed) -> None:
    keys = [PROBED_KEY._replace(merchant_id=f"m-{number}") for number in range(3)]
    for key in keys:
        deployed.world.stands(key, refresh=None)
    deployed.refresh(batch(message(HINT)))
    assert [(line.outcome, line.merchant_id, line.request_id) for line in deployed.lines] == [
        ("accepted", f"m-{number}", "message-0") for number in range(3)
    ]
    assert [each.work for each in deployed.world.queue.messages] == [
        HINT._replace(merchant_id=f"m-{number}") for number in range(3)
    ]


def test_a_hint_for_one_holder_is_a_line_for_that_one(deployed: Deployed) -> None:
    for number in range(3):
        deployed.world.stands(PROBED_KEY._replace(merchant_id=f"m-{number}"), refresh=None)
    deployed.refresh(batch(message(HINT._replace(merchant_id="m-1"))))
    (line,) = deployed.lines
    assert (line.outcome, line.merchant_id) == ("probed", "m-1")


@pytest.mark.parametrize("work", [HINT, Search(HINT.provider, HINT.account_id, NOW)], ids=["hint", "search"])
def test_a_notice_about_an_account_that_nobody_has_is_told(deployed: Deployed, work: Work) -> None:
    assert failures(deployed.refresh(batch(message(work)))) == []
    (line,) = deployed.lines
    assert (line.outcome, line.reason) == ("ignored", None)
    assert (line.provider, line.merchant_id, line.account_id) == (HINT.provider, "", HINT.account_id)
    assert line.counts == (("Skipped", 1),)
    assert "merchant_id" not in line.fields()


def test_what_has_ended_is_told_before_the_slowest_has(deployed: Deployed) -> None:
    """Were Lambda to end us in the middle, what is done would still be known, and ring."""
    slow, told = crowd(deployed, 2), Event()

    def emit(line: Line) -> None:
        if line.request_id == "message-1":
            told.set()

    def work(item: Work) -> Answer:
        if item == slow[0]:
            assert told.wait(10)
        return Answer("refreshed")

    watched = Deployed(deployed.world, emit=emit)
    watched.refresh(batch(*map(message, slow)), doing(watched, work))
    assert [(line.request_id, line.outcome) for line in watched.lines] == [
        ("message-1", "refreshed"),
        ("message-0", "refreshed"),
    ]


def test_the_messages_of_a_batch_are_worked_on_side_by_side(deployed: Deployed) -> None:
    together = Barrier(10, timeout=10)

    def work(item: Work) -> Answer:
        together.wait()
        return Answer("refreshed")

    orders = crowd(deployed)
    assert failures(deployed.refresh(batch(*map(message, orders)), doing(deployed, work))) == []
    assert [line.outcome for line in deployed.lines] == ["refreshed"] * 10


def test_an_empty_batch_does_nothing(deployed: Deployed) -> None:
    assert failures(deployed.refresh(batch())) == []
    assert deployed.lines == []


# the recovery queue


def unstored(deployed: Deployed) -> str:
    """A refreshed token set that the table would not take."""
    deployed.world.stands()
    deployed.world.keeper.tokens = REFRESHED._replace(access_token="canary-access-1")
    deployed.world.leases.broken["store"] = DOWN
    deployed.refresh(batch(message(DUE)))
    del deployed.world.leases.broken["store"]
    assert deployed.lines.pop().reason == "store_delayed"
    return refreshed_message(deployed.world.recovery.refreshed[0])


def test_a_refreshed_token_set_is_recovered_once(deployed: Deployed) -> None:
    body = unstored(deployed)
    deployed.world.clock.advance(60)
    assert failures(deployed.refresh(batch(body, arn=RECOVERY_ARN))) == []
    assert failures(deployed.refresh(batch(body, arn=RECOVERY_ARN))) == []
    assert deployed.world.row().version == 6
    assert deployed.world.tokens()[0] == "canary-access-1"
    assert deployed.lines[0].counts == (("Recovered", 1),)
    assert "canary" not in f"{body}{deployed.lines}"


def test_an_exchange_is_recovered(deployed: Deployed) -> None:
    body = recovery_message(*deployed.world.exchanged())
    assert failures(deployed.refresh(batch(body, arn=RECOVERY_ARN))) == []
    assert (deployed.world.row().generation, deployed.lines[0].outcome) == (1, "recovered")
    assert (deployed.lines[0].merchant_id, deployed.lines[0].account_id) == ("m-1", "shop-9")


def test_what_cannot_be_recovered_now_comes_again(deployed: Deployed) -> None:
    body = unstored(deployed)
    deployed.world.leases.broken["recover"] = DOWN
    assert failures(deployed.refresh(batch(body, "{}", arn=RECOVERY_ARN))) == ["message-0", "message-1"]
    assert [line.reason for line in deployed.in_order()] == ["storage_unavailable", "message_malformed"]


def test_what_must_be_stored_comes_again_within_seconds(deployed: Deployed) -> None:
    """Before the token is used once more, that is, and not when the queue's own time has passed."""
    body = unstored(deployed)
    deployed.world.leases.broken["recover"] = DOWN
    deployed.refresh(batch(body, "{}", arn=RECOVERY_ARN))
    assert deployed.world.recovery.again == [("receipt-0", 15)]  # what nobody can read need not hurry
    deployed.world.recovery.again.clear()
    deployed.world.leases.broken["recover"] = OSError("a defect")
    assert failures(deployed.refresh(batch(body, arn=RECOVERY_ARN))) == ["message-0"]
    assert deployed.world.recovery.again == [("receipt-0", 15)]


def test_what_was_stored_or_never_can_be_does_not_hurry(deployed: Deployed) -> None:
    def lost(_found: object) -> list[tuple[Key, Answer]]:
        raise Failure(Reason.TOKEN_LOST)

    assert failures(deployed.refresh(batch(unstored(deployed), arn=RECOVERY_ARN))) == []
    sent = batch(unstored(deployed), arn=RECOVERY_ARN)
    assert failures(deployed.refresh(sent, deployed.doors()._replace(recover=lost))) == []
    assert {line.merchant_id for line in deployed.lines} == {"m-1"}, "it says whose it was"
    assert "again_soon" not in deployed.world.journal


@pytest.mark.parametrize("error", [DOWN, ValueError("a defect")])
def test_messages_of_the_refresh_queue_come_again_in_their_own_time(
    deployed: Deployed, error: Exception
) -> None:
    deployed.world.endings.broken["holders"] = error
    assert failures(deployed.refresh(batch(message(HINT), "{}"))) == ["message-0", "message-1"]
    assert "again_soon" not in deployed.world.journal


def test_a_message_that_cannot_be_hurried_comes_again_all_the_same(deployed: Deployed) -> None:
    body = unstored(deployed)
    deployed.world.leases.broken["recover"] = deployed.world.recovery.broken["again_soon"] = DOWN
    assert failures(deployed.refresh(batch(body, arn=RECOVERY_ARN))) == ["message-0"]
    assert [line.reason for line in deployed.lines] == ["storage_unavailable"]


def test_each_queue_takes_its_own_messages_only(deployed: Deployed) -> None:
    body = unstored(deployed)
    assert failures(deployed.refresh(batch(body))) == ["message-0"]
    assert failures(deployed.refresh(batch(message(DUE), arn=RECOVERY_ARN))) == ["message-0"]
    assert {line.reason for line in deployed.lines} == {"message_malformed"}
    assert deployed.world.row().version == 5


# an order at once


def asked(order: Order) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(order_payload(order))
    return payload


def test_an_order_is_answered(deployed: Deployed) -> None:
    deployed.world.stands()
    answered = deployed.refresh(asked(Order(KEY, SEEN, Cause.READ)))
    assert answered == {"schema": 1, "word": "refreshed", "reason": None, "until": 0}
    (line,) = deployed.lines
    assert (line.outcome, line.merchant_id, line.request_id, line.counts) == (
        "refreshed",
        "m-1",
        "",
        (("Refreshed", 1),),
    )


@pytest.mark.parametrize(
    ("cause", "key", "word"),
    [
        (Cause.ASKED, KEY, "refreshed"),
        (Cause.UNAUTHORIZED, PROBED_KEY, "reported"),
        (Cause.DUE, PROBED_KEY, "probed"),
        (Cause.ASKED, PROBED_KEY, "skipped"),
        (Cause.ASKED, Key("m-2", "acme", "shop-9"), "skipped"),
    ],
)
def test_an_order_looks_after_whatever_connection(
    deployed: Deployed, cause: Cause, key: Key, word: str
) -> None:
    deployed.world.stands(KEY)
    deployed.world.stands(PROBED_KEY, refresh=None, expires_at=None)
    assert deployed.refresh(asked(Order(key, SEEN, cause)))["word"] == word


@pytest.mark.parametrize(
    ("provider", "left", "word", "reason", "counts"),
    [
        ("probed", 4 * 86_400, "probed", None, (("Probed", 1),)),
        ("probed", 60, "expiring", None, (("Skipped", 1), ("ConnectionExpiring", 1))),
        ("silent", 60, "expiring", None, (("Skipped", 1), ("ConnectionExpiring", 1))),
        ("silent", -600, "failed", "token_expired", (("NeedsReconnect", 1),)),
    ],
)
def test_a_token_that_only_the_merchant_can_renew_is_counted_before_and_at_its_end(
    deployed: Deployed,
    provider: str,
    left: int,
    word: str,
    reason: str | None,
    counts: tuple[tuple[str, int], ...],
) -> None:
    key = KEY._replace(provider=provider)
    deployed.world.stands(key, refresh=None, expires_at=NOW + left)
    answered = deployed.refresh(asked(Order(key, SEEN, Cause.DUE)))
    assert (answered["word"], answered["reason"]) == (word, reason)
    assert [line.counts for line in deployed.lines] == [counts]


def test_what_has_no_probe_and_ends_soon_is_counted_as_well(deployed: Deployed) -> None:
    key = KEY._replace(provider="silent")
    deployed.world.stands(key, refresh=None, expires_at=NOW + 60)
    assert deployed.refresh(asked(Order(key, SEEN, Cause.DUE)))["word"] == "expiring"
    (line,) = deployed.lines
    assert (line.outcome, dict(line.counts)["ConnectionExpiring"]) == ("expiring", 1)


def test_an_order_for_a_provider_that_is_paused_is_answered_so(deployed: Deployed) -> None:
    deployed.world.stands()
    deployed.world.keeper.tokens = MISCONFIGURED
    assert deployed.refresh(asked(DUE))["reason"] == "provider_misconfigured"
    answered = deployed.refresh(asked(Order(KEY, SEEN, Cause.READ)))
    assert answered == {"schema": 1, "word": "waiting", "reason": "provider_paused", "until": 0}
    assert (deployed.lines[-1].outcome, deployed.lines[-1].counts) == ("waiting", (("Skipped", 1),))
    assert len(deployed.world.keeper.refreshes) == 1


def test_an_order_that_ends_a_connection_says_why(deployed: Deployed) -> None:
    deployed.world.stands()
    deployed.world.keeper.tokens = LOST
    answered = deployed.refresh(asked(DUE))
    assert parse_answer(json.dumps(answered).encode()) == Answer("failed", Reason.GRANT_REFUSED)
    assert deployed.world.row().status is Status.NEEDS_RECONNECT


@pytest.mark.parametrize(
    ("error", "reason", "alarm"),
    [
        (DOWN, "storage_unavailable", None),
        (Failure(Reason.TOKEN_LOST), "token_lost", "TokenLost"),
        (OSError("canary"), "internal", "Defect"),
    ],
)
def test_an_order_that_cannot_be_done_is_answered_all_the_same(
    deployed: Deployed, error: Exception, reason: str, alarm: str | None
) -> None:
    def keep(order: Order, left: Callable[[], float]) -> Answer:
        raise error

    answered = deployed.refresh(asked(DUE), deployed.doors()._replace(keep=keep))
    assert answered == {"schema": 1, "word": "failed", "reason": reason, "until": 0}
    (line,) = deployed.lines
    assert (line.outcome, line.reason, line.merchant_id, line.alarm) == ("failed", reason, "m-1", alarm)
    assert "canary" not in f"{answered}{line}"


@pytest.mark.parametrize("event", [batch(message(DUE)), asked(DUE)], ids=["message", "order"])
def test_a_token_lost_to_a_defect_of_ours_says_where_that_is(deployed: Deployed, event: Any) -> None:
    def lose(*_: object) -> Any:
        with ringing():
            raise KeyError("canary")

    deployed.refresh(event, deployed.doors()._replace(work=lose, keep=lose))
    (line,) = deployed.lines
    assert (line.reason, line.detail, line.alarm) == ("token_lost", "KeyError", "TokenLost")
    assert re.search(r"test_worker\.py:\d+$", str(line.at))


@pytest.mark.parametrize(
    "event", [None, 5, "Records", [], {}, {"Records": None}, {"Records": {}}, {"order": 1}]
)
def test_what_is_no_order_is_answered_too(deployed: Deployed, event: object) -> None:
    assert deployed.refresh(event)["reason"] == "message_malformed"
    assert [line.reason for line in deployed.lines] == ["message_malformed"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.fixed_dictionaries({"messageId": st.uuids().map(str), "body": JSON}), max_size=3)


@given(JSON | st.fixed_dictionaries({"Records": RECORDS}))
def test_any_event_is_answered(event: object) -> None:
    deployed = Deployed()
    answered = deployed.refresh(event)
    if "batchItemFailures" in answered and isinstance(event, dict):
        assert failures(answered) == sorted(record["messageId"] for record in event["Records"])
    else:
        assert answered["word"] == "failed"


def test_no_secret_leaves_by_a_line_or_an_answer(deployed: Deployed) -> None:
    world = deployed.world
    acting = provider_of(world)
    world.stands()
    deployed.refresh(batch(message(DUE)))
    acting.end()
    deployed.refresh(asked(Order(KEY, Seen(2, 6), Cause.ASKED)))
    world.said += [*deployed.lines, *deployed.said]
    assert [line.outcome for line in deployed.lines] == ["refreshed", "failed"]
    assert world.leaks() == []
    assert "canary" not in repr(world.said)
