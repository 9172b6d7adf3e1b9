"""Disconnect: cut off here and at once, whatever else is under way."""

from functools import partial

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.upkeep import Answer, Cause, Key, Order
from mooring.flows.disconnect import DisconnectPorts, disconnect
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED
from tests.flows.upkeep_world import DOWN, KEY, UpkeepWorld, provider_of
from tests.flows.world import refusal


def cut(upkeep: UpkeepWorld, key: Key = KEY) -> bool:
    return upkeep.hear(lambda: disconnect(key, DisconnectPorts(upkeep.endings, upkeep.clock)))


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.NEEDS_RECONNECT])
def test_tokens_are_erased_at_once(upkeep: UpkeepWorld, status: Status) -> None:
    upkeep.stands(status=status, lease_owner="x", lease_until=NOW + 30, attempts=("x",), attempt_at=NOW)
    assert cut(upkeep) is True
    row, rest = upkeep.row(), upkeep.rest()
    assert (row.status, row.updated_at, row.expires_at) == (Status.DISCONNECTED, NOW, None)
    assert upkeep.tokens() == (None, None)
    assert (rest.due_at, rest.lease_owner, rest.attempts, rest.previous_refresh) == (None, "", (), None)
    assert upkeep.journal == ["disconnect"]


@pytest.mark.parametrize("status", [Status.DISCONNECTED, Status.UNINSTALLED])
def test_what_had_ended_stays_as_it_ended(upkeep: UpkeepWorld, status: Status) -> None:
    upkeep.stands(status=status)
    before = upkeep.snapshot()
    assert cut(upkeep) is False
    assert upkeep.snapshot() == before


def test_a_second_time_is_no_failure(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    assert cut(upkeep) is True
    upkeep.clock.advance(1)
    before = upkeep.snapshot()
    assert cut(upkeep) is False
    assert upkeep.snapshot() == before


def test_a_connection_that_never_was(upkeep: UpkeepWorld) -> None:
    assert refusal(lambda: cut(upkeep)).reason is Reason.CONNECTION_NOT_FOUND
    assert upkeep.connections.rows == {}


@pytest.mark.parametrize("bad", ["", "a b", "a#b", "..", "@account"])
def test_impossible_names_are_not_even_looked_up(upkeep: UpkeepWorld, bad: str) -> None:
    for key in (Key(bad, "acme", "shop-9"), Key("m-1", bad, "shop-9"), Key("m-1", "acme", bad)):
        assert refusal(partial(cut, upkeep, key)).reason is Reason.CONNECTION_NOT_FOUND
    assert upkeep.journal == []


def test_without_the_table_nothing_is_promised(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.endings.broken["disconnect"] = DOWN
    assert refusal(lambda: cut(upkeep)).status == 503
    assert upkeep.row().status is Status.ACTIVE


def test_nothing_refreshes_probes_or_recovers_it_from_then_on(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    provider_of(upkeep)
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.leases.broken.clear()
    cut(upkeep)
    before, calls = upkeep.snapshot(), len(upkeep.keeper.refreshes)
    assert upkeep.recover() == [(KEY, Answer("skipped"))]
    upkeep.clock.advance(600)
    for cause in Cause:
        assert upkeep.keep(Order(KEY, None, cause)).word == "skipped"
    assert upkeep.sweep().enqueued == 0
    assert (upkeep.snapshot(), len(upkeep.keeper.refreshes)) == (before, calls)


def test_the_merchant_can_connect_again_at_once(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    cut(upkeep)
    upkeep.clock.advance(1)
    upkeep.reconnects()
    row = upkeep.row()
    assert (row.status, row.generation) == (Status.ACTIVE, 3)
    upkeep.keeper.tokens = REFRESHED
    assert upkeep.keep(Order(KEY, None, Cause.ASKED)) == Answer("refreshed")
