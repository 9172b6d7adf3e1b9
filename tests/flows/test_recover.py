"""The recovery queue: what is stored from it, what is of no use any more, and what comes again."""

import pytest

from mooring.core.connection import NewConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.ports import BurnStatus
from mooring.core.upkeep import Answer, Cause, Key, Order, Recovered
from mooring.flows.recover import RecoverPorts, recover
from tests.flows.upkeep_world import DOWN, KEY, SEEN, UpkeepWorld, provider_of
from tests.flows.world import refusal


def restore(upkeep: UpkeepWorld, exchange: tuple[NewConnection, Link, str]) -> tuple[Key, Answer]:
    """Hand one finished exchange over as its message would."""
    new, link, state = exchange
    found = Recovered(new, link._replace(token="", return_to=""), state)
    assert "canary" not in repr(found)
    ports = RecoverPorts(upkeep.leases, upkeep.recoveries, upkeep.clock)
    return upkeep.hear(lambda: recover(found, ports))


def waits(upkeep: UpkeepWorld) -> None:
    """A refreshed token set lies on the queue."""
    upkeep.stands()
    provider_of(upkeep, grace=10_000)
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.leases.broken.clear()


# A refreshed token set.


def test_it_is_stored_while_its_attempt_is_in_doubt(upkeep: UpkeepWorld) -> None:
    waits(upkeep)
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    assert (upkeep.tokens(), upkeep.row().version) == (("access-1", "refresh-1"), 6)


def test_it_is_of_no_use_once_somebody_wrote_newer_tokens(upkeep: UpkeepWorld) -> None:
    waits(upkeep)
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("refreshed")
    before = upkeep.snapshot()
    assert upkeep.recover() == [(KEY, Answer("failed", Reason.TOKEN_SUPERSEDED))]
    assert upkeep.snapshot() == before


def test_it_comes_again_while_somebody_holds_the_lease(upkeep: UpkeepWorld) -> None:
    waits(upkeep)
    upkeep.clock.advance(120)
    upkeep.leases.lease(Order(KEY, SEEN, Cause.DUE), "another", int(upkeep.clock()), rotates=True)
    before = upkeep.snapshot()
    failure = refusal(upkeep.recover)
    assert (failure.reason, failure.status) == (Reason.REFRESH_BUSY, 503)
    assert upkeep.snapshot() == before


@pytest.mark.parametrize("failure", [DOWN, Failure(Reason.INTERNAL)])
def test_it_comes_again_when_the_table_is_away(upkeep: UpkeepWorld, failure: Failure) -> None:
    waits(upkeep)
    upkeep.leases.broken["recover"] = failure
    assert refusal(upkeep.recover).reason is failure.reason
    assert len(upkeep.recovery.refreshed) == 1
    upkeep.leases.broken.clear()
    assert upkeep.recover() == [(KEY, Answer("recovered"))]


def test_a_connection_that_is_gone_altogether_is_skipped(upkeep: UpkeepWorld) -> None:
    waits(upkeep)
    upkeep.connections.rows.clear()
    upkeep.connections.upkeep.clear()
    assert upkeep.recover() == [(KEY, Answer("skipped"))]
    assert upkeep.connections.rows == {}


# A finished exchange.


def test_an_exchange_is_stored_and_its_flow_ends(upkeep: UpkeepWorld) -> None:
    new, link, state = upkeep.exchanged()
    assert restore(upkeep, (new, link, state)) == (KEY, Answer("recovered"))
    assert (upkeep.row().status, upkeep.row().generation) == (Status.ACTIVE, 1)
    assert upkeep.tokens() == ("canary-access-anew", "canary-refresh-anew")
    flow = upkeep.flows.find(link, state)
    assert flow is not None
    assert flow.status is BurnStatus.DONE
    assert upkeep.connections.pointers["acme", "shop-9"] == {"m-1"}


def test_an_exchange_that_comes_twice_is_stored_once(upkeep: UpkeepWorld) -> None:
    exchange = upkeep.exchanged()
    assert [restore(upkeep, exchange) for _ in range(2)] == [(KEY, Answer("recovered"))] * 2
    assert (upkeep.row().generation, len(upkeep.connections.stored)) == (1, 1)


def test_an_exchange_takes_the_place_of_an_older_one(upkeep: UpkeepWorld) -> None:
    upkeep.stands(status=Status.NEEDS_RECONNECT)
    assert restore(upkeep, upkeep.exchanged()) == (KEY, Answer("recovered"))
    row = upkeep.row()
    assert (row.status, row.generation, row.version) == (Status.ACTIVE, 3, 6)


@pytest.mark.parametrize("later", ["reconnect", "disconnect", "uninstall", "tombstone"])
def test_an_exchange_that_was_overtaken_stays_away(upkeep: UpkeepWorld, later: str) -> None:
    upkeep.stands()
    exchange = upkeep.exchanged()
    upkeep.clock.advance(5)
    now = int(upkeep.clock())
    if later == "reconnect":
        upkeep.reconnects()
    elif later == "disconnect":
        upkeep.endings.disconnect(KEY, now)
    elif later == "uninstall":
        upkeep.endings.uninstall(KEY, now, now)
    else:
        upkeep.endings.bury("acme", "shop-9", now, now)
    before = upkeep.snapshot()
    assert restore(upkeep, exchange) == (KEY, Answer("skipped"))
    assert upkeep.snapshot() == before


def test_an_unverified_exchange_never_replaces_a_verified_account(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    before = upkeep.snapshot()
    assert restore(upkeep, upkeep.exchanged(verified=False)) == (KEY, Answer("skipped"))
    assert upkeep.snapshot() == before


def test_an_exchange_comes_again_when_the_table_is_away(upkeep: UpkeepWorld) -> None:
    upkeep.recoveries.broken["restore"] = DOWN
    assert refusal(lambda: restore(upkeep, upkeep.exchanged())).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.connections.rows == {}
