"""Too little time, a table that will not take it, keys that will not open it.

The real stack. What is asked each time: was the provider called without a way to keep its answer, is
anything dead that is not, does everything come back by itself, and which token is good at the provider.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import pytest
import requests

from local.functions import from_json
from local.runtime import RuntimePool
from mooring.adapters.http_socket import READ_SECONDS
from mooring.adapters.patience import STORE_SECONDS
from mooring.adapters.recovery_queue import AGAIN_SECONDS
from mooring.adapters.work_messages import message, order_payload
from mooring.core.upkeep import FUNCTION_SECONDS, LEASE_SECONDS, Cause, Order, Seen
from mooring.flows.refresh import UNREADABLE_SECONDS
from tests.e2e.running import FIFTH
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant, check_failure, returned
from tests.e2e.upkeep import Upkeep, doubt_passes, sweep, wait_for
from tests.faults.actions import AwsError, BlackHole, DelayAnswer, Respond
from tests.faults.crashes import held, rings
from tests.faults.invariants import no_false_death, no_token_lost
from tests.faults.proxy import Planned
from tests.faults.queues import Queue
from tests.faults.stack import TOKEN_PATH, BrokenStack
from tests.faults.storage import UNDER_WAY, about, put, sealed

THROTTLED = AwsError(400, "ProvisionedThroughputExceededException")
KMS_THROTTLED = AwsError(400, "ThrottlingException")
ALWAYS = 1_000
STORE = 1
"""The update of a refresh that follows its lease: the store, or the release."""
SHORT_SECONDS = 5
"""A queue's visibility timeout that a test can wait for."""
SLOW_SECONDS = READ_SECONDS - 2
NEEDED_SECONDS = 28
"""So much time a refresh wants to have before it begins."""
"""A provider may be silent for so long, and is still heard."""
TRIES = 60
"""More than a few tries a moment apart is no longer bounded."""


def outcomes(simulator: Simulator, since: int) -> list[str]:
    """What the provider answered to token calls from number `since` on."""
    return [call["outcome"] for call in simulator.calls()[since:]]


def check_stored(broken: BrokenStack, one: Upkeep, version: int) -> None:
    """Its tokens are stored under this version, are the provider's, and nothing is under way."""
    row = one.row()
    assert (row["status"], row["version"], UNDER_WAY & row.keys()) == ("active", version, set()), row
    no_token_lost(broken, one)


def check_bounded(planned: Planned) -> None:
    """It was tried again, for a while and a number of times that can be stated."""
    assert 1 < planned.hits <= TRIES
    assert planned.seen[-1].at - planned.seen[0].at <= STORE_SECONDS + 1


@contextmanager
def unheard(simulator: Simulator) -> Iterator[None]:
    """The body sends nothing to the provider's token endpoint."""
    calls = len(simulator.calls())
    yield
    assert len(simulator.calls()) == calls, simulator.calls()[calls:]


# F21: too little time is left.


def in_time(broken: BrokenStack, seconds: int, event: object) -> Any:
    """What the refresh function answers when Lambda gives it so many seconds."""
    known = {said["name"]: said for said in json.loads((broken.stack_dir / "functions.json").read_text())}
    spec = from_json({**known["refresh"], "timeout_seconds": seconds})
    with RuntimePool(spec, log_path=broken.stack_dir / "logs" / "refresh.log") as pool:
        # Unlike Lambda, the emulator takes the start of a process out of its first invocation's time.
        pool.invoke({"Records": []})
        result = pool.invoke(event if isinstance(event, bytes) else json.dumps(event).encode())
    assert result.error is None, result
    return result.json()


def record(broken: BrokenStack, body: str) -> dict[str, str]:
    """A message of the refresh queue as Lambda hands it over."""
    arn = Queue(broken, "refresh").attributes()["QueueArn"]
    return {"messageId": "by-hand", "receiptHandle": "none", "body": body, "eventSourceARN": arn}


