"""Which work leads to what: every kind and every cause."""

from functools import partial

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.provider import Probe
from mooring.core.upkeep import Answer, Cause, Confirm, Hint, Key, Order, Search
from tests.core.signing import NOW
from tests.flows.upkeep_world import KEY, SEEN, UpkeepWorld, provider_of
from tests.flows.world import refusal

PROBED = KEY._replace(provider="probed")


@pytest.mark.parametrize("cause", Cause)
def test_what_can_be_refreshed_is_refreshed_whatever_the_cause(upkeep: UpkeepWorld, cause: Cause) -> None:
    upkeep.stands()
    provider_of(upkeep)
    assert upkeep.work(Order(KEY, SEEN, cause)) == [(KEY, Answer("refreshed"))]
    assert upkeep.keeper.probes == []


@pytest.mark.parametrize("key", [PROBED, KEY._replace(provider="both")])
@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (Cause.DUE, Answer("probed")),
        (Cause.UNAUTHORIZED, Answer("reported")),
        (Cause.READ, Answer("skipped", Reason.TOKEN_EXPIRED)),
        (Cause.ASKED, Answer("skipped", Reason.TOKEN_EXPIRED)),
    ],
)
def test_what_cannot_be_refreshed_is_looked_after_as_its_cause_says(
    upkeep: UpkeepWorld, key: Key, cause: Cause, expected: Answer
) -> None:
    upkeep.stands(key, refresh=None, expires_at=None)
    assert upkeep.work(Order(key, SEEN, cause)) == [(key, expected)]
    assert upkeep.keeper.refreshes == []
    assert len(upkeep.keeper.probes) == (cause is Cause.DUE)


def test_a_connection_that_is_not_there_is_neither_probed_nor_reported(upkeep: UpkeepWorld) -> None:
    for cause in Cause:
        assert upkeep.work(Order(KEY, SEEN, cause)) == [(KEY, Answer("skipped", Reason.CONNECTION_NOT_FOUND))]
    assert upkeep.work(Order(PROBED, SEEN, Cause.DUE)) == [(PROBED, Answer("skipped"))]
    assert (upkeep.keeper.refreshes, upkeep.keeper.probes, upkeep.connections.rows) == ([], [], {})


def test_every_kind_of_work_names_the_connections_that_it_concerned(upkeep: UpkeepWorld) -> None:
    upkeep.stands(PROBED, refresh=None, expires_at=None)
    upkeep.clock.advance(60)
    assert upkeep.work(Hint("probed", "shop-9")) == [(PROBED, Answer("probed"))]
    assert upkeep.work(Confirm(PROBED, SEEN, NOW, uninstall=True)) == [(PROBED, Answer("probed"))]
    assert upkeep.work(Search("probed", "shop-9", NOW)) == [(PROBED, Answer("uninstalled"))]


def test_of_a_provider_that_was_taken_out_nothing_is_touched(upkeep: UpkeepWorld) -> None:
    upkeep.stands(PROBED, refresh=None)
    before = upkeep.snapshot(PROBED)
    del upkeep.providers["probed"]
    upkeep.clock.advance(60)
    for item in (Order(PROBED, SEEN, Cause.DUE), Hint("probed", "shop-9")):
        assert refusal(partial(upkeep.work, item)).reason is Reason.PROVIDER_UNKNOWN
    assert upkeep.snapshot(PROBED) == before
    assert upkeep.keeper.probes == []


def test_a_confirmation_for_a_provider_that_was_taken_out_ends_nothing(upkeep: UpkeepWorld) -> None:
    upkeep.stands(PROBED, refresh=None)
    upkeep.keeper.said = Probe.REFUSED
    del upkeep.providers["probed"]
    upkeep.clock.advance(60)
    second = Confirm(PROBED, SEEN, NOW, uninstall=True)
    assert refusal(lambda: upkeep.work(second)).reason is Reason.PROVIDER_UNKNOWN
    assert upkeep.row(PROBED).status is Status.ACTIVE


# The second look for an account that a proven event spoke of.


def test_a_search_ends_every_connection_of_the_account_that_is_older_than_the_event(
    upkeep: UpkeepWorld,
) -> None:
    later = PROBED._replace(merchant_id="m-2")
    upkeep.stands(PROBED, connected_at=NOW - 1)
    upkeep.stands(later, connected_at=NOW)
    assert upkeep.work(Search("probed", "shop-9", NOW)) == [
        (PROBED, Answer("uninstalled")),
        (later, Answer("skipped")),
    ]
    assert upkeep.row(PROBED).status is Status.UNINSTALLED
    assert upkeep.tokens(PROBED) == (None, None)
    assert upkeep.row(later).status is Status.ACTIVE


def test_a_search_that_finds_nobody_ends_there(upkeep: UpkeepWorld) -> None:
    assert upkeep.work(Search("probed", "shop-9", NOW)) == []
    assert upkeep.queue.messages == []
