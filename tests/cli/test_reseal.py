"""`mooring reseal`: every data key under the new key, nothing else changed, while everything runs.

The simulated KMS opens what is under a disabled key, so that a disabled key proves nothing here. What proves
it is the key that KMS names when it opens a data key.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring.core.upkeep import Key
from mooring_cli.rewrap import ATTRIBUTES, Pass, Rewrapper
from mooring_cli.rows import pages
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Answer, Command
from tests.cli.stack_on_sockets import REGION
from tests.cli.vault import PROVIDER, Vault

SEALED = ("access_key", "refresh_key", "previous_refresh_key")
PATIENCE_SECONDS = 60


@pytest.fixture
def vault(deployed: FakeAws) -> Vault:
    return Vault(deployed)


@pytest.fixture
def new_key(vault: Vault) -> str:
    return vault.new_key()


@pytest.fixture
def reseal(mooring: Command, vault: Vault) -> "Reseal":
    return Reseal(mooring, vault)


class Reseal:
    """The command on the stage of the vault."""

    def __init__(self, mooring: Command, vault: Vault) -> None:
        self._mooring = mooring
        self._stage = ("--stage", vault.aws.stage, "--region", REGION)

    def __call__(self, to: str, *more: str) -> Answer:
        return self._mooring("reseal", "--to", to, *self._stage, *more)


def rewrapper(vault: Vault, to: str) -> Rewrapper:
    return Rewrapper(vault.kms, vault.client, vault.connections, vault.flows, to, write=True, threads=1)


def read(vault: Vault) -> list[dict[str, object]]:
    found: Iterator[list[dict[str, object]]] = pages(vault.client, vault.connections, ATTRIBUTES)
    return [row for page in found for row in page]


def test_every_data_key_is_rewrapped_and_nothing_else_changes(
    reseal: Reseal, vault: Vault, new_key: str, tmp_path: Path
) -> None:
    (tmp_path / "mooring.yaml").write_text(f"providers:\n  {PROVIDER}: {{}}\n")
    key, bare = vault.connect("m-1"), vault.connect("m-2", refresh=False)
    vault.store(vault.lease(key))
    vault.change(key, announce="recovered")
    vault.connect("m-3", pending="c-1")
    kept = vault.keep("m-4")
    before = vault.row(key)
    answer = reseal(new_key)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        f"4 rows rewrapped under {new_key}.\nA last look found nothing else: 7 data keys under that key.\n"
    )
    after = vault.row(key)
    assert vault.under(after, "m-1") == dict.fromkeys(SEALED, new_key)
    assert vault.under(vault.row(bare), "m-2") == {"access_key": new_key}
    assert set(vault.under(vault.raw("m-3", "@pending#c-1"), "m-3").values()) == {new_key}
    slot = next(row for row in vault.rows(vault.flows) if row["pk"]["S"] == kept)["s_hash"]["M"]
    assert vault.key_of(slot["kept_key"]["B"], "m-4", PROVIDER, "access") == new_key
    # What the stream told already is not told again.
    gone = {*SEALED, "announce"}
    assert {name: value for name, value in after.items() if name not in gone} == {
        name: value for name, value in before.items() if name not in gone
    }
    assert "announce" not in after
    assert vault.tokens(key, "access", "refresh", "previous_refresh") == [
        "canary-access-m-1-shop-1-2",
        "canary-refresh-m-1-shop-1-2",
        "canary-refresh-m-1-shop-1-1",
    ]


def test_a_second_time_finds_nothing_to_do(reseal: Reseal, vault: Vault, new_key: str) -> None:
    key = vault.connect("m-1")
    assert reseal(new_key).code == 0
    before = vault.row(key)
    answer = reseal(new_key, "--json")
    assert answer.code == 0
    assert json.loads(answer.out) == {
        "stage": vault.aws.stage,
        "region": REGION,
        "to": new_key,
        "dry_run": False,
        "passes": 1,
        "rewrapped": 0,
        "found": {new_key: 2},
        "left": {new_key: 2},
        "refused": {},
        "leased": 0,
    }
    assert vault.row(key) == before


def test_a_dry_run_counts_and_changes_nothing(reseal: Reseal, vault: Vault, new_key: str) -> None:
    key = vault.connect("m-1")
    vault.lease(key)
    before = vault.rows(vault.connections)
    answer = reseal(new_key, "--dry-run")
    assert (answer.code, answer.out) == (
        0,
        f"data keys  under\n2          {vault.key}\nNothing was changed.\n",
    )
    assert vault.rows(vault.connections) == before


def test_a_refresh_that_runs_meanwhile_is_unharmed_and_resealed_afterwards(
    reseal: Reseal, vault: Vault, new_key: str
) -> None:
    busy, idle = vault.connect("m-1"), vault.connect("m-2")
    leased = vault.lease(busy)
    before = vault.row(busy)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(reseal, new_key)
        wait_until_under(vault, idle, new_key)
        assert vault.row(busy) == before
        # What it stores names the wrapped keys that its lease brought, under the old key.
        vault.store(leased)
        answer = running.result(PATIENCE_SECONDS)
    assert (answer.code, answer.err) == (0, "")
    assert vault.under(vault.row(busy), "m-1") == dict.fromkeys(SEALED, new_key)
    assert vault.tokens(busy) == ["canary-access-m-1-shop-1-2", "canary-refresh-m-1-shop-1-2"]
    # And one that begins after it works under the new key.
    vault.store(vault.lease(busy))
    assert vault.tokens(busy) == ["canary-access-m-1-shop-1-3", "canary-refresh-m-1-shop-1-3"]
    assert vault.under(vault.row(busy), "m-1")["access_key"] == new_key


def wait_until_under(vault: Vault, key: Key, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while vault.under(vault.row(key), key.merchant_id)["access_key"] != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_row_that_changed_after_it_was_read_is_read_again(vault: Vault, new_key: str) -> None:
    key = vault.connect("m-1")
    stale = read(vault)
    vault.connect("m-1")  # again: other data keys
    done = Pass()
    rewrapper(vault, new_key).connections(stale, done)  # type: ignore[arg-type]
    assert (done.rewrapped, done.refused) == (1, {})
    assert set(vault.under(vault.row(key), "m-1").values()) == {new_key}
    assert vault.tokens(key) == ["canary-access-m-1-shop-1-1", "canary-refresh-m-1-shop-1-1"]


def test_a_row_that_is_gone_meanwhile_is_no_matter(vault: Vault, new_key: str) -> None:
    vault.connect("m-1")
    stale = read(vault)
    for row in vault.rows(vault.connections):
        where = {name: row[name] for name in ("merchant_id", "connection")}
        vault.client.delete_item(TableName=vault.connections, Key=where)
    done = Pass()
    rewrapper(vault, new_key).connections(stale, done)  # type: ignore[arg-type]
    assert (done, vault.rows(vault.connections)) == (Pass(), [])


def test_what_was_broken_off_goes_on(reseal: Reseal, vault: Vault, new_key: str) -> None:
    for number in range(5):
        vault.connect(f"m-{number}")
    rows = [row for row in read(vault) if "access_key" in row]
    rewrapper(vault, new_key).connections(rows[:3], Pass())  # type: ignore[arg-type]
    answer = reseal(new_key, "--json")
    told = json.loads(answer.out)
    assert (answer.code, told["rewrapped"], told["found"]) == (0, 2, {vault.key: 4, new_key: 6})


def test_what_is_not_ours_is_named_and_the_rest_goes_on(reseal: Reseal, vault: Vault, new_key: str) -> None:
    good, bad = vault.connect("m-1"), vault.connect("m-2")
    strange = vault.row(good)["access_key"]["B"]
    vault.client.update_item(
        TableName=vault.connections,
        Key={"merchant_id": {"S": "m-2"}, "connection": {"S": f"{PROVIDER}#shop-1"}},
        UpdateExpression="SET access_key = :key",
        ExpressionAttributeValues={":key": {"B": strange}},
    )
    before = vault.row(bad)
    answer = reseal(new_key)
    assert answer.code == 1
    assert answer.out == f"1 row rewrapped under {new_key}.\n"
    assert answer.err == f"Not rewrapped: m-2 {PROVIDER}#shop-1 (InvalidCiphertextException)\n"
    assert set(vault.under(vault.row(good), "m-1").values()) == {new_key}
    assert vault.row(bad) == before


def test_a_key_that_is_not_there_ends_it_soon(reseal: Reseal, vault: Vault) -> None:
    for number in range(12):
        vault.connect(f"m-{number}")
    missing = f"{vault.key.rpartition('/')[0]}/00000000-0000-0000-0000-000000000000"
    answer = reseal(missing)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(
        "KMS refused every data key so far (NotFoundException). Was the stage deployed"
    )


def test_a_kept_token_set_of_an_unknown_provider_is_named(reseal: Reseal, vault: Vault, new_key: str) -> None:
    kept = vault.keep("m-1")
    answer = reseal(new_key)
    assert (answer.code, answer.err) == (1, f"Not rewrapped: {kept} (no provider of this stage)\n")


def test_what_waits_in_the_recovery_queue_is_told(reseal: Reseal, vault: Vault, new_key: str) -> None:
    vault.connect("m-1")
    vault.aws.send("recovery", 2)
    answer = reseal(new_key)
    assert answer.code == 0
    assert answer.err.startswith("2 messages of the recovery and revoke queues and their dead letters")


@pytest.mark.parametrize("to", ["alias/x", "1234", "arn:aws:kms:eu-central-1:111122223333:alias/x"])
def test_a_key_is_named_by_its_arn(to: str, reseal: Reseal) -> None:
    answer = reseal(to)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("--to must be the ARN of a KMS key")


def test_the_local_stack(mooring: Command, local: FakeAws) -> None:
    vault = Vault(local, "local")
    key, new_key = vault.connect("m-1"), vault.new_key()
    assert mooring("reseal", "--to", new_key).code == 0
    assert set(vault.under(vault.row(key), "m-1").values()) == {new_key}
