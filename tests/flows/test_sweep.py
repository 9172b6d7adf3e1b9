"""The sweep: fair shares, never more than the workers drain, nothing queued twice, nothing forgotten."""

from collections.abc import Callable

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.schedule import due_shard, shards
from mooring.core.upkeep import Cause, Delayed, DueRow, Key, Order, Seen
from mooring.flows.sweep import BATCH, PAGE, QUEUED_SECONDS, TRIALS, Swept
from tests.core.signing import NOW
from tests.flows.upkeep_world import DOWN, EAGER, KEY, NEVER, SEEN, UpkeepWorld
from tests.flows.world import refusal


def stands(upkeep: UpkeepWorld, count: int, provider: str = "acme", *, first: int = NOW - 1_000) -> list[Key]:
    """So many connections of merchants of their own, each due a second after the one before."""
    keys = [Key(f"m-{number}", provider, "shop-9") for number in range(count)]
    for number, key in enumerate(keys):
        upkeep.stands(key, due_at=first + number)
    return keys


def queued(upkeep: UpkeepWorld) -> list[Key]:
    """The connections that wait in the queue, in its order."""
    return [each.work.key for each in upkeep.queue.messages if isinstance(each.work, Order)]


def of_one_shard(count: int) -> list[Key]:
    """Names that lie in the first shard."""
    keys = (Key(f"m-{number}", "acme", "shop-9") for number in range(100 * count))
    found = [key for key in keys if due_shard("acme", key.merchant_id, key.account_id) == "acme#0"]
    return found[:count]


# What is queued.


def test_what_is_due_is_queued_as_it_stands_and_costs_no_key(upkeep: UpkeepWorld) -> None:
    upkeep.stands(due_at=NOW - 42)
    done = upkeep.sweep()
    assert done == Swept(1, 42, {"acme": 42}, 0, 0, ())
    assert upkeep.queue.messages == [Delayed(Order(KEY, SEEN, Cause.DUE, trial=False), 0)]
    assert not {"open", "reuse", "lease", "read"} & {*upkeep.journal}
    assert upkeep.keeper.refreshes == []


def test_nothing_is_due(upkeep: UpkeepWorld) -> None:
    upkeep.stands(due_at=NOW + 61)
    assert upkeep.sweep(EAGER, NEVER) == Swept(0, 0, {"acme": 0, "never": 0}, 0, 0, ())
    assert upkeep.journal == ["depth", "opened", *["due"] * 16, "stranded"]


@pytest.mark.parametrize(("early", "delay"), [(60, 60), (59, 59), (1, 1), (0, 0), (-1, 0), (-86_400, 0)])
def test_what_falls_due_before_the_next_firing_waits_in_the_queue(
    upkeep: UpkeepWorld, early: int, delay: int
) -> None:
    upkeep.stands(due_at=NOW + early)
    done = upkeep.sweep()
    assert [each.delay for each in upkeep.queue.messages] == [delay]
    assert done.overdue_seconds == max(0, -early)
    assert upkeep.deliver()[0][1].word == "refreshed"


def test_every_shard_of_every_provider_is_asked_for_one_page(upkeep: UpkeepWorld) -> None:
    upkeep.sweep(EAGER, NEVER)
    asked = sorted(upkeep.due.pages)
    assert asked == sorted((shard, NOW + 60, PAGE) for name in ("acme", "never") for shard in shards(name))


def test_a_provider_that_is_not_enabled_is_not_swept(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 3, "never")
    assert upkeep.sweep(EAGER).enqueued == 0


def test_the_oldest_come_first_whatever_their_shard(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 30)
    assert len({due_shard(key.provider, key.merchant_id, key.account_id) for key in keys}) > 4
    upkeep.sweep()
    assert queued(upkeep) == keys


def test_providers_take_turns_and_within_each_the_oldest_comes_first(upkeep: UpkeepWorld) -> None:
    first, second = stands(upkeep, 30), stands(upkeep, 20, "never", first=NOW - 100)
    upkeep.sweep(EAGER, NEVER)
    turns = [key for both in zip(first, second, strict=False) for key in both]
    assert queued(upkeep) == [*turns, *first[20:]]


def test_the_lateness_of_each_provider_is_that_of_its_oldest(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 20)
    stands(upkeep, 5, "never", first=NOW + 10)
    done = upkeep.sweep(EAGER, NEVER)
    assert (done.overdue_seconds, done.overdue) == (1_000, {"acme": 1_000, "never": 0})