def test_f21_an_invocation_with_too_little_time_starts_nothing(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    living.fall_due()
    row, short = living.row(), NEEDED_SECONDS - 3
    asked, due = (Order(living.key, Seen(1, 1), cause) for cause in (Cause.ASKED, Cause.DUE))
    with unheard(simulator):
        answer = in_time(broken, short, order_payload(asked))
        assert (answer["word"], answer["reason"]) == ("failed", "out_of_time")
        # What is due is found again by the sweep; any other message has to come again.
        for order, again in ((due, []), (asked._replace(cause=Cause.READ), ["by-hand"])):
            failures = in_time(broken, short, {"Records": [record(broken, message(order))]})
            assert [one["itemIdentifier"] for one in failures["batchItemFailures"]] == again
    assert living.row() == row, "not even a lease"
    assert in_time(broken, NEEDED_SECONDS + 2, order_payload(asked))["word"] == "refreshed"
    check_stored(broken, living, 2)


def test_f21_a_lease_and_keys_that_took_too_long_leave_no_time_for_the_call(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    slow = DelayAnswer(1.4)
    with ExitStack() as faults, unheard(simulator):
        # The lease's first answer is lost to the client's patience and the second one slow; so are the keys'.
        for action, target, times in (
            (DelayAnswer(2.3), "UpdateItem", 1),
            (slow, "UpdateItem", 1),
            (DelayAnswer(2.3), "Decrypt", 2),
            (slow, "Decrypt", 2),
        ):
            planned = broken.aws_proxy.fault(action, target=target, caller="refresh", times=times)
            faults.enter_context(planned)
        answer = in_time(broken, NEEDED_SECONDS + 2, order_payload(Order(living.key, None, Cause.ASKED)))
    assert (answer["word"], answer["reason"]) == ("failed", "out_of_time"), living.lines()
    row = living.row()
    assert (row["status"], row["last_error"], UNDER_WAY & row.keys()) == ("active", "out_of_time", set())
    assert row["retry_at"] - time.time() < 60
    assert service.refresh(living.key).json()["version"] == 2
    check_stored(broken, living, 2)
    no_false_death(broken, living)


def test_f21_a_slow_call_leaves_time_for_a_store_that_fails(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    """Mid-call and mid-write: all that may go wrong after the answer still fits into the function's time."""
    calls, began = len(simulator.calls()), time.monotonic()
    with broken.paused("queues/recovery"):
        with (
            broken.provider_proxy.fault(DelayAnswer(SLOW_SECONDS), path=TOKEN_PATH),
            broken.aws_proxy.fault(
                BlackHole(), target="UpdateItem", caller="refresh", skip=STORE, times=ALWAYS
            ) as store,
        ):
            answer = service.refresh(living.key)
        took = time.monotonic() - began
        assert (answer.status_code, answer.json()["reason"]) == (503, "store_delayed"), answer.text
        assert store.hits >= 2
        assert took < FUNCTION_SECONDS - 5, "Lambda has not ended it, nor was it near"
        assert living.version == 1
    wait_for(lambda: living.version == 2, "what the recovery queue holds")
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)
    no_false_death(broken, living)


# F22: DynamoDB throttles.


@pytest.mark.parametrize("which", [0, STORE], ids=["lease", "store"])
def test_f22_a_moment_of_throttling_is_sat_out(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, which: int
) -> None:
    calls = len(simulator.calls())
    with broken.aws_proxy.fault(
        THROTTLED, target="UpdateItem", caller="refresh", skip=which, times=3
    ) as planned:
        assert service.refresh(living.key).json()["outcome"] == "refreshed"
    assert planned.hits == 3
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)


def test_f22_a_lease_that_is_throttled_on_and_on_calls_nobody_and_the_next_sweep_finds_it(
    broken: BrokenStack, living: Upkeep, simulator: Simulator
) -> None:
    living.fall_due()
    row, calls = living.row(), len(simulator.calls())
    with (
        unheard(simulator),
        broken.aws_proxy.fault(THROTTLED, target="UpdateItem", caller="refresh", times=ALWAYS) as planned,
    ):
        sweep(broken)
        assert living.line("failed")["reason"] == "storage_unavailable"
    check_bounded(planned)
    assert living.row() == row
    Queue(broken, "refresh").wait_until_quiet()
    sweep(broken)
    living.line("refreshed")
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)


