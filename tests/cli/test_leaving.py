"""docs/leaving.md: the receiver's examples open what `mooring export` wrote, with keys made as it says."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mooring_cli.exportfile import Line, Tokens, first_line, last_line
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Command
from tests.cli.receivers import RECIPES, key_pair
from tests.cli.stack_on_sockets import REGION
from tests.cli.vault import PROVIDER, Vault
from tests.docs.markdown import document, names

LEAVING = document("docs/leaving.md")


@pytest.fixture
def vault(deployed: FakeAws) -> Vault:
    made = Vault(deployed)
    made.connect("m-1")
    made.connect("m-2", refresh=False)
    made.aws.put("m-3", f"{PROVIDER}#shop-1", "disconnected")
    where = {"merchant_id": {"S": "m-3"}, "connection": {"S": f"{PROVIDER}#shop-1"}}
    made.client.update_item(
        TableName=made.connections,
        Key=where,
        UpdateExpression="REMOVE access, refresh, access_key, refresh_key",
    )
    return made


def export(mooring: Command, vault: Vault, public: str) -> None:
    stage = ("--stage", vault.aws.stage, "--region", REGION)
    assert mooring("export", "connections.ndjson", "--to", public, *stage).code == 0


def check(found: list[dict[str, Any]]) -> None:
    by_merchant = {each["merchant_id"]: each for each in found}
    assert by_merchant["m-1"]["access_token"] == "canary-access-m-1-shop-1-1"
    assert by_merchant["m-1"]["refresh_token"] == "canary-refresh-m-1-shop-1-1"
    assert by_merchant["m-2"]["refresh_token"] is None
    assert by_merchant["m-3"]["status"] == "disconnected"
    assert "access_token" not in by_merchant["m-3"]
    assert by_merchant["m-1"]["scopes"] == ["read", "write"]


def test_the_python_example_with_the_key_of_the_page(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    making = next(block for block in LEAVING.fences("sh") if "genpkey" in block)
    subprocess.run(["sh", "-ec", making], cwd=tmp_path, check=True, capture_output=True)
    export(mooring, vault, "public.pem")
    example: dict[str, Any] = {}
    exec(compile(LEAVING.fences("python")[0], "docs/leaving.md", "exec"), example)
    check(list(example["connections"]("connections.ndjson", "private.pem")))
    lines = (tmp_path / "connections.ndjson").read_text().splitlines()
    (tmp_path / "cut.ndjson").write_text("\n".join(lines[:-2]))
    with pytest.raises(ValueError, match="not whole"):
        list(example["connections"]("cut.ndjson", "private.pem"))


def test_the_node_example_with_an_rsa_key(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node here")
    pair = key_pair(tmp_path, "rsa")
    export(mooring, vault, str(pair.public))
    asked = f"connections('connections.ndjson', {str(pair.private)!r})"
    script = f"{LEAVING.fences('js')[0]}\nconsole.log(JSON.stringify({asked}))"
    done = subprocess.run([node, "-e", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    check(json.loads(done.stdout))


def test_the_page_names_the_kinds_of_keys_that_are_tried() -> None:
    for recipe in RECIPES.values():
        assert " ".join(recipe[:2]) in LEAVING.text


def test_the_page_tells_every_field() -> None:
    head, end = json.loads(first_line("s", "r", 1, "a", "e", "k")), json.loads(last_line(1, 0))
    (first,) = [row for row in LEAVING.rows("line") if row[0] == "first"]
    (last,) = [row for row in LEAVING.rows("line") if row[0] == "last"]
    assert set(names(first[1])) - {"mooring-export"} == set(head)
    assert set(names(last[1])) - {"mooring-export-end"} == set(end)
    table = {row[0].strip("`") for row in document("docs/table.md").rows("attribute")}
    besides = {name for row in LEAVING.rows("field") for name in names(row[0])}
    assert set(Line.model_fields) - (table - {"provider", "account_id"}) == besides
    for name in Tokens.model_fields:
        assert f"`{name}`" in LEAVING.text
