"""Connections without a time for the sweep: which should have one, and `mooring sweep --adopt` gives it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

import mooring.providers
from mooring.core.provider import Provider
from mooring.core.upkeep import Key
from mooring.providers.compiler import compile_project
from mooring_cli.project import known_providers
from mooring_cli.unwatched import Unwatched
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import REGION, SWEEP, FakeStack

HERE = Path(__file__).parent
DAY = 86_400
ISSUED = 1_790_000_000
SETTINGS = "branding: {product: Demo}\nproviders:\n  yotpo: {client_id: ours}\n"
ON_READ = f"{SETTINGS}  whatconverts: {{client_id: ours, refresh: on_read}}\n"
EAGER = ON_READ.replace("on_read", "eager")
IDLE = {"enqueued": 0, "overdue_seconds": 0, "open_circuits": [], "queue_depth": 0}
SWEPT = "Swept: 0 connections queued for refresh; none is late; the queue was empty.\n"


@pytest.fixture(scope="module")
def refreshing() -> Provider:
    """Refreshed when somebody reads it, and nothing else."""
    return known_providers(HERE)["whatconverts"]._replace(refresh_policy="on_read")


def judged(provider: Provider, refreshable: bool | None, **row: int) -> list[int]:
    """When a row would be due; `refreshable` None: that must not matter."""
    found = Unwatched({"acme": provider}, jitter=lambda: 0.0)
    place = {"merchant_id": "m-1", "connection": "acme#shop:7#x"}
    found.add({**place, "issued_at": ISSUED, **row})
    if refreshable is None:
        assert found.unsure == {}
    else:
        assert (found.due, len(found.unsure)) == ({}, 1)
        found.settle({("m-1", "acme#shop:7#x")} if refreshable else set())
    assert found.unknown == {}
    assert set(found.due) <= {Key("m-1", "acme", "shop:7#x")}
    return list(found.due.values())


def test_what_has_nothing_to_come_is_well_without_a_time(refreshing: Provider) -> None:
    bare = refreshing._replace(refresh=None)
    assert judged(bare, None) == []
    assert judged(refreshing, None) == []


def test_a_probe_that_came_later(refreshing: Provider) -> None:
    probing = refreshing._replace(refresh=None, probe=known_providers(HERE)["yotpo"].probe)
    assert judged(probing, None) == [ISSUED + 21_600]


def test_an_idle_limit_that_came_later(refreshing: Provider) -> None:
    assert refreshing.refresh is not None
    idle = refreshing._replace(refresh=refreshing.refresh._replace(idle_days=30))
    assert judged(idle, True) == [ISSUED + 20 * DAY]
    assert judged(idle, False) == []


def test_a_policy_that_was_changed(refreshing: Provider) -> None:
    """Also where the token has run out since: on its day it would have got a time."""
    eager = refreshing._replace(refresh_policy="eager")
    assert judged(eager, None, expires_at=ISSUED + 3_600) == [ISSUED + 2_400]
    assert judged(refreshing, False, expires_at=ISSUED + 3_600) == [ISSUED + 2_400]
    assert judged(refreshing, True, expires_at=ISSUED + 3_600) == []


def test_a_row_of_an_earlier_release_tells_less(refreshing: Provider) -> None:
    probing = refreshing._replace(refresh=None, probe=known_providers(HERE)["yotpo"].probe)
    found = Unwatched({"acme": probing}, jitter=lambda: 0.0)
    found.add({"merchant_id": "m-1", "connection": "acme#s", "updated_at": ISSUED})
    assert list(found.due.values()) == [ISSUED + 21_600]


def compiled(stack: FakeStack, settings: str) -> None:
    """Let a stack run with these settings."""
    config = stack.stack_dir / "settings.yaml"
    config.write_text(settings)
    catalog = Path(mooring.providers.__path__[0]) / "catalog"
    out = stack.stack_dir / "build/layers/mooring/python/mooring/compiled"
    compile_project(config=config, catalog=catalog, out=out)


def found_by(mooring: Command, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `doctor` says of it: the finding, and the numbers."""
    report = json.loads(mooring("doctor", "--json", *options).out)
    (finding,) = [found for found in report["findings"] if found["name"] == "never looked at"]
    return finding, report["never_looked_at"]


