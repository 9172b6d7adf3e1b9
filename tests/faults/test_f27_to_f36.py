"""Endings, webhooks, the timetable and the queues: twice at once, late, out of order, killed half-way.

The real stack. Minutes and days are not waited for: they are taken out of the row or the message, and the
test says so. What the provider itself accepts is asked at the provider.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from local.simulators.yotpo import STORES
from mooring.core.revocation import TRIES
from mooring.core.upkeep import PROBE_SECONDS, Cause, Confirm, Hint, Key, Order, Search, Seen, Work
from tests.e2e.running import FIFTH, TOKEN_SECONDS
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant, check_failure
from tests.e2e.upkeep import Upkeep, hint, sweep, wait_for
from tests.faults.actions import AwsError, LoseAnswer, Reset
from tests.faults.crashes import dying, rings
from tests.faults.crashes import warm as start
from tests.faults.invariants import no_false_death, no_token_lost, one_call_in_flight
from tests.faults.kill import caller_of, cool, kill, kill_these
from tests.faults.notices import aged, deliver, holding, is_over, warm
from tests.faults.queues import (
    HIDDEN_SECONDS,
    Queue,
    due,
    outcomes,
    seen,
    take_dead_letters,
    unsealed,
    written,
)
from tests.faults.revoking import REVOKE_PATH, is_forgotten, revoked, revoking
from tests.faults.stack import TOKEN_PATH, BrokenStack

FOUR_DAYS = 4 * 86_400
REVOKING_SECONDS, NEXT_TRY_SECONDS = 60, 180
"""So long a busy machine may take for a revocation, and for the one after the first pause of a minute."""
HIDDEN_AFTER_DEATH = 10
UNSETTLED = {"lease_owner", "attempts", "attempt_at", "last_error"}
DENIED = AwsError(400, "AccessDeniedException")
"""What the adapters do not try again: it would not pass."""


def answers(simulator: Simulator) -> int:
    """How many calls of its token endpoint the provider has answered."""
    return len(simulator.calls())


def cannot_be_used(one: Upkeep, service: Service, simulator: Simulator) -> bool:
    """Whether nobody can read or refresh it, and trying that sends nothing to the provider."""
    before = answers(simulator)
    refused = [service.token(one.key), service.refresh(one.key)]
    sweep(one.stack)
    words = {answer.json()["reason"] for answer in refused}
    return words == {"connection_not_active"} and answers(simulator) == before


@pytest.fixture(autouse=True)
def _no_dead_letters(request: pytest.FixtureRequest) -> None:
    """No dead letter lies there that an earlier test has left, and a process of `refresh` is there."""
    if "broken" in request.fixturenames:
        broken: BrokenStack = request.getfixturevalue("broken")
        take_dead_letters(broken)
        start(broken, 1)


# F27: the same uninstall five times at once.


def test_f27_one_uninstall_five_times_at_once(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    warm(broken, 5)
    aged(living)
    event, calls = broken.fifth.event(living.key.account_id), answers(simulator)
    with (
        ThreadPoolExecutor(5) as senders,
        holding(broken.aws_proxy, "before", 5, target="UpdateItem", caller="uninstall") as held,
    ):
        sent = [senders.submit(deliver, broken, event) for _ in range(5)]
        held.wait_hit(hits=2)
        time.sleep(0.5)  # all five, where the machine is fast enough; no longer, or the first one gives up
        held.go()
        said = [one.result() for one in sent]
    assert [status for status, _ in said] == [200] * 5
    assert (200, "uninstalled") in said
    row = living.row()
    assert is_over(row, "uninstalled")
    assert (row["generation"], row["version"]) == (1, 1)
    assert deliver(broken, event)[0] == 200
    assert living.row() == row, "and a sixth changes nothing"
    assert cannot_be_used(living, service, simulator)
    assert answers(simulator) == calls


# F28: uninstalled while the connection is being stored.


def test_f28_an_uninstall_just_before_the_store(
    broken: BrokenStack, merchant: Merchant, shop: str, simulator: Simulator
) -> None:
    warm(broken)
    back, calls = merchant.decide(FIFTH, store=shop), answers(simulator)
    with (
        ThreadPoolExecutor(1) as browser,
        holding(broken.aws_proxy, "before", 20, target="TransactWriteItems", caller="callback") as held,
    ):
        page = browser.submit(merchant.browser.follow, back)
        held.wait_hit()
        assert deliver(broken, broken.fifth.event(shop)) == (200, "accepted")
        held.go()
        check_failure(broken, page.result(), 409, "uninstalled_meanwhile")
    assert merchant.rows() == []
    assert answers(simulator) == calls + 1


def test_f28_an_uninstall_while_the_tokens_lie_on_the_recovery_queue(
    broken: BrokenStack, merchant: Merchant, shop: str, simulator: Simulator
) -> None:
    recovery, back = Queue(broken, "recovery"), merchant.decide(FIFTH, store=shop)
    with recovery.still():
        with broken.aws_proxy.fault(DENIED, target="TransactWriteItems", caller="callback", times=20):
            check_failure(broken, merchant.browser.follow(back), 202, "store_delayed")
        (waiting,) = [one for one in recovery.bodies() if one["merchant_id"] == merchant.name]
        assert (waiting["kind"], waiting["account_id"]) == ("connected", shop)
        assert deliver(broken, broken.fifth.event(shop)) == (200, "accepted")
    one = Upkeep.of(merchant, FIFTH, shop)
    recovery.wait_until_quiet(one.lines)
    assert merchant.rows() == []
    assert outcomes(one.lines()) == ["skipped"]
    assert simulator.newest(shop), "the provider has issued it; nobody here holds it any more"


def test_f28_an_uninstall_between_the_store_and_its_answer(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator
) -> None:
    warm(broken)
    back, one = merchant.decide(FIFTH, store=shop), Upkeep.of(merchant, FIFTH, shop)
    with (
        ThreadPoolExecutor(1) as browser,
        holding(broken.aws_proxy, "after", target="TransactWriteItems", caller="callback") as held,
    ):
        page = browser.submit(merchant.browser.follow, back)
        held.wait_hit()
        wait_for(one.row, "the stored connection")
        aged(one)
        assert deliver(broken, broken.fifth.event(shop)) == (200, "uninstalled")
        held.go()
        assert page.result().status == 303
    assert is_over(one.row(), "uninstalled")
    assert cannot_be_used(one, service, simulator)


# F29: uninstalled while it is being refreshed.


def test_f29_an_uninstall_during_a_refresh(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    """The result is discarded, said to be, and revoked: nobody holds it, so nobody shall."""
    warm(broken)
    aged(living)
    shop, calls = living.key.account_id, answers(simulator)
    with (
        rings(broken, "TokenDiscarded"),
        ThreadPoolExecutor(1) as pool,
        holding(broken.provider_proxy, "after", path=TOKEN_PATH) as held,
    ):
        answer = pool.submit(service.refresh, living.key)
        held.wait_hit()
        wait_for(lambda: answers(simulator) == calls + 1, "the provider's answer")
        assert deliver(broken, broken.fifth.event(shop)) == (200, "uninstalled")
        held.go()
        assert answer.result().json()["reason"] == "connection_not_active"
    assert is_over(living.row(), "uninstalled")
    assert living.lines(outcome="failed")[-1]["reason"] == "uninstalled_meanwhile"
    assert cannot_be_used(living, service, simulator)
    assert answers(simulator) == calls + 1
    assert shop not in "".join(Queue(broken, "recovery").texts()), "and nothing waits to bring it back"
    # That we were told of an uninstall ended nothing at the provider: only the revocation does.
    assert not is_forgotten(simulator, shop)
    assert outcomes(revoked(broken, living)) == ["revoked"]
    assert is_forgotten(simulator, shop)


def test_f29_uninstalled_and_installed_again_during_a_refresh(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, service: Service, simulator: Simulator
) -> None:
    warm(broken)
    connected_at, shop = aged(living), living.key.account_id
    with (
        rings(broken, "TokenDiscarded"),
        ThreadPoolExecutor(1) as pool,
        holding(broken.provider_proxy, "after", path=TOKEN_PATH) as held,
    ):
        answer = pool.submit(service.refresh, living.key)
        held.wait_hit()
        # As of half a minute ago, so that the flow which follows begins later than that.
        assert deliver(broken, broken.fifth.event(shop, at=connected_at + 30)) == (200, "uninstalled")
        merchant.connect(FIFTH, store=shop)
        row = living.row()
        held.go()
        answer.result()
    assert (row["status"], row["generation"], row["version"]) == ("active", 2, 2)
    assert living.row() == row, "the generation that is gone has nothing to write here"
    # What the refresh brought is revoked, and nothing of the connection that was made meanwhile.
    assert outcomes(revoked(broken, living)) == ["revoked"]
    assert len([token for token in simulator.refresh_tokens() if token["account"] == shop]) == 1
    assert simulator.accepts(shop, service.token(living.key).json()["access_token"])
    assert living.row() == row
    no_token_lost(broken, living)
    assert service.refresh(living.key).json()["version"] == 3, "its own refresh token is in force"


# F30: an uninstall from before the reinstall.


def test_f30_an_old_uninstall_after_the_reinstall(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, service: Service, simulator: Simulator
) -> None:
    connected_at, shop = aged(living), living.key.account_id
    event = broken.fifth.event(shop, at=connected_at + 30)
    assert deliver(broken, event) == (200, "uninstalled")
    merchant.connect(FIFTH, store=shop)
    row, calls = living.row(), answers(simulator)
    assert (row["status"], row["generation"]) == ("active", 2)
    for old in (event, broken.fifth.event(shop, at=connected_at - FOUR_DAYS)):
        assert deliver(broken, old) == (200, "ignored")
        assert living.row() == row
    assert simulator.accepts(shop, service.token(living.key).json()["access_token"])
    assert answers(simulator) == calls
    no_false_death(broken, living)
    # One of the new generation's own is believed, and so is one of a moment ago that a stale one follows.
    aged(living, 10)
    assert deliver(broken, broken.fifth.event(shop)) == (200, "uninstalled")
    assert deliver(broken, event) == (200, "ignored")
    assert is_over(living.row(), "uninstalled")


# F31: an uninstall without a usable time.


@pytest.fixture
def store(broken: BrokenStack, merchant: Merchant, service: Service) -> Iterator[Upkeep]:
    """A store of the provider whose notices prove nothing and name no time."""
    one = Upkeep.of(merchant, "yotpo", list(STORES)[2])
    merchant.connect("yotpo", store=one.key.account_id)
    yield one
    service.disconnect(one.key)


def test_f31_an_uninstall_without_a_time_after_the_reinstall(
    broken: BrokenStack, store: Upkeep, merchant: Merchant, service: Service
) -> None:
    yotpo, refresh = broken.simulator("yotpo"), Queue(broken, "refresh")
    shop = store.key.account_id
    message = yotpo.disconnect(shop)
    line = wait_for(lambda: store.lines(outcome="probed"), "the first probe")[-1]
    assert line["reason"] == "token_refused"
    assert store.status == "active", "one 401 proves nothing"
    wait_for(lambda: len(yotpo.deliveries(message)) == 2, "the provider's own duplicate")
    refresh.wait_until_quiet()
    merchant.connect("yotpo", store=shop)
    row = store.row()
    assert (row["status"], row["generation"]) == ("active", 2)
    # The second probe's message, which names the generation before; its half minute is taken out of it.
    late = Confirm(store.key, Seen(1, 1), int(time.time()) - 60, uninstall=True)
    assert outcomes(refresh.deliver(written(late))) == ["skipped"]
    probes = len(yotpo.calls("api"))
    assert yotpo.redeliver(message) == 200
    refresh.wait_until_quiet(lambda: len(yotpo.calls("api")) > probes)  # the provider is asked
    assert yotpo.calls("api")[-1]["outcome"] == "ok"
    now = store.row()
    assert (now["status"], now["generation"], now["version"]) == ("active", 2, 2)
    assert now["access"] == row["access"]
    assert yotpo.accepts(shop, service.token(store.key).json()["access_token"])


def test_f31_an_uninstall_without_a_time_that_is_true(
    broken: BrokenStack, store: Upkeep, service: Service
) -> None:
    yotpo, refresh = broken.simulator("yotpo"), Queue(broken, "refresh")
    yotpo.revoke(account=store.key.account_id)
    assert hint(broken, store.key.account_id).status_code == 200
    refresh.wait_until_quiet(lambda: store.lines(outcome="probed"))
    assert store.status == "active"
    first = Confirm(store.key, seen(store), int(time.time()) - 60, uninstall=True)
    assert outcomes(refresh.deliver(written(first))) == ["uninstalled"]
    assert is_over(store.row(), "uninstalled")
    assert service.token(store.key).json()["reason"] == "connection_not_active"
    assert outcomes(refresh.deliver(written(first))) == ["skipped"]


# F32: disconnected while it is being refreshed, and what comes late.


def test_f32_a_disconnect_during_a_refresh_and_late_messages(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    late = [due(living), *map(written, every_kind(living.key, seen(living), int(time.time()) - 60))]
    calls = answers(simulator)
    with (
        rings(broken, "TokenDiscarded"),
        ThreadPoolExecutor(1) as pool,
        holding(broken.provider_proxy, "after", path=TOKEN_PATH) as held,
    ):
        answer = pool.submit(service.refresh, living.key)
        held.wait_hit()
        attempt = living.row()["lease_owner"]
        assert service.disconnect(living.key).status_code == 200
        held.go()
        assert answer.result().json()["reason"] == "connection_not_active"
    row = living.row()
    assert is_over(row, "disconnected")
    assert answers(simulator) == calls + 1
    Queue(broken, "refresh").deliver(*late)
    stray = unsealed(living.key, Seen(1, 1))
    Queue(broken, "recovery").deliver(stray, stray.replace(attempt_of(stray), attempt))
    assert living.row() == row, "every one of them is a no-op"
    assert cannot_be_used(living, service, simulator)
    assert answers(simulator) == calls + 1
    # What the row held, what the refresh brought, and what the stray pretended to bring.
    told = revoked(broken, living, 3)
    assert outcomes(told)[-2:] == ["revoked", "revoked"]
    assert is_forgotten(simulator, living.key.account_id)
    assert living.row()["revocation"] == "revoked"


def every_kind(key: Key, known: Seen, at: int) -> list[Work]:
    """Work of every kind about a connection as it was once known; `at` is epoch seconds."""
    orders = [Order(key, known, cause) for cause in Cause if cause is not Cause.DUE]
    confirms = [Confirm(key, known, at, uninstall) for uninstall in (True, False)]
    return [
        *orders,
        Order(key, known, Cause.DUE, trial=True),
        *confirms,
        Search(key.provider, key.account_id, at),
    ]


def attempt_of(body: str) -> str:
    """The attempt that a message of kind `refreshed` names."""
    return body.partition('"attempt_id":"')[2].partition('"')[0]


# F33: the provider is down when a connection is cut off.


def test_f33_the_provider_is_down_at_a_disconnect(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, service: Service, simulator: Simulator
) -> None:
    """The cut-off is ours alone, at once and complete; the provider is told when it is back.

    Meanwhile the merchant connects again, and keeps what that brought.
    """
    shop, old = living.key.account_id, service.token(living.key).json()["access_token"]
    with revoking(broken):
        with broken.provider_proxy.fault(Reset(), path=REVOKE_PATH, times=1_000) as down:
            answer = service.disconnect(living.key)
            assert (answer.status_code, answer.json()) == (200, {"status": "disconnected"})
            row = living.row()
            assert is_over(row, "disconnected")
            assert cannot_be_used(living, service, simulator)
            assert service.disconnect(living.key).status_code == 200
            down.wait_hit(REVOKING_SECONDS)
            failed = wait_for(lambda: living.lines("revoke"), "its first try")[0]
            assert (failed["outcome"], failed["reason"]) == ("failed", "provider_unavailable")
            assert living.row().get("revocation") is None, "nothing is decided"
            merchant.connect(FIFTH, store=shop)
        new = service.token(living.key).json()["access_token"]
        assert (simulator.accepts(shop, old), simulator.accepts(shop, new)) == (True, True)
        assert down.hits == 1, "one call is not repeated by itself"
        done = wait_for(lambda: living.lines("revoke", outcome="revoked"), "the next try", NEXT_TRY_SECONDS)
    assert len(done) == 1
    assert (simulator.accepts(shop, old), simulator.accepts(shop, new)) == (False, True)
    row = living.row()
    assert (row["status"], row["generation"], row.get("revocation")) == ("active", 2, None)
    assert service.refresh(living.key).json()["version"] == row["version"] + 1


def test_f33_what_never_succeeds_is_noted_at_the_last_try(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    """A day and a half is not waited for: the last try is handed to the function as SQS would."""
    assert service.disconnect(living.key).status_code == 200
    queue, shop = Queue(broken, "revoke"), living.key.account_id
    body = wait_for(lambda: [text for text in queue.texts() if shop in text], "the message")[0]

    def tried(times: int) -> str | None:
        counted = {"ApproximateReceiveCount": str(times)}
        record = {
            "messageId": f"try-{times}",
            "body": body,
            "receiptHandle": "none",
            "attributes": counted,
        }
        answer = broken.aws("lambda").invoke(
            FunctionName=broken.info["functions"]["revoke"], Payload=json.dumps({"Records": [record]})
        )
        failed = json.loads(answer["Payload"].read())["batchItemFailures"]
        assert (failed != []) is (living.lines("revoke")[-1]["outcome"] == "failed")
        return living.row().get("revocation")

    with simulator_refusing(broken, simulator):
        assert [tried(TRIES - 1), tried(TRIES)] == [None, "failed"]
    assert tried(1) == "revoked", "an operator sent it through once more"
    assert is_forgotten(simulator, shop)


@contextmanager
def simulator_refusing(broken: BrokenStack, simulator: Simulator) -> Iterator[None]:
    """The provider knows our client secret no more, and its process fetches none anew."""
    simulator.misbehave("invalid_client", "revoke", 100)
    with rings(broken, "ProviderMisconfigured", "revoke", 2):
        yield
    simulator.misbehave("invalid_client", "revoke", 0)


def test_f33_revoke_dies_after_the_providers_answer(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    """It is told twice, which does no harm, and noted."""
    shop = living.key.account_id
    with revoking(broken) as queue, queue.changed(VisibilityTimeout=HIDDEN_AFTER_DEATH):
        with dying(broken, broken.provider_proxy, "after", path=REVOKE_PATH):
            assert service.disconnect(living.key).status_code == 200
        wait_for(lambda: living.row().get("revocation"), "the second try", NEXT_TRY_SECONDS)
    assert living.row()["revocation"] == "revoked"
    assert [call["outcome"] for call in simulator.calls("revoke")][-2:] == ["revoked", "revoked"]
    assert is_forgotten(simulator, shop)


def test_f33_the_table_is_down_at_a_disconnect(broken: BrokenStack, living: Upkeep, service: Service) -> None:
    token, row = service.token(living.key).json(), living.row()
    with broken.aws_proxy.fault(DENIED, target="UpdateItem", caller="connections", times=20):
        answer = service.disconnect(living.key)
    assert (answer.status_code, answer.json()["reason"]) == (503, "storage_unavailable")
    assert living.row() == row, "it says so, and nothing is half cut off"
    assert service.token(living.key).json() == token
    with broken.aws_proxy.fault(LoseAnswer(), target="UpdateItem", caller="connections") as lost:
        answer = service.disconnect(living.key)
        lost.wait_hit()
    assert (answer.status_code, answer.json()) == (200, {"status": "disconnected"})
    assert is_over(living.row(), "disconnected")


# F34: the webhook's handler dies.

POINTS = {
    "before the tombstone": ("before", "PutItem", "active"),
    "after the tombstone": ("after", "PutItem", "active"),
    "before the transition": ("before", "UpdateItem", "active"),
    "after the transition": ("after", "UpdateItem", "uninstalled"),
}


@pytest.mark.parametrize("point", POINTS)
def test_f34_the_webhook_handler_is_killed(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, point: str
) -> None:
    when, target, status = POINTS[point]
    warm(broken)
    aged(living)
    shop = living.key.account_id
    with holding(broken.aws_proxy, when, target=target, caller="uninstall") as held:  # type: ignore[arg-type]
        message = simulator.disconnect(shop)
        held.wait_hit()
        kill_these([caller_of(broken, held.planned)])
        held.go()
        first = wait_for(lambda: simulator.deliveries(message), "the first answer")[0]
    assert first["status"] is None or first["status"] >= 500, "nothing is said to be done that may not be"
    assert status in ("active", living.status)
    # The provider sends it again by itself, until we say 200, and once more after that.
    delivered(simulator, message)
    row = living.row()
    assert is_over(row, "uninstalled")
    assert (row["generation"], row["version"]) == (1, 1)
    assert any(stone["pk"]["S"] == f"tombstone#{FIFTH}#{shop}" for stone in broken.rows("flows"))
    assert simulator.redeliver(message) == 200
    assert living.row() == row
    assert cannot_be_used(living, service, simulator)


def delivered(simulator: Simulator, message: str) -> list[int | None]:
    """The answers to every delivery of a notice, once one of them was 200 and so was the duplicate."""

    def done() -> bool:
        return [one["kind"] for one in simulator.deliveries(message)][-1:] == ["duplicate"]

    wait_for(done, "the provider's own retries", 30)
    said = [one["status"] for one in simulator.deliveries(message)]
    assert said[-2:] == [200, 200]
    return said


@pytest.mark.parametrize(("when", "hints"), [("before", 1), ("after", 2)])
def test_f34_the_webhook_handler_is_killed_at_a_hint(
    broken: BrokenStack, store: Upkeep, when: str, hints: int
) -> None:
    """Its one durable write is the message. A second hint waits, because anybody can send hints."""
    warm(broken)
    yotpo, refresh, shop = broken.simulator("yotpo"), Queue(broken, "refresh"), store.key.account_id
    row = store.row()
    with refresh.still():
        with holding(broken.aws_proxy, when, target="SendMessageBatch", caller="uninstall") as held:  # type: ignore[arg-type]
            message = yotpo.disconnect(shop)
            held.wait_hit()
            kill_these([caller_of(broken, held.planned)])
            held.go()
            first = wait_for(lambda: yotpo.deliveries(message), "the first answer")[0]
            assert first["status"] is None or first["status"] >= 500
            # Only the retries that follow, and the duplicate.
            answered = delivered(yotpo, message).count(200)
        # Second probes of earlier tests at this store may lie there, too.
        about = [one for one in refresh.bodies() if one.get("account_id") == shop]
        waiting = [one for one in about if one["kind"] == "hint"]
        assert len(waiting) == answered + hints - 1
        probes = len(yotpo.calls("api"))
    refresh.wait_until_quiet(lambda: "hinted_until" in store.row())
    assert len(yotpo.calls("api")) == probes + 1, "one round, however often it was said"
    now = store.row()
    assert (now["status"], now["access"]) == ("active", row["access"])
    assert now["hinted_until"] > time.time() + PROBE_SECONDS / 2, "and one of the others waits for the next"


@pytest.mark.parametrize("target", ["PutItem", "Query", "UpdateItem", "GetParameter"])
def test_f34_no_200_before_the_write_is_durable(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, target: str
) -> None:
    aged(living)
    if target == "GetParameter":
        cool(broken, "uninstall")  # whoever has the secret in memory does not ask for it
    with broken.aws_proxy.fault(DENIED, target=target, caller="uninstall", times=1_000) as denied:
        message = simulator.disconnect(living.key.account_id)
        denied.wait_hit()
        first = wait_for(lambda: simulator.deliveries(message), "the first answer")[0]
        assert first["status"] >= 500
        assert living.status == "active"
    delivered(simulator, message)
    assert is_over(living.row(), "uninstalled")


# F35: the schedule fires twice, late, or not at all.


@pytest.fixture
def several(broken: BrokenStack, merchant: Merchant, service: Service, shop: str) -> Iterator[list[Upkeep]]:
    """Three shops of one merchant."""
    ones = [Upkeep.of(merchant, FIFTH, f"{shop}-{number}") for number in range(3)]
    for one in ones:
        merchant.connect(FIFTH, store=one.key.account_id)
    yield ones
    for one in ones:
        service.disconnect(one.key)


def queued(refresh: Queue, ones: list[Upkeep]) -> list[str]:
    """The accounts of those that wait in the queue, each as often as it does, sorted."""
    names = {one.key.account_id for one in ones}
    return sorted(body["account_id"] for body in refresh.bodies() if body.get("account_id") in names)


def test_f35_the_schedule_fires_twice_at_once(
    broken: BrokenStack, several: list[Upkeep], simulator: Simulator
) -> None:
    """The second firing waits for its turn and finds nothing left to queue. A third one remembers nothing
    of them, because the process died: all is queued twice, and the provider is asked once all the same."""
    refresh, names = Queue(broken, "refresh"), sorted(one.key.account_id for one in several)
    calls = answers(simulator)
    with refresh.still():
        for one in several:
            one.fall_due()
        with ThreadPoolExecutor(2) as twice:
            list(twice.map(sweep, [broken, broken]))
        waiting = queued(refresh, several)
        assert waiting == names
        kill(broken, "sweep")
        wait_for(lambda: broken.trigger("schedules/sweep/fire")["error"] is None, "a new process")
        time.sleep(HIDDEN_SECONDS)  # until what was looked at can be seen again
        waiting = queued(refresh, several)
        assert waiting == sorted(2 * names)
    refresh.wait_until_quiet(lambda: [one.version for one in several] == [2] * 3)
    assert answers(simulator) == calls + 3, "one call each, whoever's message came first"
    for one in several:
        assert not UNSETTLED & one.row().keys()
        no_token_lost(broken, one)


def test_f35_the_schedule_fires_an_hour_late_and_then_twice(
    broken: BrokenStack, several: list[Upkeep], service: Service, simulator: Simulator
) -> None:
    for one in several:
        one.pass_time(TOKEN_SECONDS)
        one.set(expires_at=int(time.time()) - 60)
    refresh, calls = Queue(broken, "refresh"), answers(simulator)
    said = sweep(broken)
    assert said["overdue_seconds"] > 60, "which the alarm overdue watches"
    refresh.wait_until_quiet(lambda: [one.version for one in several] == [2] * 3)
    assert [(one.status, one.version) for one in several] == [("active", 2)] * 3
    assert answers(simulator) == calls + 3
    sweep(broken)
    refresh.wait_until_quiet()
    assert answers(simulator) == calls + 3
    for one in several:
        no_token_lost(broken, one)
        given = service.token(one.key).json()
        assert "warning" not in given
        assert simulator.accepts(one.key.account_id, given["access_token"])


def test_f35_the_schedule_never_fires(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    """Readers have refreshed what they read. That the alarm sweep-missing rings meanwhile, the template's
    own tests hold."""
    living.pass_time(TOKEN_SECONDS)
    living.set(expires_at=int(time.time()) - 60)
    calls = answers(simulator)
    with ThreadPoolExecutor(4) as readers:
        given = [answer.json() for answer in readers.map(service.token, [living.key] * 4)]
    assert {one["version"] for one in given} == {2}
    assert answers(simulator) == calls + 1
    assert simulator.accepts(living.key.account_id, given[0]["access_token"])
    sweep(broken)
    Queue(broken, "refresh").wait_until_quiet()
    assert (living.version, answers(simulator)) == (2, calls + 1), "a sweep that comes after all is a no-op"
    no_token_lost(broken, living)


# F36: messages that come twice, out of order, and four days late.


def test_f36_every_kind_of_work_twice_out_of_order_and_four_days_late(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    refresh, old = Queue(broken, "refresh"), int(time.time()) - FOUR_DAYS
    sent = []
    for _ in range(2):
        sent += [due(living), *map(written, every_kind(living.key, seen(living), old))]
        assert service.refresh(living.key).json()["outcome"] == "refreshed"
    row, calls = living.row(), answers(simulator)
    assert row["version"] == 3
    lines = refresh.deliver(*reversed(sent), *sent)
    assert len(lines) == 2 * len(sent)
    assert set(outcomes(lines)) <= {"fresh", "skipped"}
    assert living.row() == row
    # One that names it as it stands, long before it is due again.
    assert outcomes(refresh.deliver(due(living), due(living))) == ["fresh", "fresh"]
    assert (living.row(), answers(simulator)) == (row, calls)
    assert Queue(broken, "refresh-dead").counts()[0] == 0
    no_token_lost(broken, living)
    no_false_death(broken, living)


def test_f36_hints_twice_and_four_days_late_are_one_question(
    broken: BrokenStack, living: Upkeep, simulator: Simulator
) -> None:
    refresh, calls = Queue(broken, "refresh"), answers(simulator)
    body = written(Hint(FIFTH, living.key.account_id))
    refresh.deliver(*[body] * 6)
    assert (living.status, living.version) == ("active", 2), "the provider renewed it: it is not uninstalled"
    assert answers(simulator) == calls + 1
    refresh.deliver(*[body] * 6)
    assert answers(simulator) == calls + 1
    no_token_lost(broken, living)
    no_false_death(broken, living)


def test_f36_a_due_message_six_times_at_once_is_one_call(
    broken: BrokenStack, living: Upkeep, simulator: Simulator
) -> None:
    refresh, calls = Queue(broken, "refresh"), answers(simulator)
    living.fall_due()
    lines = refresh.deliver(*[due(living)] * 6)
    assert outcomes(lines).count("refreshed") == 1
    assert set(outcomes(lines)) <= {"refreshed", "busy", "fresh"}
    assert (living.version, answers(simulator)) == (2, calls + 1)
    no_token_lost(broken, living)


def test_f36_a_recovered_refresh_again_and_again(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    recovery, shop, calls = Queue(broken, "recovery"), living.key.account_id, answers(simulator)
    with recovery.still():
        with broken.aws_proxy.fault(DENIED, target="UpdateItem", caller="refresh", times=20, skip=1):
            assert service.refresh(living.key).json()["reason"] == "store_delayed"
        (body,) = [text for text in recovery.texts() if f'"{shop}"' in text]
    recovery.wait_until_quiet(lambda: living.version == 2)
    row = living.row()
    assert (row["status"], row["version"]) == ("active", 2)
    assert answers(simulator) == calls + 1
    recovery.deliver(body, body)
    assert living.row() == row
    assert service.refresh(living.key).json()["version"] == 3, "what it brought is what the provider accepts"
    row = living.row()
    recovery.deliver(body, body)
    assert living.row() == row, "newer tokens stay"
    no_token_lost(broken, living)
    one_call_in_flight(broken, calls)
    assert service.disconnect(living.key).status_code == 200
    row = living.row()
    recovery.deliver(body)
    assert living.row() == row
    assert is_over(row, "disconnected")
    assert cannot_be_used(living, service, simulator)
    assert answers(simulator) == calls + 2


def test_f36_a_recovered_exchange_again_and_again(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator
) -> None:
    recovery, one = Queue(broken, "recovery"), Upkeep.of(merchant, FIFTH, shop)
    back = merchant.decide(FIFTH, store=shop)
    with recovery.still():
        with broken.aws_proxy.fault(DENIED, target="TransactWriteItems", caller="callback", times=20):
            check_failure(broken, merchant.browser.follow(back), 202, "store_delayed")
        (body,) = [text for text in recovery.texts() if f'"{shop}"' in text]
    recovery.wait_until_quiet(one.row)
    row = one.row()
    assert (row["status"], row["generation"], row["version"]) == ("active", 1, 1)
    recovery.deliver(body, body)
    assert one.row() == row, "a second time is no second generation"
    assert service.refresh(one.key).json()["version"] == 2
    connected_at, row = row["connected_at"], one.row()
    recovery.deliver(body)
    assert one.row() == row, "nor does it bring the first token set back"
    wait_for(lambda: time.time() >= connected_at + 2, "an event that is newer")
    assert deliver(broken, broken.fifth.event(shop, at=connected_at + 1)) == (200, "uninstalled")
    recovery.deliver(body)
    assert is_over(one.row(), "uninstalled")
    merchant.connect(FIFTH, store=shop)
    row = one.row()
    recovery.deliver(body)
    assert one.row() == row
    assert (row["status"], row["generation"]) == ("active", 2)
    assert simulator.accepts(shop, service.token(one.key).json()["access_token"])
    service.disconnect(one.key)
