"""The simulation says what its document says, by the product's own rules."""

import random
from pathlib import Path

import pytest

from mooring.core.schedule import due_at
from mooring.flows.shares import RAMP_FIRST
from mooring.flows.sweep import FIRING_SECONDS, TRIALS
from tools.simulate import assumptions, model, reading, scenarios
from tools.simulate.__main__ import BEGIN, DOCUMENT, END
from tools.simulate.document import parts, put_into
from tools.simulate.due import Due
from tools.simulate.settings import Settings, defaults, extended, tuned
from tools.simulate.tables import FEW, Section, render, sections
from tools.simulate.world import Outage, World

FAST = [section for section in sections() if not section.slow]


@pytest.mark.parametrize("section", FAST, ids=lambda section: section.title)
def test_the_document_says_what_the_simulation_says(section: Section) -> None:
    _, told, _ = parts(DOCUMENT, BEGIN, END)
    assert render(section) in told, "make simulate DOC=1 writes it anew"


def test_the_document_has_every_section() -> None:
    _, told, _ = parts(DOCUMENT, BEGIN, END)
    headings = [line.removeprefix("### ") for line in told.splitlines() if line.startswith("### ")]
    assert headings == [section.title for section in sections()]


def test_the_document_is_changed_between_its_markers_only(tmp_path: Path) -> None:
    document = tmp_path / "some.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(document, "new", BEGIN, END)
    assert document.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    document.write_text(f"{BEGIN}")
    with pytest.raises(ValueError, match=r"some\.md"):
        put_into(document, "new", BEGIN, END)


def test_defaults_are_those_of_the_template() -> None:
    found = defaults()
    assert (found.queue_limit, found.workers, found.sweep_seconds, found.shards) == (20_000, 10, 50, 8)
    assert (found.batch, found.refresh_mb, found.sweep_mb) == (25, 1_024, 512)


def test_each_column_changes_only_what_it_may() -> None:
    parameters = {"queue_limit": 1, "workers": 1, "sweep_mb": 1}
    assert tuned()._replace(**parameters) == defaults()._replace(**parameters)
    proposed = {**parameters, "sweeps": 1, "shards": 1}
    assert extended()._replace(**proposed) == defaults()._replace(**proposed)


@pytest.mark.parametrize("settings", [defaults(), tuned(), extended()])
def test_the_workers_drain_the_queue_in_two_minutes_when_providers_answer_within_a_second(
    settings: Settings,
) -> None:
    assert settings.queue_limit == 2_000 * settings.workers
    assert model.drained(settings, answer=1.0) == pytest.approx(settings.queue_limit, rel=0.03)
    assert model.drained(settings) >= 2 * settings.queue_limit


def test_a_sweep_with_its_default_memory_queues_as_much_as_the_queue_takes() -> None:
    assert model.sweep_rows(defaults()) == pytest.approx(defaults().queue_limit, rel=0.25)
    assert model.sweep_rows(defaults()) >= defaults().queue_limit


def test_prices_are_those_of_the_document(tmp_path: Path) -> None:
    found = assumptions.prices()
    assert found["KMS_REQUEST"] == pytest.approx(3e-6)
    assert found["KMS_KEY_MONTH"] == 1.0
    other = tmp_path / "cost.md"
    other.write_text("```python\nprint(1)\n```\n")
    with pytest.raises(ValueError, match="assignments"):
        assumptions.prices(other)
    other.write_text("```python\nA = __import__('os')\n```\n")
    with pytest.raises(ValueError, match="number"):
        assumptions.prices(other)


def test_between_its_ends_the_due_time_is_spread_evenly() -> None:
    when, provider = model.spread(), model.simulated_provider()
    for jitter in (0.25, 0.5, 0.75):
        found = due_at(
            0, provider, expires_at=3_600, refresh_expires_at=None, refreshable=True, jitter=jitter
        )
        assert found == pytest.approx(when.last - jitter * (when.last - when.first), abs=1)


def test_limits_come_in_the_order_in_which_they_are_met() -> None:
    found = [limit.per_second for limit in model.limits(defaults(), 10, 10_000)]
    assert found == sorted(found)
    moved = [limit.moved_by for limit in model.limits(defaults(), 10, 10_000)[:3]]
    assert moved == ["`QueueLimit`", "`RefreshWorkers`", "`SweepMemory`"]
    first = model.limits(tuned(), 10, 10_000)[0]
    assert first.name == "time of a sweep"
    assert first.moved_by.startswith("no setting today")
    assert "quota" in model.limits(extended(), 10, 10_000)[0].moved_by


