"""Processes that die, sleep or meet each other around the one call that cannot be taken back.

The real stack, and the real runtime processes: killed with SIGKILL, stopped with SIGSTOP. Seconds and
minutes that have to pass are taken out of the row. Which token is good is asked at the provider.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from itertools import islice

import pytest
import requests

from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.core.errors import Reason
from mooring.core.upkeep import (
    DOUBT_SECONDS,
    LEASE_SECONDS,
    Cause,
    Hindrance,
    Leased,
    Order,
    Refused,
    Seen,
    Setback,
    Storing,
)
from mooring.flows.callback import EXCHANGE_SECONDS
from mooring.flows.refresh import LOOK_SECONDS
from mooring.flows.sweep import STRANDED_SECONDS
from tests.contract.upkeep_world import fresh
from tests.e2e.running import FIFTH, TOKEN_SECONDS
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant, check_failure, returned
from tests.e2e.upkeep import Upkeep, doubt_passes, sweep, wait_for
from tests.faults.actions import Action, AwsErrorAfter, DelayAnswer, LoseAnswer
from tests.faults.crashes import asleep, dying, held, rings, rung, warm
from tests.faults.invariants import accepted, no_false_death, no_token_lost, one_call_in_flight, opened
from tests.faults.kill import after_the_answer, after_the_write, before_the_call
from tests.faults.proxy import Planned
from tests.faults.queues import Queue, due
from tests.faults.stack import TOKEN_PATH, BrokenStack
from tests.faults.storage import UNDER_WAY, about, age_flow, flow_status

GRACE_SECONDS = 600
CONVERGED_SECONDS = 300
"""Within so many seconds after a fault every living connection is fresh again."""
SHORT_SECONDS = 5
"""A queue's visibility timeout that a test can wait for."""

type Dying = Callable[[BrokenStack], AbstractContextManager[Planned]]


def outcomes(simulator: Simulator, since: int) -> list[str]:
    """What the provider answered to token calls from number `since` on."""
    return [call["outcome"] for call in simulator.calls()[since:]]


def die_in(
    crash: AbstractContextManager[Planned], broken: BrokenStack, one: Upkeep, service: Service
) -> requests.Response:
    """Ask for a refresh whose worker dies; what whoever asked was told. Others of its kind live on."""
    warm(broken, 2)
    with ThreadPoolExecutor(1) as pool, crash:
        asked = pool.submit(service.refresh, one.key)
    return asked.result()


def check_stored(broken: BrokenStack, one: Upkeep, version: int) -> None:
    """Its tokens are stored under this version, are the provider's, and nothing is under way."""
    row = one.row()
    assert (row["status"], row["version"], UNDER_WAY & row.keys()) == ("active", version, set()), row
    no_token_lost(broken, one)


def check_alive(one: Upkeep, service: Service, simulator: Simulator) -> None:
    """The provider's own API takes the access token that readers get."""
    given = service.token(one.key)
    assert given.status_code == 200, given.text
    assert simulator.accepts(one.key.account_id, given.json()["access_token"])


# F13, F14: a callback dies before its token call, and between the provider's answer and the store.


def burned(broken: BrokenStack) -> AbstractContextManager[Planned]:
    """Whoever burns a state next dies of it, its state being burned."""
    return dying(broken, broken.aws_proxy, "after", target="UpdateItem", caller="callback")


def come_back(merchant: Merchant, shop: str, crash: AbstractContextManager[Planned]) -> Callable[[], int]:
    """Return from the provider to a callback that dies; comes back again, and says with which status."""
    back = merchant.decide(FIFTH, store=shop)
    with ThreadPoolExecutor(1) as pool, crash:
        page = pool.submit(merchant.browser.follow, back)
    assert page.result().status >= 500, page.result().text
    started = merchant.other_browser().browser.open(f"{merchant.stack.base_url}/callback/{FIFTH}")
    check_failure(merchant.stack, started, 400, "state_missing")  # by a process that starts for it

    def again() -> int:
        page = merchant.browser.follow(back)
        if page.status == 303:
            assert returned(page)["status"] == ["connected"]
        elif page.status == 409:
            check_failure(merchant.stack, page, 409, "flow_in_progress")
        else:
            check_failure(merchant.stack, page, 400, "flow_used")
        return page.status

    return again


