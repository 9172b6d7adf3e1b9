"""What a service sees of a merchant's connections: pages that lead to no other merchant; never a token."""

from base64 import urlsafe_b64encode
from functools import partial

import pytest

from mooring.core.connection import Connection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Key
from mooring.flows.connections import Asked, Listed, list_connections, show_connection
from tests.flows.upkeep_world import DOWN, KEY, UpkeepWorld
from tests.flows.world import refusal

M1 = Asked("m-1")


@pytest.fixture
def upkeep(upkeep: UpkeepWorld) -> UpkeepWorld:
    """Five connections of m-1, one that has ended; two of m-2."""
    for account in ("a", "b", "c", "d"):
        upkeep.stands(Key("m-1", "acme", account))
    upkeep.stands(Key("m-1", "other", "a"), status=Status.DISCONNECTED)
    upkeep.stands(Key("m-2", "acme", "b"))
    upkeep.stands(Key("m-2", "acme", "z"))
    upkeep.journal.clear()
    return upkeep


def ask(upkeep: UpkeepWorld, asked: Asked) -> Listed:
    return upkeep.hear(lambda: list_connections(asked, upkeep.connections))


def names(connections: tuple[Connection, ...]) -> list[str]:
    return [f"{one.merchant_id}/{one.provider}/{one.account_id}" for one in connections]


def test_a_list_is_the_merchants_own(upkeep: UpkeepWorld) -> None:
    listed = ask(upkeep, M1)
    assert listed.connections[0] == upkeep.row(Key("m-1", "acme", "a"))
    assert names(listed.connections) == [
        *(f"m-1/acme/{account}" for account in "abcd"), "m-1/other/a"
    ]  # fmt: skip
    assert listed.next is None
    assert ask(upkeep, Asked("m-3")) == Listed((), None)
    assert upkeep.journal == ["list", "list"]


def test_a_list_can_be_narrowed(upkeep: UpkeepWorld) -> None:
    assert names(ask(upkeep, Asked("m-1", "other")).connections) == ["m-1/other/a"]
    assert names(ask(upkeep, Asked("m-1", status=Status.DISCONNECTED)).connections) == ["m-1/other/a"]
    assert ask(upkeep, Asked("m-1", "acme", Status.DISCONNECTED)) == Listed((), None)
    assert ask(upkeep, Asked("m-1", "never-enabled")) == Listed((), None)


@pytest.mark.parametrize("which", [M1, Asked("m-1", "acme"), Asked("m-1", "acme", Status.ACTIVE)])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_cursors_lead_through_the_whole_list_once(upkeep: UpkeepWorld, which: Asked, limit: int) -> None:
    found, cursor = [], None
    while True:
        page = ask(upkeep, which._replace(limit=limit, next=cursor))
        found += names(page.connections)
        if page.next is None:
            break
        cursor = page.next
        assert cursor.replace("-", "a").replace("_", "a").isalnum()
    assert found == names(ask(upkeep, which).connections)


def cursor_of(upkeep: UpkeepWorld, asked: Asked) -> str:
    found = ask(upkeep, asked._replace(limit=1)).next
    assert found is not None
    return found


@pytest.mark.parametrize(
    "elsewhere",
    [Asked("m-2"), Asked("m-1", "acme"), Asked("m-1", "other"), Asked("m-1", None, Status.ACTIVE)],
)
def test_a_cursor_leads_to_no_other_list(upkeep: UpkeepWorld, elsewhere: Asked) -> None:
    cursor = cursor_of(upkeep, M1)
    failure = refusal(lambda: ask(upkeep, elsewhere._replace(next=cursor)))
    assert (failure.reason, failure.status) == (Reason.REQUEST_MALFORMED, 400)
    assert upkeep.journal == ["list"]


def test_a_cursor_may_go_on_with_another_limit(upkeep: UpkeepWorld) -> None:
    rest = ask(upkeep, M1._replace(next=cursor_of(upkeep, M1), limit=3))
    assert names(rest.connections) == ["m-1/acme/b", "m-1/acme/c", "m-1/acme/d"]