def test_due_connections_are_neither_lost_nor_invented() -> None:
    due, chance = Due(600), random.Random(7)
    due.add(0, 99, 1_000)
    taken = 0.0
    for now in range(0, 600, 10):
        due.until(now)
        for at, count in due.take(chance.uniform(0, 40)):
            assert at <= now
            taken += count
        due.add(now - 5 if now > 5 else 0, now + 20, 10)
    due.until(599)
    in_time = 1_000 + sum(10 * min(1.0, (600 - max(0, now - 5)) / 26) for now in range(0, 600, 10))
    assert taken + due.waiting == pytest.approx(in_time, rel=0.002)


def test_the_oldest_are_taken_first() -> None:
    due = Due(100)
    due.add(50, 50, 2)
    due.until(60)
    due.add(10, 10, 3)
    assert list(due.take(4)) == [(10, 3), (50, 1)]
    assert due.oldest() == 50


@pytest.mark.parametrize(("late", "part"), [(0, 0.0), (900, 0.0), (1_080, 0.5), (1_260, 1.0), (9_999, 1.0)])
def test_tokens_end_when_their_refresh_comes_too_late(late: int, part: float) -> None:
    assert model.expired(late) == pytest.approx(part)


def test_an_ordinary_hour_is_kept_up_with() -> None:
    found = scenarios.ordinary(defaults(), FEW, seconds=3_600)
    rate = model.refresh_rate(FEW) * FIRING_SECONDS
    assert found.minutes[-1].done == pytest.approx(rate, rel=0.02)
    assert found.expired + found.others_expired == 0
    assert found.others_overdue <= 5
    assert found.drained is not None


def test_too_many_connections_are_not_kept_up_with() -> None:
    found = scenarios.ordinary(defaults(), 1_500_000, seconds=7_200)
    assert found.minutes[-1].done == pytest.approx(defaults().queue_limit)
    assert found.others_expired > 0
    assert found.drained is None


def test_a_herd_keeps_nobody_else_waiting() -> None:
    found = scenarios.herd(extended(), 900_000, 100_000, jitter=True, seconds=3_600)
    assert found.expired == 0
    assert found.others_overdue < FIRING_SECONDS
    assert found.drained is not None


def test_a_herd_gets_what_the_others_leave_of_their_shares() -> None:
    found = scenarios.herd(defaults(), 90_000, 100_000, jitter=False, seconds=3_600)
    tenth = defaults().queue_limit / 10
    assert max(minute.done for minute in found.minutes) > 5 * tenth
    assert found.others_overdue < FIRING_SECONDS
    assert found.drained is not None


def test_an_outage_costs_trials_alone_and_is_followed_by_a_ramp() -> None:
    found = scenarios.outage(defaults(), 20_000, hours=1, after=3_600)
    assert [word for _, word in found.circuits] == ["opened", "closed"]
    assert found.called_down < 60 * TRIALS + 2 * defaults().batch * defaults().workers
    assert found.others_overdue < FIRING_SECONDS
    opened, closed = (at for at, _ in found.circuits)
    assert closed - opened == pytest.approx(3_600, abs=2 * FIRING_SECONDS)
    first = next(minute for minute in found.minutes if minute.second == closed)
    ordinary = found.minutes[closed // FIRING_SECONDS - 1].queued
    assert first.queued - ordinary <= RAMP_FIRST + 1


def test_what_a_provider_does_not_answer_is_due_again() -> None:
    world = World(defaults(), ("a", "b"), 1_200, Outage("a", 0, 1_200))
    world.connected("a", 1_000)
    world.run()
    done = sum(minute.done for minute in world.minutes)
    assert done == 0
    assert world.left("a") == pytest.approx(1_000 * 1_201 / model.spread().mean, rel=0.001)


def test_what_nobody_reads_costs_least_and_what_everybody_reads_as_much_as_eager() -> None:
    never, often = (reading.on_read(extended(), reads) for reads in (0.0, 1e6))
    before = reading.eager(extended())
    assert never.dollars < before.dollars / 100
    assert never.waiting == 0
    assert often.refreshes == pytest.approx(reading.DAY / (model.LIFETIME - reading.MIN_TTL), rel=0.01)
    assert often.refreshes < before.refreshes