def check_stranded(broken: BrokenStack, merchant: Merchant, again: Callable[[], int]) -> None:
    """A flow whose callback died is told as being in progress, then as used up, and counted in the end."""
    assert flow_status(merchant) == "exchanging"
    assert again() == 409
    age_flow(merchant, EXCHANGE_SECONDS + 1)
    assert again() == 400
    before = rung(broken, "StrandedFlows", "sweep")
    age_flow(merchant, STRANDED_SECONDS[0])
    sweep(broken)
    wait_for(lambda: rung(broken, "StrandedFlows", "sweep") > before, "the orphan among the stranded flows")


@pytest.mark.parametrize("crash", [burned, before_the_call], ids=["burned", "before_the_call"])
def test_f13_a_callback_that_dies_before_its_token_call_spends_no_code(
    broken: BrokenStack,
    merchant: Merchant,
    shop: str,
    service: Service,
    simulator: Simulator,
    crash: Dying,
) -> None:
    calls = len(simulator.calls())
    again = come_back(merchant, shop, crash(broken))
    assert about(broken, merchant, shop) == []
    check_stranded(broken, merchant, again)
    assert len(simulator.calls()) == calls, "nobody has sent the code, nor does so later"
    assert about(broken, merchant, shop) == []
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    assert outcomes(simulator, calls) == ["issued"]
    assert one.row()["generation"] == 1
    check_stored(broken, one, 1)
    check_alive(one, service, simulator)
    service.disconnect(one.key)


def test_f14_a_callback_that_dies_between_the_answer_and_the_store_leaves_nothing_half_done(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())
    again = come_back(merchant, shop, after_the_answer(broken))
    assert outcomes(simulator, calls) == ["issued"]
    orphan = simulator.newest(shop)
    assert about(broken, merchant, shop) == [], "neither a row nor a pointer"
    check_stranded(broken, merchant, again)
    assert outcomes(simulator, calls) == ["issued"], "and the code is sent once"
    assert about(broken, merchant, shop) == []
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    assert outcomes(simulator, calls) == ["issued", "issued"]
    assert one.row()["generation"] == 1
    check_stored(broken, one, 1)
    assert opened(broken, one) != orphan["refresh_token"]
    check_alive(one, service, simulator)
    service.disconnect(one.key)


def test_f14_a_callback_that_dies_after_its_store_has_connected(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())
    again = come_back(merchant, shop, after_the_write(broken, "callback"))
    one = Upkeep.of(merchant, FIFTH, shop)
    check_stored(broken, one, 1)
    assert flow_status(merchant) == "done"
    row = one.row()
    assert again() == 303
    assert outcomes(simulator, calls) == ["issued"]
    assert one.row() == row
    assert row["generation"] == 1
    check_alive(one, service, simulator)
    service.disconnect(one.key)


# F15: a refresh dies between the provider's answer and the store.


def lose_the_answer(broken: BrokenStack, one: Upkeep, service: Service, simulator: Simulator) -> None:
    """The provider has rotated, and the one that it told is dead."""
    calls = len(simulator.calls())
    answer = die_in(after_the_answer(broken), broken, one, service)
    assert answer.status_code == 503, answer.text
    assert outcomes(simulator, calls) == ["refreshed"]
    row = one.row()
    assert (row["status"], row["version"], len(row["attempts"])) == ("active", 1, 1)
    assert row["lease_until"] <= time.time() + LEASE_SECONDS
    # The old access token serves on: nobody who reads need know.
    check_alive(one, service, simulator)
    one.pass_time(LEASE_SECONDS)


def test_f15_a_refresh_that_dies_with_the_answer_recovers_within_the_grace(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())
    with simulator.behaving(grace_seconds=GRACE_SECONDS):
        lose_the_answer(broken, living, service, simulator)
        doubt_passes(living, service)
        assert service.refresh(living.key).json()["version"] == 2
        assert outcomes(simulator, calls) == ["refreshed", "refreshed"]
        check_stored(broken, living, 2)
        no_false_death(broken, living)
    one_call_in_flight(broken, calls)
    check_alive(living, service, simulator)
    assert service.refresh(living.key).json()["version"] == 3, "what is stored is the provider's current one"