@pytest.mark.parametrize(("ago", "stranded"), [(599, 0), (600, 0), (601, 1), (900, 1), (901, 0)])
def test_flows_that_nobody_can_finish_any_more_are_counted_for_a_few_minutes(
    upkeep: UpkeepWorld, ago: int, stranded: int
) -> None:
    upkeep.exchanged(ago=ago - 2)  # whose state was burned two seconds before
    assert upkeep.sweep().stranded_flows == stranded


def test_a_flow_that_ended_is_not_stranded(upkeep: UpkeepWorld) -> None:
    upkeep.reconnects()
    upkeep.clock.advance(700)
    assert upkeep.sweep().stranded_flows == 0


# How much is queued.


@pytest.mark.parametrize(("backlog", "enqueued"), [(0, 10), (4, 6), (9, 1), (10, 0), (500, 0)])
def test_never_more_than_the_workers_drain_less_what_waits(
    upkeep: UpkeepWorld, backlog: int, enqueued: int
) -> None:
    keys = stands(upkeep, 40)
    upkeep.queue.backlog = backlog
    done = upkeep.sweep(limit=10)
    assert (done.enqueued, done.queue_depth) == (enqueued, backlog)
    assert queued(upkeep) == keys[:enqueued]
    assert done.overdue_seconds == 1_000


def test_batches_are_as_large_as_one_read_of_versions(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 2 * BATCH + 1)
    assert upkeep.sweep().enqueued == 2 * BATCH + 1
    assert queued(upkeep) == keys
    assert (upkeep.journal.count("standing"), upkeep.journal.count("put")) == (3, 3)


def test_a_shard_of_more_than_one_page_is_read_on(upkeep: UpkeepWorld) -> None:
    keys = of_one_shard(PAGE + 5)
    for number, key in enumerate(keys):
        upkeep.stands(key, due_at=NOW - 1_000 + number)
    assert upkeep.sweep(limit=PAGE + 3).enqueued == PAGE + 3
    assert queued(upkeep) == keys[: PAGE + 3]
    assert [page[0] for page in upkeep.due.pages].count("acme#0") == 2


def test_pages_that_nobody_has_room_for_are_not_read(upkeep: UpkeepWorld) -> None:
    for number, key in enumerate(of_one_shard(PAGE + 5)):
        upkeep.stands(key, due_at=NOW - 1_000 + number)
    assert upkeep.sweep(limit=10).enqueued == 10
    assert len(upkeep.due.pages) == 8


def test_it_ends_before_its_time_does(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 3 * BATCH)
    ends = iter((30.0, 5.0, 4.9))
    assert upkeep.sweep(left=lambda: next(ends)).enqueued == 2 * BATCH
    assert queued(upkeep) == keys[: 2 * BATCH]
    assert upkeep.sweep().enqueued == BATCH
    assert queued(upkeep) == keys


# Whose turn it is.


def minute(upkeep: UpkeepWorld, drained: int, limit: int, dead: str = "") -> int:
    """One sweep, and what the workers do until the next one: how many they refreshed.

    The connections of a `dead` provider fail, and are due again at once.
    """
    upkeep.sweep(EAGER, NEVER, limit=limit)
    done = 0
    for key in queued(upkeep)[:drained]:
        del upkeep.queue.messages[0]
        alive = key.provider != dead
        upkeep.rest(key).due_at = None if alive else int(upkeep.clock()) + 15
        done += alive
    upkeep.clock.advance(60)
    return done


def test_a_dead_provider_does_not_keep_the_others_waiting(upkeep: UpkeepWorld) -> None:
    """Its calls end by their deadline, so the workers drain two thirds of what the limit supposes."""
    stands(upkeep, 400, "never")
    for _ in range(5):
        minute(upkeep, 20, 60, dead="never")
    for _ in range(3):
        stands(upkeep, 20, first=int(upkeep.clock()))
        done = [minute(upkeep, 20, 60, dead="never") for _ in range(3)]
        assert sum(done) == 20, done


def test_one_provider_has_its_share_under_way_and_no_more(upkeep: UpkeepWorld) -> None:
    keys, others = stands(upkeep, 40), stands(upkeep, 3, "never")
    assert upkeep.sweep(EAGER, NEVER, limit=20).enqueued == 13
    assert [key for key in queued(upkeep) if key.provider == "acme"] == keys[:10]
    assert {*others} < {*queued(upkeep)}
    upkeep.clock.advance(60)
    assert upkeep.sweep(EAGER, NEVER, limit=20).enqueued == 0
    later = upkeep.stands(KEY._replace(provider="never"), due_at=NOW + 60)
    assert upkeep.sweep(EAGER, NEVER, limit=20).enqueued == 1
    assert queued(upkeep)[-1] == later


