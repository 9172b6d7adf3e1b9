"""Uninstall notices at the door: events end what is older than they are, hints only ask."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.provider import Provider
from mooring.core.upkeep import Answer, Delayed, Hint, Key, Search
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED
from tests.flows.upkeep_world import (
    BOTH,
    DOWN,
    EAGER,
    KEY,
    PROBED,
    SIGNED,
    SILENT,
    TIMELESS,
    TIMELESS_PROBED,
    WEBHOOK_SECRET,
    UpkeepWorld,
    provider_of,
)
from tests.flows.world import refusal

SIGNED_KEY = KEY._replace(provider="signed")
ACCOUNT = ("signed", "shop-9")
ENDED = Answer("uninstalled", notice_id="e-1")
STALE = Answer("ignored", notice_id="e-1")
ACCEPTED = Answer("accepted", notice_id="e-1")


def stands(upkeep: UpkeepWorld, key: Key = SIGNED_KEY, **changes: Any) -> Key:
    return upkeep.stands(key, **{"connected_at": NOW - 100, **changes})


def nothing_happened(upkeep: UpkeepWorld) -> bool:
    """Whether no row, tombstone or message was written."""
    written = {"bury", "holders", "uninstall", "put"} & {*upkeep.journal}
    return not (written or upkeep.connections.tombstones or upkeep.queue.messages)


# Events.


def test_an_event_buries_the_account_and_ends_its_connection(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    assert upkeep.notify(SIGNED, at=NOW - 7) == ENDED
    row = upkeep.row(SIGNED_KEY)
    assert (row.status, row.last_error, row.updated_at) == (Status.UNINSTALLED, None, NOW)
    assert (row.generation, row.version) == (2, 5)
    assert upkeep.rest(SIGNED_KEY).uninstalled_at == NOW - 7
    assert upkeep.tokens(SIGNED_KEY) == (None, None)
    assert upkeep.connections.tombstones == {ACCOUNT: NOW - 7}
    assert upkeep.journal == ["webhook_secrets", "bury", "holders", "uninstall"]


def test_the_tombstone_comes_first_so_that_no_flow_can_slip_through(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.endings.broken["bury"] = DOWN
    assert refusal(lambda: upkeep.notify(SIGNED)).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.row(SIGNED_KEY).status is Status.ACTIVE
    assert upkeep.journal == ["webhook_secrets", "bury"]


@pytest.mark.parametrize("method", ["holders", "uninstall"])
def test_what_a_fault_left_undone_the_repetition_does(upkeep: UpkeepWorld, method: str) -> None:
    stands(upkeep)
    upkeep.endings.broken[method] = DOWN
    failure = refusal(lambda: upkeep.notify(SIGNED))
    assert (failure.reason, failure.status) == (Reason.STORAGE_UNAVAILABLE, 503)
    upkeep.endings.broken.clear()
    upkeep.clock.advance(60)
    assert upkeep.notify(SIGNED) == ENDED
    assert upkeep.row(SIGNED_KEY).status is Status.UNINSTALLED


def test_every_merchant_of_the_account_is_ended_and_nobody_else(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    second = stands(upkeep, SIGNED_KEY._replace(merchant_id="m-2"), status=Status.NEEDS_RECONNECT)
    others = [
        stands(upkeep, SIGNED_KEY._replace(account_id="shop-1")),
        stands(upkeep, KEY._replace(merchant_id="m-2")),
        stands(upkeep, SIGNED_KEY._replace(merchant_id="m-3"), account_verified=False),
    ]
    assert upkeep.notify(SIGNED) == ENDED
    assert [upkeep.row(key).status for key in (SIGNED_KEY, second)] == [Status.UNINSTALLED] * 2
    assert [upkeep.row(key).status for key in others] == [Status.ACTIVE] * 3
    assert upkeep.tokens(second) == (None, None)


def test_one_stale_merchant_does_not_hide_another(upkeep: UpkeepWorld) -> None:
    stands(upkeep, connected_at=NOW + 1)
    second = stands(upkeep, SIGNED_KEY._replace(merchant_id="m-2"))
    assert upkeep.notify(SIGNED) == ENDED
    assert (upkeep.row(SIGNED_KEY).status, upkeep.row(second).status) == (Status.ACTIVE, Status.UNINSTALLED)


@pytest.mark.parametrize("at", [NOW - 100, NOW - 101, NOW - 10_000_000])
def test_an_event_from_before_the_connection_changes_nothing_in_it(upkeep: UpkeepWorld, at: int) -> None:
    stands(upkeep)
    before = upkeep.snapshot(SIGNED_KEY)
    assert upkeep.notify(SIGNED, at=at) == STALE
    assert upkeep.snapshot(SIGNED_KEY) == before
    assert upkeep.queue.messages == []


def test_an_old_event_is_believed_of_what_is_older_still(upkeep: UpkeepWorld) -> None:
    stands(upkeep, connected_at=NOW - 10 * 86_400)
    assert upkeep.notify(SIGNED, at=NOW - 2 * 86_400) == ENDED
    assert upkeep.row(SIGNED_KEY).status is Status.UNINSTALLED


def test_a_second_delivery_finds_nothing_to_do(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.notify(SIGNED, at=NOW - 7)
    before, stones = upkeep.snapshot(SIGNED_KEY), dict(upkeep.connections.tombstones)
    upkeep.clock.advance(30)
    assert upkeep.notify(SIGNED, at=NOW - 7) == STALE
    assert (upkeep.snapshot(SIGNED_KEY), upkeep.connections.tombstones) == (before, stones)
    assert upkeep.queue.messages == []


def test_its_delivery_after_a_reconnect_changes_nothing(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.notify(SIGNED, at=NOW - 7)
    upkeep.clock.advance(30)
    upkeep.reconnects(SIGNED_KEY)
    before = upkeep.snapshot(SIGNED_KEY)
    upkeep.clock.advance(30)
    assert upkeep.notify(SIGNED, at=NOW - 7) == STALE
    assert upkeep.snapshot(SIGNED_KEY) == before
    assert upkeep.row(SIGNED_KEY).status is Status.ACTIVE


def test_an_older_event_does_not_take_the_tombstone_back(upkeep: UpkeepWorld) -> None:
    upkeep.notify(SIGNED, at=NOW - 7)
    upkeep.notify(SIGNED, at=NOW - 70)
    assert upkeep.connections.tombstones == {ACCOUNT: NOW - 7}


def test_five_deliveries_in_parallel_end_it_once(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    everybody = Barrier(5)

    def one(_: int) -> str:
        everybody.wait(timeout=10)
        return upkeep.notify(SIGNED, at=NOW - 7).word

    with ThreadPoolExecutor(5) as pool:
        words = {*pool.map(one, range(5))}
    assert words <= {"uninstalled", "ignored"}
    row = upkeep.row(SIGNED_KEY)
    assert (row.status, row.version) == (Status.UNINSTALLED, 5)
    assert upkeep.connections.tombstones == {ACCOUNT: NOW - 7}


@pytest.mark.parametrize("ahead", [1, 300])
def test_a_time_in_the_near_future_counts_as_now(upkeep: UpkeepWorld, ahead: int) -> None:
    stands(upkeep)
    assert upkeep.notify(SIGNED, at=NOW + ahead) == ENDED
    assert upkeep.connections.tombstones == {ACCOUNT: NOW}
    assert upkeep.rest(SIGNED_KEY).uninstalled_at == NOW


def test_a_time_that_is_no_time_or_far_ahead_is_refused(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    for at in (NOW + 301, None, "yesterday", -1):
        failure = refusal(partial(upkeep.notify, SIGNED, at=at))
        assert (failure.reason, failure.status, failure.alarm) == (Reason.NOTICE_TIME, 401, "NoticeRefused")
    assert nothing_happened(upkeep)
    assert upkeep.row(SIGNED_KEY).status is Status.ACTIVE


@pytest.mark.parametrize("status", [Status.DISCONNECTED, Status.UNINSTALLED])
def test_what_had_ended_already_stays_as_it_ended(upkeep: UpkeepWorld, status: Status) -> None:
    stands(upkeep, status=status)
    before = upkeep.snapshot(SIGNED_KEY)
    assert upkeep.notify(SIGNED) == STALE
    assert upkeep.snapshot(SIGNED_KEY) == before


def test_an_event_about_an_unknown_account_is_looked_into_again_a_minute_later(upkeep: UpkeepWorld) -> None:
    assert upkeep.notify(SIGNED, at=NOW - 7) == ACCEPTED
    assert upkeep.queue.messages == [Delayed(Search("signed", "shop-9", NOW - 7), 60)]
    assert upkeep.connections.tombstones == {ACCOUNT: NOW - 7}
    assert upkeep.deliver() == []


def test_an_event_before_the_connection_is_stored_ends_it_when_it_is_there(upkeep: UpkeepWorld) -> None:
    """A flow that was burned before the event is refused; what was stored beside it is found."""
    exchange = upkeep.exchanged(SIGNED_KEY, ago=10)
    upkeep.notify(SIGNED, at=NOW - 7)
    refused = refusal(lambda: upkeep.connections.connect(*exchange))
    assert refused.reason is Reason.UNINSTALLED_MEANWHILE
    stands(upkeep)  # somebody stored it all the same
    assert upkeep.deliver() == [(SIGNED_KEY, Answer("uninstalled"))]
    assert upkeep.tokens(SIGNED_KEY) == (None, None)


def test_a_flow_that_began_after_the_event_is_not_touched(upkeep: UpkeepWorld) -> None:
    upkeep.notify(SIGNED, at=NOW - 7)
    upkeep.clock.advance(20)
    upkeep.reconnects(SIGNED_KEY)
    assert upkeep.deliver() == [(SIGNED_KEY, Answer("skipped"))]
    assert upkeep.row(SIGNED_KEY).status is Status.ACTIVE


def test_a_second_look_that_cannot_be_queued_makes_the_provider_come_again(upkeep: UpkeepWorld) -> None:
    upkeep.queue.room = 0
    assert refusal(lambda: upkeep.notify(SIGNED)).status == 503
    assert upkeep.connections.tombstones == {ACCOUNT: NOW}


# What proves nothing.


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-signature": ""}, {"x-signature": "0" * 64}, {"x-signature": WEBHOOK_SECRET}, {"signature": "x"}],
)
def test_a_forged_event_changes_nothing_and_rings(upkeep: UpkeepWorld, headers: dict[str, str]) -> None:
    stands(upkeep)
    before = upkeep.snapshot(SIGNED_KEY)
    failure = refusal(lambda: upkeep.notify(SIGNED, headers))
    assert (failure.reason, failure.status, failure.alarm) == (Reason.NOTICE_FORGED, 401, "NoticeRefused")
    assert nothing_happened(upkeep)
    assert upkeep.snapshot(SIGNED_KEY) == before


@pytest.mark.parametrize("secret", ["", "  \n "])
def test_without_a_webhook_secret_nothing_is_believed_and_the_provider_comes_again(
    upkeep: UpkeepWorld, secret: str
) -> None:
    stands(upkeep)
    upkeep.secrets.webhooks["signed"] = secret
    failure = refusal(lambda: upkeep.notify(SIGNED))
    assert (failure.reason, failure.status) == (Reason.SECRET_UNAVAILABLE, 503)
    assert nothing_happened(upkeep)
    assert upkeep.row(SIGNED_KEY).status is Status.ACTIVE


def test_while_a_secret_is_replaced_either_verifies(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.secrets.webhooks["signed"] = f"canary-next-secret\n{WEBHOOK_SECRET}\n"
    assert upkeep.notify(SIGNED) == ENDED


def test_a_genuine_notice_of_another_kind_is_ignored(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    assert upkeep.notify(SIGNED, type="updated") == Answer("ignored")
    assert nothing_happened(upkeep)
    assert upkeep.row(SIGNED_KEY).status is Status.ACTIVE


def test_a_genuine_notice_about_an_impossible_account_is_refused(upkeep: UpkeepWorld) -> None:
    for account in ("", "a#b", None, {"$ne": 1}):
        failure = refusal(partial(upkeep.notify, SIGNED, account=account))
        assert (failure.reason, failure.status) == (Reason.NOTICE_MALFORMED, 400)
    assert nothing_happened(upkeep)


@pytest.mark.parametrize("provider", [EAGER, EAGER._replace(id="nobody")])
def test_a_provider_that_sends_none_has_no_door(upkeep: UpkeepWorld, provider: Provider) -> None:
    failure = refusal(lambda: upkeep.notify(provider))
    assert (failure.reason, failure.status) == (Reason.PROVIDER_UNKNOWN, 404)
    assert upkeep.journal == []


# Hints, and signatures without a time.


@pytest.mark.parametrize("provider", [PROBED, BOTH, SILENT])
def test_a_hint_is_queued_and_changes_nothing(upkeep: UpkeepWorld, provider: Provider) -> None:
    key = stands(upkeep, KEY._replace(provider=provider.id))
    before = upkeep.snapshot(key)
    assert upkeep.notify(provider) == ACCEPTED
    assert upkeep.queue.messages == [Delayed(Hint(provider.id, "shop-9"))]
    assert (upkeep.snapshot(key), upkeep.connections.tombstones) == (before, {})
    assert upkeep.journal == ["put"]


def test_a_signature_or_a_time_makes_no_event_of_a_hint(upkeep: UpkeepWorld) -> None:
    stands(upkeep, KEY._replace(provider="probed"))
    assert upkeep.notify(PROBED, {"x-signature": "0" * 64}, at=NOW - 1) == ACCEPTED
    assert upkeep.connections.tombstones == {}


def test_a_hint_that_cannot_be_queued_makes_the_provider_come_again(upkeep: UpkeepWorld) -> None:
    upkeep.queue.room = 0
    assert refusal(lambda: upkeep.notify(PROBED)).reason is Reason.STORAGE_UNAVAILABLE


@pytest.mark.parametrize("provider", [TIMELESS, TIMELESS_PROBED])
def test_a_signature_without_a_time_is_only_a_hint(upkeep: UpkeepWorld, provider: Provider) -> None:
    """It can be sent again after a reinstall."""
    key = stands(upkeep, KEY._replace(provider=provider.id))
    before = upkeep.snapshot(key)
    assert upkeep.notify(provider, at=NOW - 1_000) == ACCEPTED
    assert upkeep.queue.messages == [Delayed(Hint(provider.id, "shop-9"))]
    assert (upkeep.snapshot(key), upkeep.connections.tombstones) == (before, {})


def test_a_signature_without_a_time_that_comes_again_after_a_reinstall_ends_nothing(
    upkeep: UpkeepWorld,
) -> None:
    """There is no probe: the refresh is what is asked."""
    key = stands(upkeep, KEY._replace(provider="timeless"))
    acting = provider_of(upkeep)
    acting.end()
    upkeep.notify(TIMELESS)
    assert upkeep.deliver() == [(key, Answer("failed", Reason.GRANT_REFUSED))]
    upkeep.clock.advance(60)
    upkeep.reconnects(key)
    upkeep.keeper.tokens = REFRESHED
    upkeep.notify(TIMELESS)
    assert upkeep.deliver() == [(key, Answer("refreshed"))]
    assert upkeep.row(key).status is Status.ACTIVE


@pytest.mark.parametrize(
    ("named", "told"), [("e-2", "e-2"), (7, "7"), (None, None), ("a b", None), ("x" * 500, None), ({}, None)]
)
@pytest.mark.parametrize("provider", [SIGNED, TIMELESS, PROBED])
def test_a_notice_is_told_by_its_own_id_if_that_can_be_one(
    upkeep: UpkeepWorld, provider: Provider, named: object, told: str | None
) -> None:
    stands(upkeep, KEY._replace(provider=provider.id))
    assert upkeep.notify(provider, id=named).notice_id == told


@pytest.mark.parametrize("provider", [TIMELESS, TIMELESS_PROBED])
def test_without_its_signature_it_is_neither(upkeep: UpkeepWorld, provider: Provider) -> None:
    key = stands(upkeep, KEY._replace(provider=provider.id))
    with pytest.raises(Failure, match="notice_forged"):
        upkeep.notify(provider, {"x-signature": "1" * 64})
    assert nothing_happened(upkeep)
    assert upkeep.row(key).status is Status.ACTIVE