@pytest.mark.parametrize("reuse", ["refuse", "revoke_family"])
def test_f15_a_refresh_that_dies_with_the_answer_is_told_where_there_is_no_grace(
    broken: BrokenStack,
    living: Upkeep,
    service: Service,
    simulator: Simulator,
    merchant: Merchant,
    reuse: str,
) -> None:
    calls = len(simulator.calls())
    with simulator.behaving(reuse=reuse):
        lose_the_answer(broken, living, service, simulator)
        doubt_passes(living, service)
        with rings(broken, "LostRotation"):
            assert service.refresh(living.key).json()["reason"] == "connection_not_active"
    assert outcomes(simulator, calls) == ["refreshed", "reused"], "one retry, and no more"
    row = living.row()
    assert (row["status"], row["last_error"]) == ("needs_reconnect", "lost_rotation")
    assert not {"due_at", "due_shard", "lease_owner"} & row.keys()
    assert len(living.lines(outcome="failed", reason="lost_rotation")) == 1
    no_token_lost(broken, living)
    lives_on = accepted(broken, living)
    assert len(lives_on) == (1 if reuse == "refuse" else 0)
    assert opened(broken, living) not in lives_on
    # Nothing calls any more, however often it is asked; and the merchant coming back mends it.
    assert service.refresh(living.key).status_code == 409
    assert service.token(living.key).json()["reason"] == "connection_not_active"
    assert len(simulator.calls()) == calls + 2
    merchant.connect(FIFTH, store=living.key.account_id)
    assert living.row()["generation"] == 2
    check_stored(broken, living, 2)


# F16: a write took place, and only its answer was lost.

LOST_ANSWERS = [AwsErrorAfter(500, "InternalServerError"), LoseAnswer(), DelayAnswer(2.3)]
"""An error, a reset, and silence for longer than the client waits."""
LEASE, STORE = 0, 1
"""Which of a refresh's updates is which."""


@pytest.mark.parametrize("action", LOST_ANSWERS, ids=lambda action: type(action).__name__)
@pytest.mark.parametrize("which", [LEASE, STORE], ids=["lease", "store"])
def test_f16_a_refresh_knows_its_own_write_again(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, which: int, action: Action
) -> None:
    calls, sent = len(simulator.calls()), broken.aws_proxy.count(target="SendMessage", caller="refresh")
    with broken.aws_proxy.fault(action, target="UpdateItem", caller="refresh", skip=which) as planned:
        answer = service.refresh(living.key)
    assert planned.hits == 1
    assert (answer.status_code, answer.json()["outcome"]) == (200, "refreshed"), answer.text
    assert outcomes(simulator, calls) == ["refreshed"]
    assert broken.aws_proxy.count(target="SendMessage", caller="refresh") == sent, "nothing to recover"
    check_stored(broken, living, 2)
    assert living.lines(outcome="failed") == []
    assert service.refresh(living.key).json()["version"] == 3


