"""`mooring import` of a later file: what became of a connection meanwhile, there and here."""

import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters import ending_transitions
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.items import attributes
from mooring.adapters.operator_transitions import Moved, imported
from mooring.adapters.rows import write
from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.tokens import SealedField, SealedTokens
from mooring.core.upkeep import DOUBT_SECONDS, Cause, Hindrance, Key, Leased, Order, Refused, Setback
from mooring_cli.exportfile import Line
from mooring_cli.standing import WRITTEN, Done, arriving, foreseen, in_doubt
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Command
from tests.cli.moves import Move, begun, disconnect
from tests.cli.vault import NOW, PROVIDER, Vault

ENDS = ["disconnected", "uninstalled"]
ENDED = "0 connections imported.\n1 ended here, after a disconnect or an uninstall in the other place.\n"
THERE = "0 connections imported.\n1 there already.\n"
TOKENS = {"access", "access_key", "refresh", "refresh_key", "due_at", "due_shard", "expires_at", "announce"}


@pytest.fixture
def move(mooring: Command, deployed: FakeAws, tmp_path: Path) -> Move:
    return begun(mooring, deployed, tmp_path)


def end(vault: Vault, key: Key, how: str) -> None:
    if how == "disconnected":
        disconnect(vault, key)
    else:
        now = int(time.time())
        vault.client.update_item(
            **ending_transitions.uninstalled(vault.connections, key, now, now).parameters()
        )


def give_up(vault: Vault, key: Key) -> None:
    """A refresh finds the grant gone."""
    leases = DynamoLeases(vault.client, vault.connections)
    assert leases.lose(vault.lease(key), Reason.GRANT_REFUSED, int(time.time()))