def test_f22_a_message_that_nothing_would_find_again_comes_again_itself(
    broken: BrokenStack, living: Upkeep, simulator: Simulator
) -> None:
    calls, queue = len(simulator.calls()), Queue(broken, "refresh")
    living.pass_time(120)
    with queue.changed(VisibilityTimeout=SHORT_SECONDS):
        with broken.aws_proxy.fault(THROTTLED, target="UpdateItem", caller="refresh", times=ALWAYS):
            (message_id,) = queue.send(message(Order(living.key, Seen(1, 1), Cause.UNAUTHORIZED)))
            assert living.line("failed")["reason"] == "storage_unavailable"
        living.line("refreshed")
        queue.wait_until_quiet()
    assert [line["outcome"] for line in queue.lines(message_id)] == ["failed", "refreshed"]
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)


def test_f22_a_store_that_is_throttled_on_and_on_goes_by_the_recovery_queue(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls, recovery = len(simulator.calls()), Queue(broken, "recovery")

    def recoveries() -> list[str]:
        """How the messages of the recovery queue fared; what fails names no connection, but its message."""
        lines = broken.log_lines("refresh")[known:]
        return [line["outcome"] for line in lines if line.get("request_id") and "outcome" in line]

    with (
        recovery.still(),
        broken.aws_proxy.fault(
            THROTTLED, target="UpdateItem", caller="refresh", skip=STORE, times=ALWAYS
        ) as planned,
    ):
        assert service.refresh(living.key).json()["reason"] == "store_delayed"
        check_bounded(planned)
        known, hits = len(broken.log_lines("refresh")), planned.hits
        # And whoever recovers it is throttled as well.
        broken.trigger("queues/recovery/resume")
        wait_for(lambda: recoveries() == ["failed"], "the recovery's own failure")
        assert planned.hits > hits
        assert living.version == 1
    wait_for(lambda: living.version == 2, "the message once more, within seconds", 2 * AGAIN_SECONDS)
    recovery.wait_until_quiet()
    assert recoveries() == ["failed", "recovered"]
    assert [line["reason"] for line in living.lines(outcome="failed")] == [
        "store_delayed",
        "storage_unavailable",
    ]
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)
    no_false_death(broken, living)


def test_f22_a_release_that_is_throttled_on_and_on_costs_time_and_nothing_else(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())
    simulator.misbehave("http_429")
    with broken.aws_proxy.fault(
        THROTTLED, target="UpdateItem", caller="refresh", skip=STORE, times=ALWAYS
    ) as planned:
        assert service.refresh(living.key).json()["reason"] == "provider_unavailable"
    check_bounded(planned)
    row = living.row()
    assert (row["status"], row["version"], "lease_owner" in row) == ("active", 1, True)
    assert service.refresh(living.key).json()["reason"] == "refresh_busy"
    living.pass_time(LEASE_SECONDS)
    doubt_passes(living, service)
    assert service.refresh(living.key).json()["version"] == 2
    assert outcomes(simulator, calls)[1:] == ["refreshed"]
    check_stored(broken, living, 2)
    no_false_death(broken, living)


