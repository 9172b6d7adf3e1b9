"""The recovery queue: what is stored from it, what is of no use any more, and what comes again."""

import pytest

from mooring.core.connection import NewConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.ports import BurnStatus
from mooring.core.revocation import Revocation, of_refresh
from mooring.core.upkeep import Answer, Cause, Key, Order, Recovered
from mooring.flows.recover import recover
from tests.fakes.connections import place
from tests.flows.upkeep_world import DOWN, KEY, SEEN, UpkeepWorld, provider_of
from tests.flows.world import refusal


def restore(upkeep: UpkeepWorld, exchange: tuple[NewConnection, Link, str]) -> tuple[Key, Answer]:
    """Hand one finished exchange over as its message would."""
    new, link, state = exchange
    found = Recovered(new, link._replace(token="", return_to=""), state)
    assert "canary" not in repr(found)
    return upkeep.hear(lambda: recover(found, upkeep.recover_ports()))


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
    assert upkeep.revocations.messages == []


def test_it_is_of_no_use_once_somebody_wrote_newer_tokens(upkeep: UpkeepWorld) -> None:
    waits(upkeep)
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("refreshed")
    before = upkeep.snapshot()
    assert upkeep.recover() == [(KEY, Answer("failed", Reason.TOKEN_SUPERSEDED))]
    assert upkeep.snapshot() == before
    assert upkeep.revocations.messages == [], "its grant lives"


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
    (found,) = upkeep.recovery.refreshed
    assert upkeep.recover() == [(KEY, Answer("skipped"))]
    assert upkeep.connections.rows == {}
    assert upkeep.revocations.messages == [of_refresh(found)]


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
    tokens = exchange[0].tokens
    assert upkeep.revocations.messages == [Revocation(KEY, 0, tokens.access, tokens.refresh)]


def test_an_exchange_that_lives_under_other_data_keys_is_not_revoked(upkeep: UpkeepWorld) -> None:
    new, link, state = upkeep.exchanged()
    assert restore(upkeep, (new, link, state)) == (KEY, Answer("recovered"))
    row = upkeep.connections.row(KEY)
    assert row is not None
    assert row.access is not None
    resealed = row._replace(access=row.access._replace(wrapped_key=b"another wrapping"))
    upkeep.connections.rows[place(KEY)] = resealed
    assert restore(upkeep, (new, link, state)) == (KEY, Answer("skipped"))
    assert upkeep.revocations.messages == [], "its grant lives"


def test_an_exchange_of_which_another_callback_made_a_connection_is_not_revoked(upkeep: UpkeepWorld) -> None:
    """Its token set lay kept, and two callbacks opened it; the table did not take the first one's."""
    new, link, state = upkeep.exchanged()
    upkeep.clock.advance(1)
    anew = upkeep.exchanged()[0]._replace(burned_at=new.burned_at)
    upkeep.connections.connect(anew, link, state)
    before = upkeep.snapshot()
    assert restore(upkeep, (new, link, state)) == (KEY, Answer("skipped"))
    assert upkeep.snapshot() == before
    assert upkeep.revocations.messages == [], "its grant lives"


def test_what_cannot_be_handed_on_to_be_revoked_comes_again(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    exchange = upkeep.exchanged()
    upkeep.clock.advance(5)
    upkeep.endings.disconnect(KEY, int(upkeep.clock()))
    upkeep.revocations.broken["ask"] = DOWN
    assert refusal(lambda: restore(upkeep, exchange)).reason is Reason.STORAGE_UNAVAILABLE
    upkeep.revocations.broken.clear()
    assert restore(upkeep, exchange) == (KEY, Answer("skipped"))
    assert len(upkeep.revocations.messages) == 1


def test_an_unverified_exchange_never_replaces_a_verified_account(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    before = upkeep.snapshot()
    assert restore(upkeep, upkeep.exchanged(verified=False)) == (KEY, Answer("skipped"))
    assert upkeep.snapshot() == before
    assert upkeep.revocations.messages == [], "nobody knows whose grant it is"


def test_an_exchange_comes_again_when_the_table_is_away(upkeep: UpkeepWorld) -> None:
    upkeep.recoveries.broken["restore"] = DOWN
    assert refusal(lambda: restore(upkeep, upkeep.exchanged())).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.connections.rows == {}