@pytest.mark.parametrize("how", ENDS)
def test_what_ended_there_since_ends_here(how: str, move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    end(move.source, key, how)
    move.export()
    before = move.target.row(key)
    would = ENDED.replace("ended", "would end").replace("imported", "would be imported")
    assert move.bring("--dry-run") == (0, would, "")
    assert move.target.row(key) == before
    assert move.bring() == (0, ENDED, "")
    ended = move.target.row(key)
    assert ended["status"] == {"S": how}
    assert not TOKENS & set(ended)
    assert ended["updated_at"] == move.source.row(key)["updated_at"]
    assert move.bring() == (0, THERE, "")
    assert move.target.row(key) == ended


def test_an_older_file_brings_nothing_back(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    older = move.lines()
    disconnect(move.source, key)
    move.export()
    move.bring()
    move.rewrite(older)
    assert move.told()["newer_here"] == 1
    assert move.target.row(key)["status"] == {"S": "disconnected"}


def test_what_was_refreshed_and_ended_there_ends_here(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    move.source.store(move.source.lease(key))
    disconnect(move.source, key)
    move.export()
    assert move.told()["ended"] == 1
    assert move.target.row(key)["status"] == {"S": "disconnected"}


def test_what_was_refreshed_here_since_is_left_alone_and_named(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    move.target.store(move.target.lease(key))
    disconnect(move.source, key)
    move.export()
    answer = move.bring()
    assert answer.code == 0
    assert answer.out.splitlines()[1] == (
        "1 left alone, because it was refreshed here since, though it ended in the other place."
    )
    assert answer.err.startswith(
        f"It lives on here. To end it: mooring disconnect m-1 {PROVIDER} shop-1 --stage "
    )
    told = move.told()
    assert (told["refreshed_since"], told["live_on"]) == (1, [f"m-1 {PROVIDER} shop-1"])
    assert move.target.row(key)["status"] == {"S": "active"}


def test_what_was_connected_here_since_is_left_alone(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    move.target.connect("m-1")
    disconnect(move.source, key)
    move.export()
    told = move.told()
    assert (told["newer_here"], told["live_on"]) == (1, [])
    assert move.target.row(key)["status"] == {"S": "active"}


def test_what_ended_there_is_connected_again_by_a_later_consent(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    disconnect(move.source, key, NOW + 10)
    move.export()
    move.bring()
    # The merchant came back there before the file with the end of it was imported.
    move.source.connect("m-1")
    move.source.change(key, connected_at=NOW + 20)
    move.export()
    assert move.told()["imported"] == 1
    row = move.target.row(key)
    assert (row["status"], row["generation"]) == ({"S": "active"}, {"N": "2"})


def test_what_needs_its_merchant_there_needs_it_here(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    give_up(move.source, key)
    move.export()
    assert move.told()["imported"] == 1
    row = move.target.row(key)
    assert (row["status"]["S"], row["last_error"]["S"]) == ("needs_reconnect", "grant_refused")
    assert not {"due_at", "announce"} & set(row)
    assert move.told()["already_there"] == 1


def test_a_refusal_of_other_tokens_ends_nothing(move: Move) -> None:
    """Refreshed in both places: the numbers are the same, and the refusal is of the tokens over there."""
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    for vault in (move.source, move.target):
        vault.store(vault.lease(key))
    move.source.change(key, issued_at=NOW + 5)
    give_up(move.source, key)
    move.export()
    assert move.told()["already_there"] == 1
    assert move.target.row(key)["status"] == {"S": "active"}


def test_tokens_that_do_not_open_there_any_more_take_none_away_here(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    head, line, last = move.lines()
    move.rewrite([head, json.dumps({**json.loads(line), "tokens": None}), last])
    before = move.target.row(key)
    assert move.bring() == (0, THERE, "")
    assert move.target.row(key) == before


def test_what_needs_its_merchant_here_is_no_older_than_the_same_line(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    give_up(move.target, key)
    assert move.told()["newer_here"] == 1
    assert move.target.row(key)["status"] == {"S": "needs_reconnect"}


def test_of_two_consents_with_the_same_numbers_the_later_one_counts(move: Move) -> None:
    key = move.target.connect("m-1")
    move.target.change(key, connected_at=NOW - 900)
    older = move.target.row(key)["access"]
    move.source.connect("m-1")
    move.export()
    assert move.told()["imported"] == 1
    row = move.target.row(key)
    assert row["connected_at"] == {"N": str(NOW)}
    assert row["access"] != older
    move.target.change(key, connected_at=NOW + 900)
    assert move.told()["newer_here"] == 1


@pytest.mark.parametrize(("earlier", "became"), [(1, "imported"), (0, "newer_here")])
def test_a_later_consent_with_the_same_numbers_after_an_end(earlier: int, became: str, move: Move) -> None:
    key = move.target.connect("m-1")
    move.target.change(key, connected_at=NOW - 900)
    disconnect(move.target, key, NOW - earlier)
    move.source.connect("m-1")
    move.export()
    assert move.told()[became] == 1


@pytest.mark.parametrize("rehearsed", [False, True])
def test_a_lost_answer_is_still_missing_here(rehearsed: bool, move: Move) -> None:
    key = move.source.connect("m-1")
    if rehearsed:
        move.export()
        move.bring()
    move.source.lease(key)
    move.export()
    before = int(time.time())
    assert move.told()["imported"] == 1
    row = move.target.row(key)
    assert (row["status"]["S"], len(row["attempts"]["L"])) == ("active", 1)
    since = int(row["attempt_at"]["N"])
    assert since >= before
    assert "due_at" in row
    assert move.told()["already_there"] == 1
    # It goes the usual way: waited for, looked at, tried once more, and then lost, which rings.
    leases = DynamoLeases(move.target.client, move.target.connections)
    order = Order(key, None, Cause.DUE)
    waits = leases.lease(order, "one", since + 5, rotates=True)
    assert isinstance(waits, Refused)
    assert waits.why is Hindrance.IN_DOUBT
    now = since + DOUBT_SECONDS + 4_000
    look = leases.lease(order, "two", now, rotates=True)
    assert isinstance(look, Leased)
    assert look.unheard
    leases.put_off(look, Setback(Reason.REFRESH_IN_DOUBT, now + 30, in_doubt=False), now)
    again = leases.lease(order, "three", now + 31, rotates=True)
    assert isinstance(again, Leased)
    assert (again.unheard, again.in_doubt) == (False, True)


def test_a_lost_answer_matters_only_where_it_can_be_found_out(move: Move) -> None:
    """Not without a refresh token, and not once the merchant has to come back."""
    keys = [move.source.connect("m-1", refresh=False), move.source.connect("m-2")]
    give_up(move.source, keys[1])
    move.export()
    head, *lines, last = move.lines()
    move.rewrite([head, *(json.dumps({**json.loads(line), "in_doubt": True}) for line in lines), last])
    assert move.told()["imported"] == 2
    for key in keys:
        assert not {"attempts", "attempt_at"} & set(move.target.row(key))


SEALED = SealedTokens(
    SealedField(b"1", b"2"), SealedField(b"3", b"4"), (), expires_at=None, refresh_expires_at=None, details={}
)
LINES: list[dict[str, Any]] = [
    {"status": Status.ACTIVE},
    {"status": Status.ACTIVE, "in_doubt": True},
    {"status": Status.ACTIVE, "in_doubt": True, "issued_at": None},
    {"status": Status.ACTIVE, "tokens": None},
    {"status": Status.NEEDS_RECONNECT, "last_error": "grant_refused"},
    {"status": Status.NEEDS_RECONNECT, "last_error": "grant_refused", "tokens": None},
    {"status": Status.NEEDS_RECONNECT, "last_error": "token_unreadable"},
    {"status": Status.DISCONNECTED, "tokens": None, "updated_at": 120},
]
HERE: list[dict[str, Any]] = [
    {"status": "active"},
    {"status": "active", "issued_at": 111},
    {"status": "active", "attempts": ("a",)},
    {"status": "needs_reconnect"},
    {"status": "uninstalled"},
]
COUNTS = [(1, 1), (2, 3), (2, 4), (2, 5), (3, 1)]
TIMES = [(90, 95), (90, 105), (100, 105), (110, 115)]


def line(**changes: Any) -> Line:
    whose = {"merchant_id": "m-1", "provider": PROVIDER, "account_id": "shop-1", "account_verified": True}
    when = {"generation": 2, "version": 4, "connected_at": 100, "issued_at": 101, "updated_at": 104}
    rest = {"scopes": [], "details": {}, "in_doubt": False, "tokens": "sealed"}
    return Line(**{**dict.fromkeys(Line.model_fields), **whose, **when, **rest, **changes})


@pytest.mark.parametrize("changes", LINES)
def test_what_is_foreseen_comes_true(changes: dict[str, Any], deployed: FakeAws) -> None:
    """Each line against each row that may stand there: a dry run says what the write does."""
    found = line(**changes)
    client, table = deployed.client("dynamodb"), deployed.table("connections")
    sealed = SEALED if found.tokens else None
    doubted = in_doubt(found, refreshable=sealed is not None)
    update = imported(table, Moved(arriving(found), sealed, None, None, doubted), 200)
    place: dict[str, Any] = {"merchant_id": "m-1", "connection": f"{PROVIDER}#shop-1", "issued_at": 101}
    seen = set()
    for here, counts, times in product(HERE, COUNTS, TIMES):
        numbers = dict(
            zip(("generation", "version", "connected_at", "updated_at"), (*counts, *times), strict=True)
        )
        row = attributes({**place, **numbers, **here})
        client.put_item(TableName=table, Item=row)
        done = foreseen(found, row, refreshable=sealed is not None)
        assert write(client, update).done is (done in WRITTEN), (here, counts, times, done)
        seen.add(done)
    assert {Done.NEWER} < seen


def test_a_row_that_was_given_up_for_its_tokens_is_named_so() -> None:
    assert arriving(line(status=Status.ACTIVE, tokens=None)).last_error == "token_unreadable"
    refused = line(status=Status.NEEDS_RECONNECT, last_error="grant_refused", tokens=None)
    assert arriving(refused).last_error == "grant_refused"