def test_f16_a_release_that_is_repeated_counts_one_failure(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    simulator.misbehave("http_429")
    lost = AwsErrorAfter(500, "InternalServerError")
    with broken.aws_proxy.fault(lost, target="UpdateItem", caller="refresh", skip=STORE) as planned:
        assert service.refresh(living.key).json()["reason"] == "provider_unavailable"
    assert planned.hits == 1
    row = living.row()
    assert (row["status"], row["failures"], UNDER_WAY & row.keys()) == ("active", 1, set())
    assert service.refresh(living.key).json()["version"] == 2
    check_stored(broken, living, 2)


def test_f16_a_refusal_that_is_noted_twice_is_told_once(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    simulator.revoke(account=living.key.account_id)
    lost = AwsErrorAfter(500, "InternalServerError")
    with broken.aws_proxy.fault(lost, target="UpdateItem", caller="refresh", skip=STORE) as planned:
        assert service.refresh(living.key).json()["reason"] == "connection_not_active"
    assert planned.hits == 1
    row = living.row()
    assert (row["status"], row["last_error"]) == ("needs_reconnect", "grant_refused")
    assert [line["reason"] for line in living.lines(outcome="failed")] == ["grant_refused"]


@pytest.mark.parametrize("action", LOST_ANSWERS, ids=lambda action: type(action).__name__)
def test_f16_a_callback_knows_its_own_transaction_again(
    broken: BrokenStack,
    merchant: Merchant,
    shop: str,
    service: Service,
    simulator: Simulator,
    action: Action,
) -> None:
    calls, sent = len(simulator.calls()), broken.aws_proxy.count(target="SendMessage", caller="callback")
    back = merchant.decide(FIFTH, store=shop)
    with broken.aws_proxy.fault(action, target="TransactWriteItems", caller="callback") as planned:
        assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    assert planned.hits == 1
    assert outcomes(simulator, calls) == ["issued"]
    assert broken.aws_proxy.count(target="SendMessage", caller="callback") == sent
    one = Upkeep.of(merchant, FIFTH, shop)
    assert one.row()["generation"] == 1
    check_stored(broken, one, 1)
    service.disconnect(one.key)


# F17: several workers at once.


def test_f17_of_three_at_once_one_calls_and_the_others_end_without_harm(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    warm(broken, 3)
    calls = len(simulator.calls())
    with (
        ThreadPoolExecutor(3) as pool,
        held(broken.provider_proxy, "after", path=TOKEN_PATH) as (planned, gate),
    ):
        asked = [pool.submit(service.refresh, living.key) for _ in range(3)]
        losers = [one.result() for one in islice(as_completed(asked, timeout=9), 2)]
        planned.wait_hit()
        assert [one.status_code for one in losers] == [503, 503], [one.text for one in losers]
        assert {one.json()["reason"] for one in losers} == {"refresh_busy"}
        gate.set()
    assert sorted(one.result().status_code for one in asked) == [200, 503, 503]
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)
    assert Counter(line["outcome"] for line in living.lines()) == {"busy": 2, "refreshed": 1}
    no_false_death(broken, living)


def test_f17_a_message_that_finds_another_at_it_ends(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    warm(broken, 2)
    calls, queue = len(simulator.calls()), Queue(broken, "refresh")
    living.fall_due()
    with (
        ThreadPoolExecutor(1) as pool,
        held(broken.provider_proxy, "after", path=TOKEN_PATH) as (planned, gate),
    ):
        asked = pool.submit(service.refresh, living.key)
        planned.wait_hit()
        queue.send(due(living))
        assert living.line("busy")["reason"] == "refresh_busy"
        gate.set()
    assert asked.result().json()["version"] == 2
    queue.wait_until_quiet()
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)


def test_f17_a_reader_who_finds_another_at_it_gets_what_that_one_brings(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    warm(broken, 2)
    calls, soon = len(simulator.calls()), int(time.time()) + 30
    living.set(expires_at=soon, issued_at=soon - TOKEN_SECONDS)  # less than a reader is content with
    with (
        ThreadPoolExecutor(2) as pool,
        held(broken.provider_proxy, "after", path=TOKEN_PATH) as (planned, gate),
    ):
        asked = pool.submit(service.refresh, living.key)
        planned.wait_hit()
        reading = pool.submit(service.token, living.key)
        living.line("busy")
        gate.set()
    assert asked.result().json()["version"] == 2
    given = reading.result().json()
    assert (given["version"], given.get("warning")) == (2, None)
    assert simulator.accepts(living.key.account_id, given["access_token"])
    assert outcomes(simulator, calls) == ["refreshed"]


def test_f17_where_nothing_rotates_the_lease_alone_keeps_others_away(
    broken: BrokenStack, living: Upkeep
) -> None:
    """Through the adapter, against the stack's own table: no doubt about an earlier answer helps here."""
    leases = DynamoLeases(broken.aws("dynamodb"), broken.info["tables"]["connections"])
    order, now = Order(living.key, Seen(1, 1), Cause.ASKED), int(time.time())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: leases.lease(order, name, now, rotates=False), "abcdefgh"))
    (winner,) = [one for one in found if isinstance(one, Leased)]
    assert {one.why for one in found if isinstance(one, Refused)} == {Hindrance.LEASED}
    assert living.row()["lease_owner"] == winner.attempt_id


# F18: whoever holds the lease sleeps past its end, and wakes with the provider's answer in hand.


def test_f18_a_sleeper_whom_nobody_missed_stores_what_it_has(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())
    with (
        ThreadPoolExecutor(1) as pool,
        held(broken.provider_proxy, "after", path=TOKEN_PATH) as (planned, gate),
    ):
        asked = pool.submit(service.refresh, living.key)
        with asleep(broken, planned, gate):
            living.pass_time(LEASE_SECONDS + 1)
            assert living.row()["lease_until"] < time.time()
    assert asked.result().json()["version"] == 2
    assert outcomes(simulator, calls) == ["refreshed"]
    check_stored(broken, living, 2)
    check_alive(living, service, simulator)


def sleep_through(
    broken: BrokenStack, living: Upkeep, service: Service, meanwhile: Callable[[], None]
) -> requests.Response:
    """Refresh, and sleep with the tokens in hand, its write on its way, while the world goes on."""
    warm(broken, 2)
    store = held(broken.aws_proxy, "before", target="UpdateItem", caller="refresh", skip=STORE)
    with ThreadPoolExecutor(1) as pool, store as (planned, gate):
        asked = pool.submit(service.refresh, living.key)
        with asleep(broken, planned, gate):
            living.pass_time(LEASE_SECONDS)
            meanwhile()
    return asked.result()


def test_f18_a_sleeper_who_was_overtaken_cannot_overwrite_and_it_rings(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())

    def overtake() -> None:
        doubt_passes(living, service)
        assert service.refresh(living.key).json()["version"] == 2
        rows.append(living.row())

    rows = list[dict[str, object]]()
    with simulator.behaving(grace_seconds=GRACE_SECONDS), rings(broken, "TokenDiscarded"):
        sleep_through(broken, living, service, overtake)
        assert living.line("failed")["reason"] == "token_superseded"
        assert outcomes(simulator, calls) == ["refreshed", "refreshed"]
        assert living.row() == rows[0], "the newest successful rotation stays, to the byte"
        check_stored(broken, living, 2)
        no_false_death(broken, living)
    one_call_in_flight(broken, calls)
    check_alive(living, service, simulator)
    assert service.refresh(living.key).json()["version"] == 3, "and is the provider's current one"


def test_f18_a_sleeper_who_holds_the_only_valid_pair_saves_the_connection(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls, recovery = len(simulator.calls()), Queue(broken, "recovery")

    def give_up() -> None:
        doubt_passes(living, service)
        with rings(broken, "LostRotation"):
            assert service.refresh(living.key).json()["reason"] == "connection_not_active"
        row = living.row()
        assert (row["status"], row["last_error"]) == ("needs_reconnect", "lost_rotation")

    sleep_through(broken, living, service, give_up)
    wait_for(lambda: living.status == "active", "the pair to come by the recovery queue")
    recovery.wait_until_quiet()
    assert outcomes(simulator, calls) == ["refreshed", "reused"]
    assert [line["reason"] for line in living.lines(outcome="failed")] == ["lost_rotation", "store_delayed"]
    row = living.row()
    assert (row["generation"], "last_error" in row, "due_at" in row) == (1, False, True)
    check_stored(broken, living, 2)
    check_alive(living, service, simulator)
    assert service.refresh(living.key).json()["version"] == 3


# F19: a lease is released by somebody who does not own it.


def test_f19_nobody_releases_stores_or_ends_what_another_leases(broken: BrokenStack, living: Upkeep) -> None:
    """Through the adapter, against the stack's own table."""
    leases = DynamoLeases(broken.aws("dynamodb"), broken.info["tables"]["connections"])
    now = int(time.time())
    order = Order(living.key, Seen(1, 1), Cause.ASKED)
    late = leases.lease(order, "late", now - 200, rotates=True)
    owner = leases.lease(order, "owner", now, rotates=True)
    assert isinstance(late, Leased)
    assert isinstance(owner, Leased)
    row = living.row()
    assert (row["lease_owner"], row["attempts"]) == ("owner", ["late", "owner"])
    for in_doubt in (True, False):
        leases.put_off(late, Setback(Reason.PROVIDER_UNAVAILABLE, now + 60, in_doubt), now)
        assert living.row() == row
    assert not leases.lose(late, Reason.LOST_ROTATION, now)
    assert leases.store(fresh(late, now), now) is Storing.LATER
    forged = owner._replace(attempt_id="forged")
    leases.put_off(forged, Setback(Reason.PROVIDER_UNAVAILABLE, now + 60, in_doubt=False), now)
    assert not leases.lose(forged, Reason.GRANT_REFUSED, now)
    assert leases.store(fresh(forged, now), now) is Storing.LATER
    assert living.row() == row, "not a byte of it"
    leases.put_off(owner, Setback(Reason.PROVIDER_UNAVAILABLE, now, in_doubt=False), now)
    assert "lease_owner" not in living.row()


def test_f19_a_late_release_leaves_the_next_ones_lease_alone(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())
    simulator.misbehave("http_429")
    warm(broken, 2)
    release = held(broken.aws_proxy, "before", target="UpdateItem", caller="refresh", skip=STORE)
    with ThreadPoolExecutor(2) as pool, release as (releasing, first_gate):
        first = pool.submit(service.refresh, living.key)
        with asleep(broken, releasing, first_gate) as sleeper:
            living.pass_time(LEASE_SECONDS)
            doubt_passes(living, service)
            with held(broken.provider_proxy, "after", path=TOKEN_PATH) as (calling, second_gate):
                second = pool.submit(service.refresh, living.key)
                calling.wait_hit()
                leased = living.row()
                sleeper.wake()
                first.result()
                assert living.row() == leased, "who came late has released nothing, and put nothing off"
                second_gate.set()
    assert second.result().json()["version"] == 2
    assert Counter(outcomes(simulator, calls))["refreshed"] == 1
    check_stored(broken, living, 2)
    assert "failures" not in living.row()
    no_false_death(broken, living)


# F20: killed while holding the lease.


def leased(broken: BrokenStack) -> AbstractContextManager[Planned]:
    """Whoever takes a lease next dies of it, the lease being taken."""
    return dying(broken, broken.aws_proxy, "after", target="UpdateItem", caller="refresh")


@pytest.mark.parametrize("crash", [leased, before_the_call], ids=["leased", "before_the_call"])
def test_f20_whoever_comes_after_the_dead_waits_for_a_bounded_time(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, crash: Dying
) -> None:
    calls, began = len(simulator.calls()), time.time()
    living.fall_due()
    assert die_in(crash(broken), broken, living, service).status_code == 503
    row = living.row()
    assert (row["status"], row["version"], len(row["attempts"])) == ("active", 1, 1)
    bound = max(row["lease_until"], row["attempt_at"] + DOUBT_SECONDS) + LOOK_SECONDS
    assert bound - began <= CONVERGED_SECONDS - 2 * 60, "two firings of the sweep are part of it"
    assert service.refresh(living.key).json()["reason"] == "refresh_busy"
    # What finds it again is the sweep, at the first firing after each of the three times.
    living.pass_time(LEASE_SECONDS)
    assert swept(living) == ("waiting", "refresh_in_doubt")
    living.pass_time(DOUBT_SECONDS - LEASE_SECONDS + 1)
    assert swept(living) == ("waiting", "refresh_in_doubt")
    living.pass_time(LOOK_SECONDS + 1)
    assert swept(living) == ("refreshed", None)
    assert outcomes(simulator, calls) == ["refreshed"], "the dead one has sent nothing"
    check_stored(broken, living, 2)
    no_false_death(broken, living)


def swept(one: Upkeep) -> tuple[str, str | None]:
    """Sweep; outcome and reason of what the worker logs then."""
    known = len(one.lines())
    sweep(one.stack)
    wait_for(lambda: len(one.lines()) > known, "the worker's line")
    (line,) = one.lines()[known:]
    return line["outcome"], line.get("reason")


def test_f20_a_message_whose_worker_died_after_its_write_comes_again_and_does_nothing(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls, queue = len(simulator.calls()), Queue(broken, "refresh")
    warm(broken, 2)
    living.fall_due()
    with queue.changed(VisibilityTimeout=SHORT_SECONDS):
        with after_the_write(broken):
            (message_id,) = queue.send(due(living))
        row = living.row()
        check_stored(broken, living, 2)
        assert living.lines() == [], "it died before it could say so"
        wait_for(lambda: queue.lines(message_id), "the message once more")
        queue.wait_until_quiet()
    assert [line["outcome"] for line in queue.lines(message_id)] == ["fresh"]
    assert outcomes(simulator, calls) == ["refreshed"]
    assert living.row() == row
    no_token_lost(broken, living)
    check_alive(living, service, simulator)
