"""The sweep's one line, its metrics, and what an operator who asked for it is told."""

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.schedule import shards
from mooring.core.upkeep import Key
from mooring.entry.http_api import Line
from tests.core.signing import NOW
from tests.entry.deployed import Deployed
from tests.flows.upkeep_world import DOWN, KEY, PROBED, PROVIDERS


@pytest.fixture
def deployed() -> Deployed:
    return Deployed()


def late(deployed: Deployed, seconds: int, merchant: str = "m-1", provider: str = "acme") -> Key:
    """A connection that has been due for so long."""
    return deployed.world.stands(KEY._replace(merchant_id=merchant, provider=provider), due_at=NOW - seconds)


def test_a_sweep_of_nothing_is_one_line(deployed: Deployed) -> None:
    assert deployed.sweep() == {
        "enqueued": 0,
        "overdue_seconds": 0,
        "queue_depth": 0,
        "open_circuits": [],
    }
    (line,) = deployed.lines
    counts = (("Swept", 1), ("Enqueued", 0), ("OverdueSeconds", 0), ("StrandedFlows", 0), ("OpenCircuits", 0))
    assert line == Line("swept", 200, line.ref, "", detail="0 queued, 0 were waiting", counts=counts)


def test_what_is_late_is_told_for_all_and_for_each_provider(deployed: Deployed) -> None:
    late(deployed, 700)
    late(deployed, 40, "m-2")
    late(deployed, 90, "m-3", PROBED.id)
    deployed.world.queue.backlog = 12
    answered = deployed.sweep()
    assert (answered["enqueued"], answered["overdue_seconds"], answered["queue_depth"]) == (3, 700, 12)
    swept, *overdue = deployed.lines
    assert dict(swept.counts) == {
        "Swept": 1,
        "Enqueued": 3,
        "OverdueSeconds": 700,
        "StrandedFlows": 0,
        "OpenCircuits": 0,
    }
    assert (swept.provider, swept.detail) == (None, "3 queued, 12 were waiting")
    assert {(line.outcome, line.provider, line.detail, line.counts) for line in overdue} == {
        ("overdue", "acme", "700 seconds", (("OverdueSeconds", 700),)),
        ("overdue", PROBED.id, "90 seconds", (("OverdueSeconds", 90),)),
    }
    assert {line.ref for line in overdue} == {swept.ref}


def test_a_provider_in_time_has_no_line_of_its_own(deployed: Deployed) -> None:
    late(deployed, -30)
    assert deployed.sweep()["enqueued"] == 1
    assert [line.outcome for line in deployed.lines] == ["swept"]


def test_flows_that_never_ended_are_counted(deployed: Deployed) -> None:
    deployed.world.exchanged(ago=700)
    deployed.sweep()
    assert dict(deployed.lines[0].counts)["StrandedFlows"] == 1


def test_open_circuits_are_named_and_counted(deployed: Deployed) -> None:
    for provider in (PROBED.id, "acme"):
        deployed.world.circuits.open(provider, Reason.PROVIDER_MISCONFIGURED, NOW)
    assert deployed.sweep()["open_circuits"] == ["acme", "probed"]
    assert deployed.lines[0].detail == "0 queued, 0 were waiting, circuits open: acme probed"
    assert dict(deployed.lines[0].counts)["OpenCircuits"] == 2


def test_a_silent_providers_circuit_is_named_but_rings_no_alarm_of_ours(deployed: Deployed) -> None:
    deployed.world.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW)
    assert deployed.sweep()["open_circuits"] == ["acme"]
    assert deployed.lines[0].detail == "0 queued, 0 were waiting, circuits open: acme"
    assert dict(deployed.lines[0].counts)["OpenCircuits"] == 0


def test_a_closed_circuit_is_neither_named_nor_counted(deployed: Deployed) -> None:
    deployed.world.circuits.open("acme", Reason.PROVIDER_MISCONFIGURED, NOW - 9)
    deployed.world.circuits.close("acme", NOW)
    assert deployed.sweep()["open_circuits"] == []
    assert dict(deployed.lines[0].counts)["OpenCircuits"] == 0


@pytest.mark.parametrize(("limit", "backlog", "enqueued"), [(8, 0, 3), (4, 0, 2), (4, 3, 1), (8, 9, 0)])
def test_no_more_than_the_workers_drain(deployed: Deployed, limit: int, backlog: int, enqueued: int) -> None:
    for number in range(3):
        late(deployed, 10, f"m-{number}")
    deployed.world.queue.backlog = backlog
    assert deployed.sweep(limit)["enqueued"] == enqueued
    assert deployed.lines[0].counts[1] == ("Enqueued", enqueued)


@pytest.mark.parametrize(
    ("port", "method", "how_much"),
    [
        ("due", "due", f": {len(PROVIDERS) * len(shards('acme'))} parts failed, 0 queued"),
        ("due", "standing", ": 1 parts failed, 0 queued"),
        ("queue", "put", ": 1 parts failed, 0 queued"),
        ("queue", "depth", ""),
        ("circuits", "known", ""),
    ],
)
def test_a_sweep_that_is_not_finished_counts_as_none(
    deployed: Deployed, port: str, method: str, how_much: str
) -> None:
    late(deployed, 10)
    getattr(deployed.world, port).broken[method] = Failure(Reason.STORAGE_UNAVAILABLE, "ThrottlingException")
    with pytest.raises(RuntimeError, match=r"^storage_unavailable$"):
        deployed.sweep()
    (line,) = deployed.lines
    assert (line.outcome, line.reason, line.detail, line.status, line.counts) == (
        "failed",
        "storage_unavailable",
        f"ThrottlingException{how_much}",
        503,
        (),
    )


def test_a_later_sweep_makes_up_for_a_failed_one(deployed: Deployed) -> None:
    late(deployed, 10)
    deployed.world.queue.broken["put"] = DOWN
    with pytest.raises(RuntimeError):
        deployed.sweep()
    deployed.world.queue.broken.clear()
    assert deployed.sweep()["enqueued"] == 1