def forged(upkeep: UpkeepWorld, asked: Asked, after: str) -> str:
    """A cursor with the right mark, as anyone can make one up who reads this."""
    mark = cursor_of(upkeep, asked)[:12]  # 9 bytes are 12 characters
    return mark + urlsafe_b64encode(after.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "after",
    ["", "#", "acme", "acme#", "@account#acme#a", "@pending#x", "acme#a b", "Acme#a", "acme#..", "{#a"],
)
def test_a_cursor_that_names_no_connection(upkeep: UpkeepWorld, after: str) -> None:
    cursor = forged(upkeep, M1, after)
    upkeep.journal.clear()
    assert refusal(lambda: ask(upkeep, M1._replace(next=cursor))).reason is Reason.REQUEST_MALFORMED
    assert upkeep.journal == []


def test_a_made_up_cursor_shows_nothing_that_the_list_does_not(upkeep: UpkeepWorld) -> None:
    shown = ask(upkeep, M1._replace(next=forged(upkeep, M1, "acme#bb")))
    assert names(shown.connections) == ["m-1/acme/c", "m-1/acme/d", "m-1/other/a"]
    acme = Asked("m-1", "acme")
    other = forged(upkeep, acme, "other#a")
    assert refusal(lambda: ask(upkeep, acme._replace(next=other))).reason is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize(
    "cursor", ["", "x", "====", "%%%", "abc", "a" * 12, "a" * 500, "\u00e9", "a b", "AAAAAAAAAAAA\u2028"]
)
def test_what_is_no_cursor(upkeep: UpkeepWorld, cursor: str) -> None:
    failure = refusal(lambda: ask(upkeep, M1._replace(next=cursor)))
    assert failure.reason is Reason.REQUEST_MALFORMED
    assert failure.detail == "next must be the value that the previous page returned, for the same list"
    assert upkeep.journal == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (Asked(""), "merchant id"),
        (Asked("a b"), "merchant id"),
        (Asked("@account#acme#a"), "merchant id"),
        (Asked(".."), "merchant id"),
        (Asked("m-1", "Acme"), "provider"),
        (Asked("m-1", ""), "provider"),
        (Asked("m-1", "@pending"), "provider"),
        (Asked("m-1", status=Status.PENDING_CONFIRMATION), "status"),
        (Asked("m-1", limit=0), "limit"),
        (Asked("m-1", limit=101), "limit"),
        (Asked("m-1", limit=-1), "limit"),
    ],
)
def test_what_cannot_be_asked_for(upkeep: UpkeepWorld, asked: Asked, named: str) -> None:
    failure = refusal(lambda: ask(upkeep, asked))
    assert failure.reason is Reason.REQUEST_MALFORMED
    assert named in failure.detail
    assert upkeep.journal == []


def test_a_table_that_cannot_be_read(upkeep: UpkeepWorld) -> None:
    upkeep.connections.broken |= {"list": DOWN, "read": DOWN}
    assert refusal(lambda: ask(upkeep, M1)).reason is Reason.STORAGE_UNAVAILABLE
    assert refusal(lambda: show_connection(KEY, upkeep.connections)).reason is Reason.STORAGE_UNAVAILABLE


@pytest.mark.parametrize("key", [Key("m-1", "acme", "a"), Key("m-1", "other", "a")])
def test_one_connection_whatever_its_status(upkeep: UpkeepWorld, key: Key) -> None:
    assert show_connection(key, upkeep.connections) == upkeep.row(key)


@pytest.mark.parametrize("key", [Key("m-1", "acme", "z"), Key("m-3", "acme", "a"), Key("m-2", "other", "a")])
def test_one_that_never_was(upkeep: UpkeepWorld, key: Key) -> None:
    failure = refusal(lambda: show_connection(key, upkeep.connections))
    assert (failure.reason, failure.status, failure.detail) == (Reason.CONNECTION_NOT_FOUND, 404, "")


@pytest.mark.parametrize("bad", ["", "a b", "a#b", "..", "@account"])
def test_impossible_names_are_not_even_looked_up(upkeep: UpkeepWorld, bad: str) -> None:
    for key in (Key(bad, "acme", "a"), Key("m-1", bad, "a"), Key("m-1", "acme", bad)):
        failure: Failure = refusal(partial(show_connection, key, upkeep.connections))
        assert failure.reason is Reason.CONNECTION_NOT_FOUND
    assert upkeep.journal == []