@pytest.mark.parametrize("hints", [0, 1])
@pytest.mark.parametrize("providers", [["acme"], ["acme", "never"]])
def test_a_backlog_is_drained_as_fast_as_the_workers_can(
    upkeep: UpkeepWorld, providers: list[str], hints: int
) -> None:
    """Even if something else waits in the queue, so that it is never empty."""
    for name in providers:
        stands(upkeep, 300 // len(providers), name)
    upkeep.queue.backlog = hints
    assert [minute(upkeep, 30, 60) for _ in range(11)] == [*[30] * 10, 0]


def test_where_the_limit_is_smaller_than_the_number_of_providers_somebody_has_a_turn(
    upkeep: UpkeepWorld,
) -> None:
    stands(upkeep, 2)
    stands(upkeep, 2, "never")
    assert upkeep.sweep(EAGER, NEVER, limit=1).enqueued == 1


# What is on its way is not queued again, and what was lost is.


def test_what_is_on_its_way_is_not_queued_again(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 5)
    upkeep.sweep()
    for _ in range(2):
        upkeep.clock.advance(60)
        assert upkeep.sweep().enqueued == 0
    assert queued(upkeep) == keys
    upkeep.clock.advance(60)
    assert upkeep.sweep().enqueued == 5  # the third firing after it takes them for lost


def test_a_message_that_was_lost_is_queued_again_after_two_and_a_half_minutes(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 2)
    upkeep.sweep()
    del upkeep.queue.messages[0]
    upkeep.queue.backlog = 5
    upkeep.clock.advance(QUEUED_SECONDS)
    assert upkeep.sweep().enqueued == 0
    upkeep.clock.advance(1)
    assert upkeep.sweep().enqueued == 2
    assert sorted(queued(upkeep)) == [keys[0], keys[1], keys[1]]


def test_an_empty_queue_means_that_everything_was_taken(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 2)
    upkeep.sweep()
    upkeep.queue.messages.clear()
    upkeep.clock.advance(60)
    assert upkeep.sweep().enqueued == 2
    assert queued(upkeep) == keys


def test_what_is_due_at_another_time_is_another_matter(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.sweep()
    upkeep.rest().due_at = NOW + 30
    assert upkeep.sweep().enqueued == 1
    assert len(upkeep.queue.messages) == 2


def test_without_a_memory_a_second_message_finds_nothing_to_do(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.sweep()
    upkeep.queued.clear()
    upkeep.sweep()
    assert [upkeep.deliver()[0][1].word for _ in range(2)] == ["refreshed", "fresh"]
    assert len(upkeep.keeper.refreshes) == 1


def test_the_memory_does_not_grow(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 5)
    upkeep.sweep()
    assert {*upkeep.queued.values()} == {NOW}
    upkeep.connections.upkeep.clear()
    upkeep.clock.advance(QUEUED_SECONDS + 1)
    upkeep.queue.backlog = 1
    upkeep.sweep()
    assert upkeep.queued == {}


def test_rows_that_vanished_are_neither_queued_nor_remembered(upkeep: UpkeepWorld) -> None:
    """The index is a moment behind the table."""
    keys = stands(upkeep, 3)
    upkeep.connections.change(keys[1], status=Status.DISCONNECTED)
    del upkeep.connections.rows[keys[2].merchant_id, "acme#shop-9"]
    assert upkeep.sweep().enqueued == 1
    assert queued(upkeep) == keys[:1]
    assert {row.key for row in upkeep.queued} == {keys[0]}


def test_a_batch_of_rows_that_all_vanished_queues_nothing(upkeep: UpkeepWorld) -> None:
    (key,) = stands(upkeep, 1)
    upkeep.connections.change(key, status=Status.NEEDS_RECONNECT)
    assert upkeep.sweep().enqueued == 0
    assert "put" not in upkeep.journal


def test_the_version_of_now_is_ordered_not_that_of_the_index(upkeep: UpkeepWorld) -> None:
    (key,) = stands(upkeep, 1)
    upkeep.connections.change(key, version=9)
    upkeep.sweep()
    assert upkeep.queue.works == [Order(key, Seen(2, 9), Cause.DUE)]


# Circuits.


def opened(upkeep: UpkeepWorld, provider: str = "acme") -> None:
    upkeep.circuits.open(provider, Reason.PROVIDER_MISCONFIGURED, NOW - 60)


def test_of_a_provider_that_refuses_us_only_a_few_are_tried(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 40)
    opened(upkeep)
    done = upkeep.sweep()
    assert (done.enqueued, done.open_circuits) == (TRIALS, ("acme",))
    assert all(isinstance(work, Order) and work.trial for work in upkeep.queue.works)
    shard_of = {key: due_shard("acme", key.merchant_id, key.account_id) for key in keys}
    assert len({shard_of[key] for key in queued(upkeep)}) == TRIALS
    assert keys[0] not in queued(upkeep)  # an odd one that is always the oldest proves nothing


def test_a_provider_whose_circuit_is_closed_is_swept_beside_it(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 40)
    others = stands(upkeep, 40, "never")
    opened(upkeep)
    assert upkeep.sweep(EAGER, NEVER).enqueued == TRIALS + 40
    trials = [work.key.provider for work in upkeep.queue.works if isinstance(work, Order) and work.trial]
    assert trials == ["acme"] * TRIALS
    assert [key for key in queued(upkeep) if key.provider == "never"] == others


def test_a_provider_that_refuses_us_takes_no_share_of_the_others(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 40)
    stands(upkeep, 40, "never")
    opened(upkeep)
    assert upkeep.sweep(EAGER, NEVER, limit=20).enqueued == 20
    assert [key.provider for key in queued(upkeep)].count("acme") == TRIALS


def test_an_open_circuit_of_a_provider_with_nothing_due(upkeep: UpkeepWorld) -> None:
    opened(upkeep)
    assert upkeep.sweep() == Swept(0, 0, {"acme": 0}, 0, 0, ("acme",))


def test_trials_are_not_queued_twice_either(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 40)
    opened(upkeep)
    upkeep.sweep()
    upkeep.clock.advance(60)
    assert upkeep.sweep().enqueued == 0


def test_a_trial_that_succeeds_lets_the_others_through(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 40)
    opened(upkeep)
    upkeep.sweep()
    assert [upkeep.deliver()[0][1].word for _ in range(TRIALS)] == ["refreshed"] * TRIALS
    assert upkeep.circuits.circuits == {}
    assert upkeep.sweep().enqueued == 40 - TRIALS


# What fails.


@pytest.mark.parametrize(
    "break_it",
    [
        lambda upkeep: upkeep.queue.broken.update(depth=DOWN),
        lambda upkeep: upkeep.circuits.broken.update(opened=DOWN),
        lambda upkeep: upkeep.due.broken.update(due=DOWN),
        lambda upkeep: upkeep.due.broken.update(standing=DOWN),
        lambda upkeep: upkeep.queue.broken.update(put=DOWN),
    ],
)
def test_a_fault_is_said_and_the_next_sweep_makes_up_for_it(
    upkeep: UpkeepWorld, break_it: Callable[[UpkeepWorld], None]
) -> None:
    stands(upkeep, 3)
    break_it(upkeep)
    assert refusal(upkeep.sweep).reason is Reason.STORAGE_UNAVAILABLE
    assert (upkeep.queue.messages, upkeep.queued) == ([], {})
    for port in (upkeep.queue, upkeep.circuits, upkeep.due):
        port.broken.clear()
    assert upkeep.sweep().enqueued == 3


def test_what_cannot_be_counted_keeps_nothing_from_being_refreshed(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 3)
    upkeep.flows.broken.update(stranded=DOWN)
    assert refusal(upkeep.sweep).reason is Reason.STORAGE_UNAVAILABLE
    assert queued(upkeep) == keys


def test_what_was_queued_before_a_fault_stays_queued_and_remembered(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, BATCH + 10)
    upkeep.queue.room = BATCH
    assert refusal(upkeep.sweep).reason is Reason.STORAGE_UNAVAILABLE
    assert queued(upkeep) == keys[:BATCH]
    upkeep.queue.room = None
    assert upkeep.sweep().enqueued == 10
    assert queued(upkeep) == keys


def test_the_memory_knows_rows_by_their_time(upkeep: UpkeepWorld) -> None:
    upkeep.stands(due_at=NOW - 42)
    upkeep.sweep()
    assert upkeep.queued == {DueRow(KEY, NOW - 42): NOW}


def test_what_keeps_failing_is_belated_although_it_is_tried_again_later(upkeep: UpkeepWorld) -> None:
    upkeep.stands(due_at=NOW + 30, retry_at=NOW + 30, failing_since=NOW - 700)
    done = upkeep.sweep()
    assert (done.enqueued, done.overdue_seconds, done.overdue) == (1, 700, {"acme": 700})


def test_what_failed_and_then_ended_is_not_belated(upkeep: UpkeepWorld) -> None:
    upkeep.stands(failing_since=NOW - 700, status=Status.NEEDS_RECONNECT, due_at=NOW - 30)
    assert upkeep.sweep(EAGER, NEVER).overdue == {"acme": 30, "never": 0}
