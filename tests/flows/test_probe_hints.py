"""Hints: uninstall notices that anybody may have sent. The provider is asked, and nobody else believed."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.provider import Probe
from mooring.core.upkeep import (
    CONFIRM_SECONDS,
    PROBE_SECONDS,
    Answer,
    Cause,
    Confirm,
    Delayed,
    Hint,
    Order,
    Seen,
)
from mooring.flows.probe import hinted as ask
from tests.core.signing import NOW
from tests.flows.upkeep_world import BOTH, DOWN, KEY, LOST, PROBED, SEEN, UpkeepWorld, provider_of
from tests.flows.world import refusal

PROBED_KEY = KEY._replace(provider="probed")
REFUSED = Answer("probed", Reason.TOKEN_REFUSED)
SECOND = Confirm(PROBED_KEY, SEEN, NOW, uninstall=True)


def stands(upkeep: UpkeepWorld, **changes: Any) -> None:
    upkeep.stands(PROBED_KEY, refresh=None, **{"expires_at": None, **changes})


def hinted(upkeep: UpkeepWorld, provider: str = "probed") -> list[Answer]:
    return [answer for _, answer in upkeep.work(Hint(provider, "shop-9"))]


def test_a_hint_that_the_provider_confirms_twice_uninstalls(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    assert hinted(upkeep) == [REFUSED]
    assert upkeep.queue.messages == [Delayed(SECOND, CONFIRM_SECONDS + 1)]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("uninstalled"))]
    row = upkeep.row(PROBED_KEY)
    assert (row.status, row.last_error) == (Status.UNINSTALLED, "token_refused")
    assert upkeep.tokens(PROBED_KEY) == (None, None)
    assert upkeep.connections.tombstones == {}


@pytest.mark.parametrize("said", [[Probe.LIVE], [Probe.UNKNOWN], [Probe.REFUSED, Probe.LIVE]])
def test_a_forged_hint_changes_nothing(upkeep: UpkeepWorld, said: list[Probe]) -> None:
    stands(upkeep)
    before = upkeep.row(PROBED_KEY)
    upkeep.keeper.said = list(said)
    hinted(upkeep)
    while upkeep.queue.messages:
        upkeep.deliver()
    assert (upkeep.row(PROBED_KEY), upkeep.tokens(PROBED_KEY)) == (before, ("canary-access-0", None))
    assert len(upkeep.keeper.probes) == len(said)


def test_every_merchant_of_the_account_is_asked_for_on_its_own(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    other = PROBED_KEY._replace(merchant_id="m-2")
    stranger = PROBED_KEY._replace(merchant_id="m-3", account_id="shop-1")
    upkeep.stands(other, refresh=None, access="canary-access-of-m-2")
    upkeep.stands(stranger, refresh=None)
    upkeep.keeper.said = lambda call: Probe.REFUSED if "m-2" in call.access_token else Probe.LIVE
    assert upkeep.work(Hint("probed", "shop-9")) == [(PROBED_KEY, Answer("probed")), (other, REFUSED)]
    assert upkeep.deliver() == [(other, Answer("uninstalled"))]
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE
    assert upkeep.rest(stranger).probed_at is None


def test_a_hint_about_nobody(upkeep: UpkeepWorld) -> None:
    assert upkeep.work(Hint("probed", "shop-9")) == []
    assert upkeep.keeper.probes == []


def test_an_account_that_was_never_verified_is_not_found(upkeep: UpkeepWorld) -> None:
    stands(upkeep, account_verified=False)
    assert hinted(upkeep) == []


def test_many_hints_make_one_round(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    for _ in range(5):
        hinted(upkeep)
        upkeep.clock.advance(10)
    assert len(upkeep.keeper.probes) == 1


@pytest.mark.parametrize("provider", ["probed", "both"])
def test_five_hints_in_parallel_make_one_round(upkeep: UpkeepWorld, provider: str) -> None:
    upkeep.stands(
        KEY._replace(provider=provider), refresh=None if provider == "probed" else "canary-refresh-0"
    )
    everybody = Barrier(5)

    def one(_: int) -> str:
        everybody.wait(timeout=10)
        return hinted(upkeep, provider)[0].word

    with ThreadPoolExecutor(5) as pool:
        words = sorted(pool.map(one, range(5)))
    assert words == [{"probed": "probed", "both": "refreshed"}[provider], *["skipped"] * 4]
    assert len(upkeep.keeper.probes) + len(upkeep.keeper.refreshes) == 1


def test_a_false_hint_cannot_hide_a_true_one(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    assert hinted(upkeep) == [Answer("probed")]
    upkeep.clock.advance(60)
    upkeep.keeper.said = Probe.REFUSED  # now the merchant really removes us
    assert hinted(upkeep) == [Answer("skipped")]
    assert upkeep.rest(PROBED_KEY).due_at == NOW + 60 + PROBE_SECONDS
    upkeep.clock.advance(PROBE_SECONDS - 30)
    assert upkeep.sweep(PROBED).enqueued == 1
    assert upkeep.deliver() == [(PROBED_KEY, REFUSED)]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("failed", Reason.TOKEN_REFUSED))]
    assert upkeep.row(PROBED_KEY).status is Status.NEEDS_RECONNECT


def test_false_hints_cannot_put_off_what_is_due(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    hinted(upkeep)
    upkeep.clock.advance(60)
    hinted(upkeep)
    first = upkeep.rest(PROBED_KEY).due_at
    for _ in range(5):
        upkeep.clock.advance(60)
        hinted(upkeep)
    assert upkeep.rest(PROBED_KEY).due_at == first == NOW + 60 + PROBE_SECONDS


def test_a_hint_about_what_has_ended_reminds_nobody(upkeep: UpkeepWorld) -> None:
    stands(upkeep, status=Status.DISCONNECTED, due_at=None)
    assert hinted(upkeep)[0].word == "skipped"
    assert upkeep.rest(PROBED_KEY).due_at is None


def test_where_there_is_a_refresh_token_a_refresh_is_the_question(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), due_at=NOW + 900)
    upkeep.keeper.tokens = LOST
    assert hinted(upkeep, "both") == [Answer("failed", Reason.GRANT_REFUSED)]
    assert upkeep.row(key).status is Status.NEEDS_RECONNECT
    assert upkeep.keeper.probes == []


def test_a_refresh_that_succeeds_refutes_the_hint(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), due_at=NOW + 900)
    assert hinted(upkeep, "both") == [Answer("refreshed")]
    assert upkeep.row(key).status is Status.ACTIVE
    assert upkeep.keeper.probes == []


def test_forged_hints_cannot_make_us_refresh_again_and_again(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), due_at=NOW + 900)
    acting = provider_of(upkeep)
    for _ in range(10):
        hinted(upkeep, "both")
        upkeep.clock.advance(59)
    assert (acting.calls, upkeep.row(key).version) == (1, 6)
    upkeep.clock.advance(10)
    hinted(upkeep, "both")
    assert acting.calls == 2


def test_a_false_hint_cannot_hide_a_true_one_from_a_refresh(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"))
    acting = provider_of(upkeep, lifetime=86_400)
    assert hinted(upkeep, "both") == [Answer("refreshed")]
    acting.end()
    upkeep.clock.advance(60)
    assert hinted(upkeep, "both") == [Answer("skipped")]
    upkeep.clock.advance(PROBE_SECONDS)
    assert upkeep.sweep(BOTH).enqueued == 1
    assert upkeep.deliver() == [(key, Answer("failed", Reason.GRANT_REFUSED))]
    assert upkeep.row(key).status is Status.NEEDS_RECONNECT


def test_a_hint_leaves_the_schedule_of_refreshes_alone(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), due_at=NOW + 900)
    upkeep.leases.broken["lease"] = DOWN
    assert refusal(lambda: hinted(upkeep, "both")).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.rest(key).due_at == NOW + 900
    upkeep.leases.broken.clear()
    assert hinted(upkeep, "both") == [Answer("skipped")]  # the message came again
    assert upkeep.rest(key).due_at == NOW + PROBE_SECONDS


def test_the_refresh_is_asked_about_the_generation_that_the_hint_found(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"))
    orders: list[Order] = []

    def fresh(order: Order) -> Answer:
        orders.append(order)
        return Answer("fresh")

    ports = upkeep.work_ports().probe
    found = upkeep.hear(lambda: ask(Hint("both", "shop-9"), ports, fresh))
    assert (found, orders) == ([(key, Answer("fresh"))], [Order(key, SEEN, Cause.HINT)])


def test_a_connection_without_a_refresh_token_is_probed_although_its_provider_refreshes(
    upkeep: UpkeepWorld,
) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), refresh=None)
    upkeep.keeper.said = Probe.REFUSED
    assert hinted(upkeep, "both") == [REFUSED]
    assert upkeep.deliver() == [(key, Answer("uninstalled"))]


def test_without_a_probe_a_hint_finds_nothing_out(upkeep: UpkeepWorld) -> None:
    upkeep.stands(KEY._replace(provider="silent"), refresh=None)
    upkeep.keeper.said = Probe.UNKNOWN
    assert hinted(upkeep, "silent") == [Answer("probed")]
    assert upkeep.queue.messages == []


def test_a_hint_says_nothing_about_a_later_generation(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    hinted(upkeep)
    upkeep.clock.advance(5)
    upkeep.reconnects(PROBED_KEY)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("skipped"))]
    row = upkeep.row(PROBED_KEY)
    assert (row.status, Seen(row.generation, row.version)) == (Status.ACTIVE, Seen(3, 6))
