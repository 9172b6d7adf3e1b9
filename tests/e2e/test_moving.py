"""What an operator does with everything at once, against the running stack: leave, come back, change the key,
forget.

The stack is shared. What was put elsewhere is put back, and calls under keys that the template does not have
are taken out of the record.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.receivers import key_pair
from tests.e2e.running import FIFTH, RunningStack, environment
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep, sweep, wait_for
from tests.support import ROOT

pytestmark = pytest.mark.usefixtures("by_hand")

ALIAS = "alias/mooring-local-token"
COMMAND_SECONDS = 110


class Keys:
    """The KMS keys of the running stack."""

    def __init__(self, stack: RunningStack) -> None:
        self.kms = stack.aws("kms")
        aliases = {each["AliasName"]: each["TargetKeyId"] for each in self.kms.list_aliases()["Aliases"]}
        self.own = str(self.kms.describe_key(KeyId=aliases[ALIAS])["KeyMetadata"]["Arn"])

    def another(self) -> str:
        """The ARN of a new key."""
        return str(self.kms.create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"])

    def use(self, key: str) -> None:
        """Let the installation seal what it imports under this key."""
        self.kms.update_alias(AliasName=ALIAS, TargetKeyId=key)

    def under(self, one: Upkeep) -> set[str]:
        """The keys that a connection's data keys are under."""
        found = set()
        for name, field in (("access_key", "access"), ("refresh_key", "refresh")):
            if name in one.row():
                context = {"merchant": one.key.merchant_id, "provider": one.key.provider, "field": field}
                opened = self.kms.decrypt(CiphertextBlob=one.row()[name][1:], EncryptionContext=context)
                found.add(opened["KeyId"])
        return found


@pytest.fixture
def keys(stack: RunningStack) -> Iterator[Keys]:
    found = Keys(stack)
    yield found
    found.use(found.own)
    run(stack, "reseal", "--to", found.own)
    stack.control("DELETE", "requests")


def run(stack: RunningStack, name: str, *arguments: str) -> tuple[int, Any]:
    """The exit code of a command, and what it told programs."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mooring_cli.main",
            name,
            "--json",
            "--stack-dir",
            str(stack.stack_dir),
            *arguments,
        ],
        cwd=ROOT,
        env=environment(PYTHONPATH=f"{ROOT / 'cli'}:{ROOT / 'layers/mooring'}"),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def wipe(stack: RunningStack, merchant: str) -> None:
    """Erase every row of a merchant and every pointer to it, as nobody should."""
    table, dynamodb = stack.info["tables"]["connections"], stack.aws("dynamodb")
    for row in stack.rows("connections"):
        if merchant in (row["merchant_id"]["S"], row["connection"]["S"]):
            where = {name: row[name] for name in ("merchant_id", "connection")}
            dynamodb.delete_item(TableName=table, Key=where)


def test_export_wipe_and_import_under_another_key(
    stack: RunningStack, merchant: Merchant, service: Service, shop: str, keys: Keys, tmp_path: Path
) -> None:
    merchant.connect(FIFTH, store=shop)
    team = merchant.connect("xeno").query["connection"][0].partition("#")[2]
    rotating, lasting = Upkeep.of(merchant, FIFTH, shop), Upkeep.of(merchant, "xeno", team)
    tokens = [service.token(one.key).json() for one in (rotating, lasting)]
    before = rotating.row()
    pair, file = key_pair(tmp_path), tmp_path / "all.ndjson"
    run(stack, "export", str(file), "--to", str(pair.public))
    assert not any(token["access_token"] in file.read_text() for token in tokens)
    wipe(stack, merchant.name)
    assert service.token(rotating.key).status_code == 404
    keys.use(new := keys.another())

    code, told = run(stack, "import", str(file), "--key", str(pair.private), "--yes")
    assert (code, told["imported"], told["failed"]) == (0, 2, {})
    assert keys.under(rotating) == keys.under(lasting) == {new}
    again = [service.token(one.key).json() for one in (rotating, lasting)]
    assert again == tokens
    for one, token in zip((rotating, lasting), again, strict=True):
        assert stack.simulator(one.key.provider).accepts(one.key.account_id, token["access_token"])
    assert rotating.row()["due_at"] == before["due_at"]

    rotating.pass_time(3_600)
    rotating.fall_due()
    sweep(stack)
    wait_for(lambda: rotating.version == before["version"] + 1, "the refresh after the import")
    fresh = service.token(rotating.key).json()
    assert fresh["access_token"] != again[0]["access_token"]
    assert stack.simulator(FIFTH).accepts(shop, fresh["access_token"])
    assert keys.under(rotating) == {new}


def test_reseal_moves_everything_and_nothing_stops_working(
    stack: RunningStack, merchant: Merchant, service: Service, shop: str, keys: Keys
) -> None:
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    before = service.token(one.key).json()
    new = keys.another()
    code, told = run(stack, "reseal", "--to", new)
    assert (code, told["refused"], told["leased"]) == (0, {}, 0), told
    assert (set(told["left"]), keys.under(one)) == ({new}, {new})
    assert service.token(one.key).json() == before
    one.pass_time(3_600)
    answer = service.refresh(one.key).json()
    assert (answer["outcome"], answer["version"]) == ("refreshed", before["version"] + 1)
    assert keys.under(one) == {new}


def test_forget_has_tokens_revoked_and_leaves_no_row(
    stack: RunningStack, merchant: Merchant, service: Service, shop: str
) -> None:
    merchant.connect(FIFTH, store=shop)
    merchant.connect("xeno")
    token = service.token(Upkeep.of(merchant, FIFTH, shop).key).json()["access_token"]
    assert stack.simulator(FIFTH).accepts(shop, token)
    # Flows of which nobody knows any more that they are over.
    wait_for(lambda: run(stack, "forget", merchant.name, "--yes")[0] == 0, "the end of the flows", 120)
    rows = json.dumps([*stack.rows("connections"), *stack.rows("flows")], default=str)
    assert f'"{merchant.name}"' not in rows
    assert f"link#{merchant.name}#" not in rows
    wait_for(lambda: not stack.simulator(FIFTH).accepts(shop, token), "the revocation at the provider")
    assert service.list(merchant.name) == []
    # It can begin again.
    merchant.connect("xeno")
    assert [entry["generation"] for entry in service.list(merchant.name)] == [1]