def cancelled(code: str) -> Respond:
    """A transaction that DynamoDB gave up for this reason, of its first part."""
    reasons = [{"Code": code, "Message": "made to fail"}, *[{"Code": "None"}] * 3]
    name = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
    body = {"__type": name, "Message": f"cancelled [{code}]", "CancellationReasons": reasons}
    return Respond(400, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.0"})


@pytest.mark.parametrize(
    "action",
    [THROTTLED, cancelled("ThrottlingError"), cancelled("TransactionConflict")],
    ids=["throttled", "cancelled", "conflict"],
)
def test_f22_a_transaction_is_tried_again(
    broken: BrokenStack,
    merchant: Merchant,
    shop: str,
    service: Service,
    simulator: Simulator,
    action: AwsError | Respond,
) -> None:
    calls, back = len(simulator.calls()), merchant.decide(FIFTH, store=shop)
    with broken.aws_proxy.fault(action, target="TransactWriteItems", caller="callback", times=3) as planned:
        assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    assert planned.hits == 3
    assert outcomes(simulator, calls) == ["issued"]
    one = Upkeep.of(merchant, FIFTH, shop)
    assert one.row()["generation"] == 1
    check_stored(broken, one, 1)
    service.disconnect(one.key)


def test_f22_a_transaction_that_is_throttled_on_and_on_goes_by_the_recovery_queue(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator
) -> None:
    calls, back = len(simulator.calls()), merchant.decide(FIFTH, store=shop)
    with broken.aws_proxy.fault(
        THROTTLED, target="TransactWriteItems", caller="callback", times=ALWAYS
    ) as planned:
        check_failure(broken, merchant.browser.follow(back), 202, "store_delayed")
    check_bounded(planned)
    one = Upkeep.of(merchant, FIFTH, shop)
    wait_for(one.row, "the connection")
    assert outcomes(simulator, calls) == ["issued"]
    assert one.row()["generation"] == 1
    check_stored(broken, one, 1)
    service.disconnect(one.key)


def test_f22_a_burn_that_is_throttled_on_and_on_spends_nothing(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator
) -> None:
    back = merchant.decide(FIFTH, store=shop)
    with (
        unheard(simulator),
        broken.aws_proxy.fault(THROTTLED, target="UpdateItem", caller="callback", times=ALWAYS) as burn,
    ):
        check_failure(broken, merchant.browser.follow(back), 503, "storage_unavailable")
    assert 1 < burn.hits <= TRIES
    assert about(broken, merchant, shop) == []
    assert returned(merchant.browser.follow(back))["status"] == ["connected"], "the same code, now sent"
    one = Upkeep.of(merchant, FIFTH, shop)
    check_stored(broken, one, 1)
    service.disconnect(one.key)


def test_f22_a_read_that_is_throttled_on_and_on_says_so(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    row = living.row()
    with (
        unheard(simulator),
        broken.aws_proxy.fault(THROTTLED, target="GetItem", caller="connections", times=ALWAYS) as read,
    ):
        answer = service.token(living.key)
    assert (answer.status_code, answer.json()["reason"]) == (503, "storage_unavailable")
    assert 1 < read.hits <= TRIES
    assert living.row() == row
    assert service.token(living.key).status_code == 200


# F23: a condition refuses the write, because the row has moved on.


def moved_on(
    broken: BrokenStack, one: Upkeep, service: Service, meanwhile: Callable[[], object]
) -> requests.Response:
    """Refresh; the row changes while the provider's answer is on its way."""
    with (
        ThreadPoolExecutor(1) as pool,
        held(broken.provider_proxy, "after", path=TOKEN_PATH) as (planned, gate),
    ):
        asked = pool.submit(service.refresh, one.key)
        planned.wait_hit()
        meanwhile()
        gate.set()
    return asked.result()


def test_f23_what_was_cut_off_meanwhile_stays_cut_off(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls, rows = len(simulator.calls()), list[dict[str, object]]()

    def cut_off() -> None:
        assert service.disconnect(living.key).status_code == 200
        rows.append(living.row())

    with rings(broken, "TokenDiscarded"):
        answer = moved_on(broken, living, service, cut_off)
    assert (answer.status_code, answer.json()["reason"]) == (409, "connection_not_active")
    assert living.line("failed")["reason"] == "uninstalled_meanwhile"
    assert living.row() == rows[0], "not a byte was written over it"
    assert not {"access", "refresh", "previous_refresh", "due_at"} & rows[0].keys()
    assert outcomes(simulator, calls) == ["refreshed"]
    assert service.token(living.key).json()["reason"] == "connection_not_active"


def test_f23_what_was_connected_anew_meanwhile_keeps_its_own_tokens(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, merchant: Merchant
) -> None:
    calls, rows = len(simulator.calls()), list[dict[str, object]]()

    def connect_anew() -> None:
        merchant.connect(FIFTH, store=living.key.account_id)
        rows.append(living.row())

    with rings(broken, "TokenDiscarded"):
        moved_on(broken, living, service, connect_anew)
    assert (rows[0]["generation"], rows[0]["version"]) == (2, 2)
    assert living.row() == rows[0]
    assert sorted(outcomes(simulator, calls)) == ["issued", "refreshed"]
    check_stored(broken, living, 2)
    no_false_death(broken, living)
    assert service.refresh(living.key).json()["version"] == 3


def test_f23_a_refusal_of_a_token_that_is_no_longer_stored_kills_nothing(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, merchant: Merchant
) -> None:
    simulator.misbehave("invalid_grant")
    answer = moved_on(broken, living, service, lambda: merchant.connect(FIFTH, store=living.key.account_id))
    assert (answer.status_code, answer.json()["outcome"]) == (200, "fresh"), answer.text
    assert living.row()["generation"] == 2
    check_stored(broken, living, 2)
    no_false_death(broken, living)


def test_f23_an_order_about_what_no_longer_stands_there_calls_nobody(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    assert service.refresh(living.key).json()["version"] == 2
    row = living.row()
    old = [message(Order(living.key, Seen(1, 1), cause)) for cause in Cause]
    with unheard(simulator):
        said = Queue(broken, "refresh").deliver(*old)
    assert [line["outcome"] for line in said if "outcome" in line] == ["fresh"] * len(old)
    assert living.row() == row


# F24: KMS throttles.


def test_f24_a_moment_of_throttled_keys_is_sat_out(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    with broken.aws_proxy.fault(KMS_THROTTLED, target="Decrypt", caller="refresh") as planned:
        assert service.refresh(living.key).json()["outcome"] == "refreshed"
    assert planned.hits == 1
    check_stored(broken, living, 2)


@pytest.mark.parametrize("action", [KMS_THROTTLED, BlackHole()], ids=["throttled", "silent"])
def test_f24_without_the_keys_in_hand_the_provider_is_not_called(
    broken: BrokenStack,
    living: Upkeep,
    service: Service,
    simulator: Simulator,
    action: AwsError | BlackHole,
) -> None:
    with (
        unheard(simulator),
        broken.aws_proxy.fault(action, target="Decrypt", caller="refresh", times=ALWAYS) as planned,
    ):
        answer = service.refresh(living.key)
    assert (answer.status_code, answer.json()["reason"]) == (503, "sealing_unavailable")
    assert 2 <= planned.hits <= TRIES
    row = living.row()
    assert (row["status"], row["last_error"], UNDER_WAY & row.keys()) == (
        "active",
        "sealing_unavailable",
        set(),
    )
    assert row["retry_at"] == row["due_at"] <= time.time() + 60, "the sweep comes by soon"
    living.pass_time(60)
    sweep(broken)
    living.line("refreshed")
    check_stored(broken, living, 2)
    no_false_death(broken, living)


def test_f24_without_the_keys_in_hand_no_code_is_exchanged(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator
) -> None:
    back = merchant.decide(FIFTH, store=shop)
    with (
        unheard(simulator),
        broken.aws_proxy.fault(
            KMS_THROTTLED, target="GenerateDataKey", caller="callback", times=ALWAYS
        ) as planned,
    ):
        check_failure(broken, merchant.browser.follow(back), 503, "sealing_unavailable")
    assert 2 <= planned.hits <= TRIES
    assert about(broken, merchant, shop) == []
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    check_stored(broken, one, 1)
    service.disconnect(one.key)


# F25: KMS says no: a policy forbids it, the key is disabled, or waits for its deletion.

DENIED = {
    "denied": "AccessDeniedException",
    "disabled": "DisabledException",
    "pending_deletion": "KMSInvalidStateException",
}


@pytest.mark.parametrize("code", DENIED.values(), ids=DENIED)
def test_f25_a_refresh_without_its_key_fails_closed_and_rings_and_recovers(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, code: str
) -> None:
    before = sealed(living)
    with (
        unheard(simulator),
        rings(broken, "KeyDenied"),
        broken.aws_proxy.fault(AwsError(400, code), target="Decrypt", caller="refresh", times=ALWAYS),
    ):
        answer = service.refresh(living.key)
        assert (answer.status_code, answer.json()["reason"]) == (503, "key_denied")
    line = living.line("failed")
    assert (line["reason"], line["detail"]) == ("key_denied", code)
    row = living.row()
    assert (row["status"], row["last_error"], UNDER_WAY & row.keys()) == ("active", "key_denied", set())
    assert sealed(living) == before
    no_false_death(broken, living)
    # The key is back: nobody has to do anything.
    living.pass_time(row["retry_at"] - int(time.time()) + 1)
    sweep(broken)
    living.line("refreshed")
    check_stored(broken, living, 2)
    assert "last_error" not in living.row()


@pytest.mark.parametrize("code", DENIED.values(), ids=DENIED)
def test_f25_a_reader_without_its_key_gets_no_token(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, code: str
) -> None:
    row, live = living.row(), simulator.newest(living.key.account_id)
    with (
        rings(broken, "KeyDenied", "connections"),
        broken.aws_proxy.fault(AwsError(400, code), target="Decrypt", caller="connections", times=ALWAYS),
    ):
        answer = service.token(living.key)
        assert (answer.status_code, answer.json()["reason"]) == (503, "key_denied")
    assert live["access_token"] not in answer.text
    assert living.row() == row
    assert service.token(living.key).json()["access_token"] == live["access_token"]


@pytest.mark.parametrize("code", DENIED.values(), ids=DENIED)
def test_f25_a_callback_without_its_key_spends_nothing(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator, code: str
) -> None:
    back, denied = merchant.decide(FIFTH, store=shop), AwsError(400, code)
    with (
        unheard(simulator),
        rings(broken, "KeyDenied", "callback"),
        broken.aws_proxy.fault(denied, target="GenerateDataKey", caller="callback", times=ALWAYS),
    ):
        check_failure(broken, merchant.browser.follow(back), 503, "key_denied")
    assert about(broken, merchant, shop) == []
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    check_stored(broken, one, 1)
    service.disconnect(one.key)


# F26: sealed fields that were altered, or moved to where they were not sealed for.

type Fields = dict[str, bytes]


class Rows(NamedTuple):
    """The sealed fields of a row, of another shop of the same merchant, and of another merchant."""

    own: Fields
    shop: Fields
    merchant: Fields


def refresh_of(other: Fields) -> Fields:
    """The refresh token of another row, with its key."""
    return {name: other[name] for name in ("refresh", "refresh_key")}


def access_of(other: Fields) -> Fields:
    """The access token of another row, with its key."""
    return {name: other[name] for name in ("access", "access_key")}


def flipped(data: bytes) -> bytes:
    """The same with one bit turned over, in the middle."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


SWAPS: dict[str, Callable[[Rows], Fields]] = {
    "of_another_shop": lambda rows: refresh_of(rows.shop),
    "of_another_merchant": lambda rows: refresh_of(rows.merchant),
    "of_the_other_field": lambda rows: {"refresh": rows.own["access"], "refresh_key": rows.own["access_key"]},
    "without_its_key": lambda rows: {"refresh": rows.merchant["refresh"]},
    "with_the_key_of_another": lambda rows: {"refresh_key": rows.merchant["refresh_key"]},
    "altered": lambda rows: {"refresh": flipped(rows.own["refresh"])},
    "with_an_altered_key": lambda rows: {"refresh_key": flipped(rows.own["refresh_key"])},
    "access_key_of_another": lambda rows: {"access_key": rows.merchant["access_key"]},
}
"""What is written over a row's own fields before it is refreshed."""
READ_SWAPS: dict[str, Callable[[Rows], Fields]] = {
    "of_another_shop": lambda rows: access_of(rows.shop),
    "of_another_merchant": lambda rows: access_of(rows.merchant),
    "of_the_other_field": lambda rows: {"access": rows.own["refresh"], "access_key": rows.own["refresh_key"]},
    "altered": lambda rows: {"access": flipped(rows.own["access"])},
    "with_an_altered_key": lambda rows: {"access_key": flipped(rows.own["access_key"])},
}
"""And before it is read."""


@pytest.fixture
def others(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service
) -> Iterator[tuple[Upkeep, Upkeep]]:
    """Another shop of the same merchant, and a shop of another one."""
    foreign = Merchant(broken, merchant.seen)
    both = (Upkeep.of(merchant, FIFTH, f"{shop}-b"), Upkeep.of(foreign, FIFTH, f"{shop}-c"))
    merchant.connect(FIFTH, store=f"{shop}-b")
    foreign.connect(FIFTH, store=f"{shop}-c")
    yield both
    for one in both:
        service.disconnect(one.key)


@pytest.mark.parametrize("swap", SWAPS)
def test_f26_a_sealed_field_in_the_wrong_place_opens_for_nobody(
    broken: BrokenStack,
    living: Upkeep,
    others: tuple[Upkeep, Upkeep],
    service: Service,
    simulator: Simulator,
    swap: str,
) -> None:
    own = sealed(living)
    put(living, **SWAPS[swap](Rows(own, *map(sealed, others))))
    # Something that would open stands beside it, and must not be fallen back to.
    put(living, previous_refresh=own["refresh"], previous_refresh_key=own["refresh_key"])
    living.set(previous_until=int(time.time()) + 600)
    altered = sealed(living)
    with unheard(simulator), rings(broken, "TokenUnreadable"):
        answer = service.refresh(living.key)
        assert (answer.status_code, answer.json()["reason"]) == (500, "token_unreadable")
        row = living.row()
        assert row["retry_at"] > time.time() + UNREADABLE_SECONDS - 60, "and nobody hurries"
    assert (row["status"], row["last_error"], UNDER_WAY & row.keys()) == (
        "active",
        "token_unreadable",
        set(),
    )
    assert sealed(living) == altered, "it is left for whoever looks into it"
    for token in simulator.refresh_tokens():
        assert token["refresh_token"] not in answer.text
    no_false_death(broken, living)
    put(living, **own)  # what an operator restores
    assert service.refresh(living.key).json()["version"] == 2
    check_stored(broken, living, 2)


@pytest.mark.parametrize("swap", READ_SWAPS)
def test_f26_a_reader_of_a_swapped_access_token_gets_none(
    broken: BrokenStack,
    living: Upkeep,
    others: tuple[Upkeep, Upkeep],
    service: Service,
    simulator: Simulator,
    swap: str,
) -> None:
    own = sealed(living)
    put(living, **READ_SWAPS[swap](Rows(own, *map(sealed, others))))
    row = living.row()
    with unheard(simulator), rings(broken, "TokenUnreadable", "connections"):
        answer = service.token(living.key)
        assert (answer.status_code, answer.json()["reason"]) == (500, "token_unreadable")
    for token in simulator.tokens():
        assert token["access_token"] not in answer.text
    assert living.row() == row
    put(living, **own)
    given = service.token(living.key).json()["access_token"]
    assert simulator.accepts(living.key.account_id, given)


def test_f26_one_unreadable_connection_costs_no_other(
    broken: BrokenStack, living: Upkeep, others: tuple[Upkeep, Upkeep], simulator: Simulator
) -> None:
    put(living, **refresh_of(sealed(others[1])))
    calls = len(simulator.calls())
    queue = Queue(broken, "refresh")
    several = (living, *others)
    for one in several:
        one.fall_due()
    with rings(broken, "TokenUnreadable"):
        queue.deliver(*(message(Order(one.key, Seen(1, 1), Cause.DUE)) for one in several))
    assert living.line("failed")["reason"] == "token_unreadable"
    assert outcomes(simulator, calls) == ["refreshed", "refreshed"]
    for one in others:
        check_stored(broken, one, 2)
    assert living.status == "active"
