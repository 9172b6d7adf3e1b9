"""`mooring import`: sealed anew under the key of the installation, and nothing newer is overwritten."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters import flow_transitions
from mooring.core.schedule import due_shard
from mooring.core.upkeep import Key
from mooring_cli.envelope import receiver_from
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Command
from tests.cli.moves import Move, begun, disconnect
from tests.cli.receivers import key_pair
from tests.cli.stack_on_sockets import REGION
from tests.cli.vault import NOW, PROVIDER, Vault

OTHERS = "its tokens belong to another connection, or to another generation or version of it"
TOKENS = ["canary-access-m-1-shop-1-1", "canary-refresh-m-1-shop-1-1"]


@pytest.fixture
def move(mooring: Command, deployed: FakeAws, tmp_path: Path) -> Move:
    return begun(mooring, deployed, tmp_path)


def test_a_connection_moves_to_a_stage_with_another_key(move: Move) -> None:
    key = move.source.connect("m-1")
    move.source.connect("m-2", "default", refresh=False, verified=False)
    move.export()
    before = int(time.time())
    assert move.bring() == (0, "2 connections imported.\n", "")
    old, new = move.source.row(key), move.target.row(key)
    assert move.target.tokens(key) == TOKENS
    assert set(move.target.under(new, "m-1").values()) == {move.target.key}
    assert set(move.source.under(old, "m-1").values()) == {move.source.key}
    sealed = {"access", "access_key", "refresh", "refresh_key", "updated_at"}
    kept = {name: value for name, value in old.items() if name not in sealed | {"announce"}}
    assert {name: value for name, value in new.items() if name not in sealed} == kept
    assert (new["due_at"], new["due_shard"]["S"]) == (
        {"N": str(NOW + 5_400)},
        due_shard(PROVIDER, "m-1", "shop-1"),
    )
    assert int(new["updated_at"]["N"]) >= before
    pointers = [row for row in move.target.rows(move.target.connections) if row["merchant_id"]["S"][0] == "@"]
    assert pointers == [{"merchant_id": {"S": f"@account#{PROVIDER}#shop-1"}, "connection": {"S": "m-1"}}]
    bare = move.target.row(Key("m-2", PROVIDER, "default"))
    assert "refresh" not in bare
    # It can be refreshed there.
    move.target.store(move.target.lease(key))
    assert move.target.tokens(key)[0] == "canary-access-m-1-shop-1-2"


def test_a_second_time_finds_all_of_it_there(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    before = move.target.row(key)
    assert move.bring() == (0, "0 connections imported.\n1 there already.\n", "")
    assert move.target.row(key) == before


def test_what_was_broken_off_goes_on(move: Move) -> None:
    for number in range(4):
        move.source.connect(f"m-{number}")
    move.export()
    whole = move.lines()
    end = json.loads(whole[-1])
    move.rewrite([*whole[:3], json.dumps({**end, "connections": 2})])
    assert move.told()["imported"] == 2
    move.rewrite(whole)
    told = move.told()
    assert (told["imported"], told["already_there"], told["failed"]) == (2, 2, {})


def test_a_dry_run_opens_everything_and_stores_nothing(move: Move) -> None:
    move.source.connect("m-1")
    move.export()
    assert move.bring("--dry-run") == (0, "1 connection would be imported.\n", "")
    assert move.target.rows(move.target.connections) == []


def test_a_newer_generation_or_version_stays(move: Move) -> None:
    older, same = move.source.connect("m-1"), move.source.connect("m-2")
    move.export()
    move.target.connect("m-1")
    move.target.connect("m-1")
    move.target.connect("m-2")
    move.target.store(move.target.lease(same))
    before = move.target.row(older), move.target.row(same)
    told = move.told()
    assert (told["imported"], told["newer_here"]) == (0, 2)
    assert (move.target.row(older), move.target.row(same)) == before


def test_an_older_version_is_brought_up_to_date(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    move.source.store(move.source.lease(key))
    move.export()
    assert move.told()["imported"] == 1
    assert move.target.tokens(key)[0] == "canary-access-m-1-shop-1-2"


def test_what_was_connected_later_here_stays_whatever_its_generation(move: Move) -> None:
    key = move.source.connect("m-1")
    move.source.connect("m-1")
    move.export()
    move.target.connect("m-1")
    move.target.change(key, connected_at=NOW + 100)
    before = move.target.row(key)
    assert move.told()["newer_here"] == 1
    assert move.target.row(key) == before


def test_a_generation_that_ended_here_stays_ended(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    disconnect(move.target, key)
    move.source.store(move.source.lease(key))
    move.export()
    assert move.told()["newer_here"] == 1
    assert move.target.row(key)["status"] == {"S": "disconnected"}
    assert "access" not in move.target.row(key)


def test_a_later_generation_replaces_one_that_had_ended_before_it(move: Move) -> None:
    key = move.target.connect("m-1")
    disconnect(move.target, key, NOW - 100)
    move.target.change(key, connected_at=NOW - 200)
    move.source.connect("m-1")
    move.source.connect("m-1")
    move.export()
    assert move.told()["imported"] == 1
    row = move.target.row(key)
    assert (row["status"], row["generation"]) == ({"S": "active"}, {"N": "2"})
    assert move.target.tokens(key) == TOKENS


def test_a_later_generation_does_not_replace_one_that_ended_since(move: Move) -> None:
    key = move.target.connect("m-1")
    disconnect(move.target, key, NOW + 100)
    move.source.connect("m-1")
    move.source.connect("m-1")
    move.export()
    assert move.told()["newer_here"] == 1
    assert move.target.row(key)["status"] == {"S": "disconnected"}


def test_what_is_being_refreshed_here_is_left_alone(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    move.bring()
    move.source.store(move.source.lease(key))
    move.export()
    leased = move.target.lease(key)
    assert move.told()["newer_here"] == 1
    move.target.store(leased)
    assert move.told()["already_there"] == 1


@pytest.mark.parametrize(("earlier", "became"), [(0, "uninstalled_since"), (1, "imported")])
def test_an_account_that_removed_the_app_since_stays_out(earlier: int, became: str, move: Move) -> None:
    move.source.connect("m-1")
    move.export()
    stone = flow_transitions.buried(move.target.flows, PROVIDER, "shop-1", NOW - earlier, NOW)
    move.target.client.put_item(**stone)
    assert move.told()[became] == 1
    assert bool(move.target.rows(move.target.connections)) == (became == "imported")


def test_what_has_ended_keeps_its_place(move: Move) -> None:
    key = move.source.connect("m-1")
    disconnect(move.source, key)
    move.export()
    assert move.bring().out == "1 connection imported.\n"
    row = move.target.row(key)
    assert (row["status"], row["generation"]) == ({"S": "disconnected"}, {"N": "1"})
    assert not {"access", "refresh", "due_at", "expires_at"} & set(row)


def test_what_came_without_its_tokens_has_to_be_connected_again(move: Move) -> None:
    key = move.source.connect("m-1")
    move.export()
    head, line, end = move.lines()
    move.rewrite([head, json.dumps({**json.loads(line), "tokens": None}), end])
    assert move.bring().out == "1 connection imported.\n"
    row = move.target.row(key)
    assert (row["status"]["S"], row["last_error"]["S"]) == ("needs_reconnect", "token_unreadable")
    assert not {"due_at", "access"} & set(row)


def test_a_line_with_a_mistake_is_named_and_the_rest_goes_on(move: Move) -> None:
    for number in range(4):
        move.source.connect(f"m-{number}")
    move.export()
    head, *lines, end = move.lines()
    one, two, three, four = (json.loads(line) for line in lines)
    bad = [
        {**one, "tokens": two["tokens"]},
        {**two, "version": "canary"},
        {**three, "tokens": "canary.of.a.broken.one"},
    ]
    move.rewrite([head, *map(json.dumps, bad), json.dumps(four), end])
    answer = move.bring()
    assert (answer.code, answer.out) == (1, "1 connection imported.\n")
    assert answer.err.splitlines() == [
        f"Line 2 was not imported: {OTHERS}",
        "Line 3 was not imported: version: Input should be a valid integer",
        "Line 4 was not imported: its tokens do not open with this key",
    ]
    assert move.told()["failed"].keys() == {"2", "3", "4"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"merchant_id": "a#b"}, "merchant_id: Value error, no merchant or account has such an id"),
    ({"merchant_id": "@account"}, "merchant_id: Value error, no merchant or account has such an id"),
    ({"provider": "@pending"}, "provider: Value error, no provider has such an id"),
    ({"status": "disconnected"}, "Value error, a connection that has ended has no tokens"),
    ({"status": "pending_confirmation"}, "Value error, what waits for confirmation is not exported"),
    ({"status": "happy"}, "status: Input should be 'active'"),
    ({"more": 1}, "more: Extra inputs are not permitted"),
    ({"generation": 0}, "generation: Input should be greater than or equal to 1"),
    ({"version": 10**60}, "version: Input should be less than or equal to 9007199254740992"),
    ({"due_at": -1}, "due_at: Input should be greater than or equal to 0"),
]


def test_what_a_line_may_not_say(move: Move) -> None:
    move.source.connect("m-1")
    move.export()
    head, line, _ = move.lines()
    bad = [json.dumps({**json.loads(line), **changes}) for changes, _ in REFUSED]
    end = {"format": "mooring-export-end", "connections": len(bad), "without_tokens": 0}
    move.rewrite([head, *bad, json.dumps(end)])
    answer = move.bring()
    assert (answer.code, answer.out) == (1, "0 connections imported.\n")
    said = answer.err.splitlines()
    assert len(said) == len(REFUSED)
    for number, (_, text) in enumerate(REFUSED, 2):
        assert said[number - 2].startswith(f"Line {number} was not imported: {text}")
    assert move.target.rows(move.target.connections) == []


def test_sealed_tokens_that_are_no_tokens(move: Move) -> None:
    move.source.connect("m-1")
    move.export()
    head, line, end = move.lines()
    seal = receiver_from(move.pair.public).seal
    found = []
    for content in ({"access_token": "canary"}, {}):
        move.rewrite([head, json.dumps({**json.loads(line), "tokens": seal(content)}), end])
        found.append(move.bring().err)
    assert found == ["Line 2 was not imported: tokens: merchant_id: Field required\n"] * 2


def cut(lines: list[str]) -> list[list[str]]:
    """Files that are not whole."""
    head, one, two, end = lines
    return [
        [head, one, two],
        [head, one, end],
        [head],
        [head, one, two, one, end],
        [head, one, two, end[:20]],
    ]


def test_a_file_that_is_not_whole_changes_nothing(move: Move) -> None:
    move.source.connect("m-1")
    move.source.connect("m-2")
    move.export()
    for lines in cut(move.lines()):
        move.rewrite(lines)
        answer = move.bring()
        assert (answer.code, answer.out) == (1, "")
        assert answer.err.startswith("out.ndjson is not whole: its last line is missing")
    assert move.target.rows(move.target.connections) == []


def test_what_is_no_export_file(move: Move) -> None:
    opening = '{"format": "mooring-export", "version": '
    cases = {
        "": "out.ndjson is empty",
        "hello\n": "out.ndjson does not begin like an export file",
        opening + "2}\n": "out.ndjson is of a version that this release",
        opening + "1}\n": "out.ndjson does not say in its first line where",
    }
    for content, text in cases.items():
        move.file.write_text(content)
        answer = move.bring()
        assert (answer.code, answer.out) == (1, "")
        assert answer.err.startswith(text)


def test_a_file_that_is_not_there(move: Move) -> None:
    assert move.bring() == (1, "", "out.ndjson cannot be read\n")


def test_the_wrong_key(move: Move, tmp_path: Path) -> None:
    move.source.connect("m-1")
    move.export()
    other = key_pair(tmp_path, "x25519")
    answer = move.bring(key=other.private)
    assert (answer.code, answer.out) == (2, "")
    assert "was sealed to another key" in answer.err
    public = move.bring(key=move.pair.public)
    assert public.err.endswith("is a public key. Give --key the private one\n")


def test_a_provider_that_is_not_enabled_here_is_told(move: Move, tmp_path: Path) -> None:
    (tmp_path / "mooring.yaml").write_text("providers:\n  other: {}\n")
    move.source.connect("m-1")
    move.export()
    assert move.bring().err == f"{PROVIDER} is not enabled here: nothing refreshes its 1 connection.\n"


def test_nobody_can_be_asked(move: Move) -> None:
    move.source.connect("m-1")
    move.export()
    stage = ("--stage", move.target.aws.stage, "--region", REGION)
    answer = move.mooring("import", "out.ndjson", "--key", str(move.pair.private), *stage)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Nobody can be asked here.")


def test_no_token_is_printed(move: Move) -> None:
    move.source.connect("m-1")
    move.export()
    answers = [move.bring(*more) for more in (["--dry-run"], [], ["--json"])]
    assert "canary" not in "".join(answer.out + answer.err for answer in answers)


def test_the_local_stack(mooring: Command, local: FakeAws, tmp_path: Path) -> None:
    vault, pair = Vault(local, "local"), key_pair(tmp_path)
    key = vault.connect("m-1")
    assert mooring("export", "out.ndjson", "--to", str(pair.public)).code == 0
    for row in vault.rows(vault.connections):
        where = {name: row[name] for name in ("merchant_id", "connection")}
        vault.client.delete_item(TableName=vault.connections, Key=where)
    answer = mooring("import", "out.ndjson", "--key", str(pair.private), "--yes")
    assert answer == (0, "1 connection imported.\n", "")
    assert vault.tokens(key) == TOKENS