def test_a_sweep_that_adopts(mooring: Command, local: FakeAws, stack: FakeStack) -> None:
    compiled(stack, ON_READ)
    stack.answers[f"POST {SWEEP}"] = (200, IDLE)
    now = int(time.time())
    local.put("m-1", "yotpo#shop", issued_at=now - DAY)
    local.put("m-2", "yotpo#shop", issued_at=now - 60)
    local.put("m-3", "yotpo#shop", due_at=now + 60)
    local.put("m-4", "yotpo#shop", "needs_reconnect")
    local.put("m-5", "yotpo#shop", lease_until=now + 30)
    local.put("m-6", "whatconverts#a", expires_at=now - 60, issued_at=now - 3_660)
    finding, numbers = found_by(mooring)
    assert finding["level"] == "attention"
    assert finding["text"] == (
        "2 connections without a time for the sweep, which descriptor and policy give by now: yotpo 2; "
        "such as m-1 yotpo shop"
    )
    assert finding["advice"] == "Give each its time: mooring sweep --adopt"
    assert numbers == {"count": 2, "connections": ["m-1 yotpo shop", "m-2 yotpo shop"], "not_known": {}}
    assert mooring("sweep", "--adopt") == (0, f"2 connections given a time.\n{SWEPT}", "")
    late, young = (row_of(local, merchant, "yotpo#shop") for merchant in ("m-1", "m-2"))
    # What should have been looked at long ago falls due bit by bit.
    assert now <= int(late["due_at"]["N"]) <= now + 3_700
    assert now + 16_000 < int(young["due_at"]["N"]) <= now + 21_600
    assert late["due_shard"]["S"].startswith("yotpo#")
    assert "due_at" not in row_of(local, "m-6", "whatconverts#a")
    assert found_by(mooring)[0] == {
        "name": "never looked at",
        "level": "ok",
        "text": "none",
        "advice": "",
        "runbook": "",
    }
    assert json.loads(mooring("sweep", "--adopt", "--json").out) == {"adopted": 0, **IDLE}


def row_of(aws: FakeAws, merchant: str, connection: str) -> dict[str, Any]:
    where = {"merchant_id": {"S": merchant}, "connection": {"S": connection}}
    return dict(aws.client("dynamodb").get_item(TableName=aws.table("connections"), Key=where)["Item"])


def test_a_refresh_token_decides_and_is_not_read(mooring: Command, local: FakeAws, stack: FakeStack) -> None:
    compiled(stack, ON_READ)
    for merchant in ("m-1", "m-2"):
        local.put(merchant, "whatconverts#a", refresh_expires_at=int(time.time()) + 90 * DAY)
    local.client("dynamodb").update_item(
        TableName=local.table("connections"),
        Key={"merchant_id": {"S": "m-2"}, "connection": {"S": "whatconverts#a"}},
        UpdateExpression="REMOVE #refresh",
        ExpressionAttributeNames={"#refresh": "refresh"},
    )
    assert found_by(mooring)[1]["connections"] == ["m-1 whatconverts a"]


def test_a_policy_that_was_changed_while_nobody_read(
    mooring: Command, local: FakeAws, stack: FakeStack
) -> None:
    now = int(time.time())
    local.put("m-1", "whatconverts#a", expires_at=now - 60, issued_at=now - 3_660)
    for settings, count in ((ON_READ, 0), (EAGER, 1)):
        compiled(stack, settings)
        assert found_by(mooring)[1]["count"] == count


def test_a_stage_whose_settings_are_not_at_hand(mooring: Command, deployed: FakeAws, tmp_path: Path) -> None:
    stage = ("--stage", deployed.stage, "--region", REGION)
    deployed.put("m-1", "yotpo#shop")
    finding, numbers = found_by(mooring, *stage)
    assert (finding["level"], numbers["not_known"]) == ("note", {"yotpo": 1})
    assert finding["text"] == (
        "1 active connection without a time for the sweep; whether they should have one, descriptors tell "
        "that are not at hand: yotpo 1"
    )
    answer = mooring("sweep", "--adopt", *stage)
    assert answer.err.splitlines()[0] == (
        "1 connection left out: the descriptors are not at hand. Go to the project that it was deployed from"
    )
    assert "due_at" not in row_of(deployed, "m-1", "yotpo#shop")
    # In the project that it was deployed from it is known.
    (tmp_path / "mooring.yaml").write_text(SETTINGS)
    finding, numbers = found_by(mooring, *stage)
    assert (finding["level"], numbers["count"]) == ("attention", 1)
    assert finding["advice"].endswith(f"mooring sweep --adopt --stage {deployed.stage} --region {REGION}")


def test_both_what_is_known_and_what_is_not() -> None:
    found = Unwatched(known_providers(HERE))
    for provider in ("yotpo", "acme"):
        found.add({"merchant_id": "m-1", "connection": f"{provider}#s", "issued_at": ISSUED})
    assert (list(found.due), found.unknown) == ([Key("m-1", "yotpo", "s")], {"acme": 1})
