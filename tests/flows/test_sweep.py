"""The sweep: fair shares, never more than the workers drain, nothing queued twice, nothing forgotten."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import batched

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.provider import Provider
from mooring.core.schedule import due_shard, shards
from mooring.core.upkeep import Cause, Delayed, DuePage, DueRow, Hint, Key, Order, Seen, Standing
from mooring.flows.shares import RAMP_FIRST, fair_shares
from mooring.flows.sweep import BATCH, PAGE, QUEUED_SECONDS, TRIALS, Swept
from tests.core.signing import NOW
from tests.fakes.due import FakeDueIndex
from tests.flows.upkeep_world import DOWN, EAGER, GRACE, IDLE, KEY, NEVER, SEEN, UpkeepWorld
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


def shard_of(key: Key) -> str:
    return due_shard(key.provider, key.merchant_id, key.account_id)


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
    assert upkeep.journal == ["depth", "known", *["due"] * 16, "stranded"]


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
    found = queued(upkeep)
    assert [key for key in found if key.provider == "acme"] == first
    assert [key for key in found if key.provider == "never"] == second
    assert all(
        {one.provider, other.provider} == {"acme", "never"}
        for one, other in batched(found[:40], 2, strict=True)
    )


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


def hinted(upkeep: UpkeepWorld, count: int) -> None:
    """So many hints that wait for their time, as whoever forges them can leave in the queue."""
    hints = (Hint("acme", f"shop-{number}", again=True) for number in range(count))
    upkeep.queue.messages += [Delayed(hint, 600) for hint in hints]


@pytest.mark.parametrize("providers", [[EAGER], [EAGER, NEVER]])
def test_what_others_delay_takes_no_room(upkeep: UpkeepWorld, providers: list[Provider]) -> None:
    """Forged hints cost a request each; they may not starve what is due, neither at once nor later."""
    stands(upkeep, 30)
    hinted(upkeep, 500)
    done = []
    for _ in range(4):
        done.append(upkeep.sweep(*providers, limit=10))
        for key in queued(upkeep):
            upkeep.rest(key).due_at = None
        upkeep.queue.messages = [each for each in upkeep.queue.messages if not isinstance(each.work, Order)]
        passes(upkeep)
    room = 10 // len(providers)
    assert [each.enqueued for each in done] == ([10, 10, 10, 0] if room == 10 else [5] * 4)
    assert {each.queue_depth for each in done} == {500}, "it is told that they are there"


def test_what_the_sweep_itself_delayed_takes_room_until_it_is_due(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 10, first=NOW + 50)
    hinted(upkeep, 500)
    assert upkeep.sweep(limit=15).enqueued == 10
    others = [upkeep.stands(Key(f"late-{number}", "acme", "shop-9"), due_at=NOW + 70) for number in range(20)]
    passes(upkeep, 30)
    done = upkeep.sweep(limit=15)
    assert (done.enqueued, done.queue_depth) == (5, 510)
    assert {*queued(upkeep)[10:]} < {*others}


def test_what_is_delayed_by_others_keeps_nothing_in_memory(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 2)
    upkeep.sweep()
    upkeep.queue.messages.clear()
    hinted(upkeep, 5)
    upkeep.clock.advance(60)
    assert upkeep.sweep().enqueued == 2, "all that is ready was taken"
    assert queued(upkeep) == keys


def test_what_is_delayed_is_remembered_until_it_is_due(upkeep: UpkeepWorld) -> None:
    (key,) = stands(upkeep, 1, first=NOW + 60)
    assert upkeep.sweep().enqueued == 1
    upkeep.clock.advance(60)
    assert upkeep.sweep().enqueued == 0, "it may be delayed for a moment yet"
    assert queued(upkeep) == [key]


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


def passes(upkeep: UpkeepWorld, seconds: int = 60) -> None:
    """Let time pass, here and in the queue."""
    upkeep.clock.advance(seconds)
    upkeep.queue.advance(seconds)


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
    passes(upkeep)
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
    assert upkeep.sweep(EAGER, NEVER, limit=20).enqueued == 20
    assert [key for key in queued(upkeep) if key.provider == "acme"] == keys[:17], "what the other leaves"
    assert {*others} < {*queued(upkeep)}
    upkeep.clock.advance(60)
    assert upkeep.sweep(EAGER, NEVER, limit=20).enqueued == 0
    del upkeep.queue.messages[:6]  # three of each, and nobody heard what became of them
    later = upkeep.stands(KEY._replace(provider="never"), due_at=NOW + 60)
    upkeep.sweep(EAGER, NEVER, limit=20)
    assert later in queued(upkeep)
    assert len(upkeep.queue.messages) <= 20


@pytest.mark.parametrize("hints", [0, 1])
@pytest.mark.parametrize("providers", [["acme"], ["acme", "never"]])
def test_a_backlog_is_drained_as_fast_as_the_workers_can(
    upkeep: UpkeepWorld, providers: list[str], hints: int
) -> None:
    """Even if something else waits in the queue, so that it is never empty."""
    for name in providers:
        stands(upkeep, 300 // len(providers), name)
    upkeep.queue.backlog = hints
    done = [minute(upkeep, 30, 60) for _ in range(11)]
    # A hint takes room from all; of the one that is busy alone the share ends where a minute does.
    missing = hints if len(providers) == 1 else 0
    assert done == [*[30 - missing] * 10, 10 * missing]


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
    heads = {shard_of(key): key for key in reversed(keys)}
    assert len({shard_of(key) for key in queued(upkeep)}) == TRIALS
    assert {*queued(upkeep)} < {*heads.values()}, "the oldest of its shard"


def test_each_minute_other_shards_are_tried(upkeep: UpkeepWorld) -> None:
    """Or a few odd connections, which fail whatever the provider does, would keep a circuit open."""
    keys = stands(upkeep, 80)
    all_shards = {shard_of(key) for key in keys}
    assert len(all_shards) == len(shards("acme"))
    opened(upkeep)
    tried: list[str] = []
    for _ in range(3):
        assert upkeep.sweep().enqueued == TRIALS
        tried += [shard_of(key) for key in queued(upkeep)]
        upkeep.queue.messages.clear()
        upkeep.clock.advance(60)
    assert {*tried} == all_shards


@pytest.mark.parametrize("count", [1, 2])
def test_where_little_is_due_all_of_it_is_tried_each_minute(upkeep: UpkeepWorld, count: int) -> None:
    stands(upkeep, count)
    opened(upkeep)
    for _ in range(4):
        assert upkeep.sweep().enqueued == count
        upkeep.queue.messages.clear()
        upkeep.clock.advance(60)


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
    assert upkeep.sweep(EAGER, NEVER, limit=20).enqueued == TRIALS + 10
    assert [key.provider for key in queued(upkeep)].count("acme") == TRIALS


def test_an_open_circuit_of_a_provider_with_nothing_due(upkeep: UpkeepWorld) -> None:
    opened(upkeep)
    assert upkeep.sweep() == Swept(0, 0, {"acme": 0}, 0, 0, ("acme",), ("acme",))


def test_trials_are_not_queued_twice_either(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 40)
    opened(upkeep)
    for _ in range(2):
        assert upkeep.sweep().enqueued == TRIALS
        upkeep.clock.advance(60)
    assert len({*queued(upkeep)}) == 2 * TRIALS


def test_of_a_shard_whose_oldest_is_under_way_the_next_one_is_tried(upkeep: UpkeepWorld) -> None:
    first, second = of_one_shard(2)
    upkeep.stands(first, due_at=NOW - 20)
    upkeep.stands(second, due_at=NOW - 10)
    opened(upkeep)
    found = []
    for _ in range(3):
        upkeep.sweep()
        found.append(queued(upkeep))
        upkeep.clock.advance(60)
    assert found == [[first], [first, second], [first, second]]


def test_a_trial_that_succeeds_lets_the_others_through(upkeep: UpkeepWorld) -> None:
    stands(upkeep, RAMP_FIRST + TRIALS + 20)
    opened(upkeep)
    upkeep.sweep()
    assert [upkeep.deliver()[0][1].word for _ in range(TRIALS)] == ["refreshed"] * TRIALS
    assert not upkeep.circuits.circuits["acme"].is_open
    assert upkeep.sweep().enqueued == RAMP_FIRST
    upkeep.clock.advance(60)
    assert upkeep.sweep().enqueued == 20


@pytest.mark.parametrize(("early", "trials"), [(1, 0), (0, TRIALS), (-1, TRIALS)])
def test_before_the_time_that_a_provider_asked_for_not_even_trials_go_out(
    upkeep: UpkeepWorld, early: int, trials: int
) -> None:
    stands(upkeep, 40)
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW - 60, NOW + early)
    done = upkeep.sweep()
    assert (done.enqueued, done.open_circuits, done.refusing) == (trials, ("acme",), ())


def test_only_whoever_refuses_us_is_told_apart(upkeep: UpkeepWorld) -> None:
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW)
    upkeep.circuits.open("never", Reason.PROVIDER_MISCONFIGURED, NOW)
    done = upkeep.sweep(EAGER, NEVER)
    assert (done.open_circuits, done.refusing) == (("acme", "never"), ("never",))


# After a circuit: the share grows.


def closed(upkeep: UpkeepWorld, ago: int = 0, provider: str = "acme") -> None:
    now = int(upkeep.clock())
    upkeep.circuits.open(provider, Reason.PROVIDER_UNAVAILABLE, now - 3_600)
    upkeep.circuits.close(provider, now - ago)


def test_what_waited_goes_out_in_growing_parts(upkeep: UpkeepWorld) -> None:
    """A hundred in the first minute, then twice as many each minute, until the fair share is met."""
    stands(upkeep, 1_600, first=NOW - 5_000)
    closed(upkeep)
    sent = []
    for _ in range(5):
        sent.append(upkeep.sweep(limit=500).enqueued)
        for key in queued(upkeep):
            upkeep.rest(key).due_at = None
        upkeep.queue.messages.clear()
        upkeep.clock.advance(60)
    assert sent == [100, 200, 400, 500, 400]


@pytest.mark.parametrize(
    ("ago", "enqueued"), [(0, 100), (59, 100), (60, 200), (119, 200), (120, 400), (179, 400), (180, 450)]
)
def test_the_share_doubles_with_every_minute(upkeep: UpkeepWorld, ago: int, enqueued: int) -> None:
    stands(upkeep, 450)
    closed(upkeep, ago)
    assert upkeep.sweep().enqueued == enqueued
    assert not any(each.work.trial for each in upkeep.queue.messages if isinstance(each.work, Order))


def test_a_clock_that_is_behind_begins_at_the_beginning(upkeep: UpkeepWorld) -> None:
    stands(upkeep, RAMP_FIRST + 20)
    closed(upkeep, -5)
    assert upkeep.sweep().enqueued == RAMP_FIRST


@pytest.mark.parametrize("ago", [3_599, 3_600, 86_400])
def test_after_an_hour_nothing_is_remembered_and_nothing_is_held(upkeep: UpkeepWorld, ago: int) -> None:
    stands(upkeep, 150)
    closed(upkeep, ago)
    assert upkeep.sweep().enqueued == 150


def test_the_others_do_not_wait_while_one_grows(upkeep: UpkeepWorld) -> None:
    stands(upkeep, RAMP_FIRST + 50)
    others = stands(upkeep, 100, "never")
    closed(upkeep)
    assert upkeep.sweep(EAGER, NEVER).enqueued == RAMP_FIRST + 100
    assert [key for key in queued(upkeep) if key.provider == "never"] == others


# One share stays free, and what one does not need goes to the others.


@pytest.mark.parametrize(
    ("due", "limit", "expected"),
    [
        ({"acme": 100, "never": 5}, 60, {"acme": 55, "never": 5}),
        ({"acme": 100, "never": 5, "grace": 5}, 60, {"acme": 50, "never": 5, "grace": 5}),
        ({"acme": 100, "never": 100, "grace": 10}, 60, {"acme": 25, "never": 25, "grace": 10}),
        ({"acme": 20, "never": 20, "grace": 20}, 60, {"acme": 20, "never": 20, "grace": 20}),
        ({"acme": 5, "never": 5}, 60, {"acme": 5, "never": 5}),
    ],
)
def test_what_one_does_not_need_goes_to_the_others(
    upkeep: UpkeepWorld, due: dict[str, int], limit: int, expected: dict[str, int]
) -> None:
    for name, count in due.items():
        stands(upkeep, count, name)
    upkeep.sweep(*(upkeep.providers[name] for name in due), limit=limit)
    assert Counter(key.provider for key in queued(upkeep)) == expected


@given(
    due=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    sent=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    more=st.booleans(),
    limit=st.integers(1, 120),
    depth=st.integers(0, 120),
)
def test_shares_are_fair_whatever_waits(
    due: list[int], sent: list[int], more: bool, limit: int, depth: int
) -> None:
    """Nobody has less than an even part who wants it, and nobody more than is due; all of it fits."""
    names = [f"p-{number}" for number in range(len(due))]
    rows = {name: [DueRow(Key("m", name, f"a-{each}"), NOW) for each in range(40)] for name in names}
    pages = {
        name: [DuePage(tuple(rows[name][:count]), {} if more and count == 40 else None)]
        for name, count in zip(names, due, strict=True)
    }
    queued = {row: NOW for name, count in zip(names, sent, strict=False) for row in rows[name][:count]}
    held = min(depth, len(queued))
    shares = fair_shares(pages, {}, queued, limit=limit, depth=depth, now=NOW)
    assert {*shares} == {
        name for name in names if pages[name][0].rows or any(r.key.provider == name for r in queued)
    }
    room = limit - max(0, depth - len(queued))
    assert sum(max(0, share) for share in shares.values()) <= max(0, room) + len(names)
    for name, share in shares.items():
        endless = pages[name][0].next is not None
        assert endless or share <= due[names.index(name)]
        even = max(1, room // (len(shares) + (len(names) > len(shares))))
        mine = sum(row.key.provider == name for row in queued)
        assert endless or share >= min(due[names.index(name)], even - min(mine, held))


@pytest.mark.parametrize(
    ("enabled", "busy", "enqueued"),
    [
        ([EAGER], ["acme"], 60),
        ([EAGER, NEVER], ["acme"], 30),
        ([EAGER, NEVER], ["acme", "never"], 60),
        ([EAGER, NEVER, GRACE], ["acme"], 30),
        ([EAGER, NEVER, GRACE], ["acme", "never"], 40),
        ([EAGER, NEVER, GRACE], ["acme", "never", "grace"], 60),
        ([EAGER, NEVER, GRACE, IDLE], [], 0),
    ],
)
def test_one_share_stays_free_for_a_provider_that_has_nothing_due_yet(
    upkeep: UpkeepWorld, enabled: list[Provider], busy: list[str], enqueued: int
) -> None:
    for name in busy:
        stands(upkeep, 100, name)
    assert upkeep.sweep(*enabled, limit=60).enqueued == enqueued


def test_who_falls_due_next_finds_room_at_once(upkeep: UpkeepWorld) -> None:
    stands(upkeep, 400)
    assert upkeep.sweep(EAGER, NEVER, limit=60).enqueued == 30
    upkeep.clock.advance(60)
    late = stands(upkeep, 25, "never", first=int(upkeep.clock()))
    upkeep.sweep(EAGER, NEVER, limit=60)
    assert [key for key in queued(upkeep) if key.provider == "never"] == late


@pytest.mark.parametrize("others", [[NEVER], [NEVER, GRACE, IDLE]])
def test_for_twenty_minutes_a_fast_provider_waits_for_no_dead_one(
    upkeep: UpkeepWorld, others: list[Provider]
) -> None:
    """The dead one has hundreds due and its calls take all of their time; the fast one gets ten a minute."""
    stands(upkeep, 600, "never")
    fast: list[Key] = []
    due: list[int | None] = []
    oldest: list[int] = []
    for number in range(20):
        now = int(upkeep.clock())
        new = [Key(f"f-{number}-{each}", "acme", "shop-9") for each in range(10)]
        fast += [upkeep.stands(key, due_at=now + place) for place, key in enumerate(new)]
        upkeep.sweep(EAGER, *others, limit=60)
        for key in queued(upkeep)[:20]:  # a third of what the limit supposes, because of the dead one
            del upkeep.queue.messages[0]
            upkeep.rest(key).due_at = None if key.provider == "acme" else now + 15
        passes(upkeep)
        due = [upkeep.rest(key).due_at for key in fast]
        oldest.append(max((int(upkeep.clock()) - at for at in due if at is not None), default=0))
    assert len(fast) == 200
    assert max(oldest) <= 120, oldest
    assert sum(at is None for at in due) >= 180


# What fails.


@pytest.mark.parametrize(
    "break_it",
    [
        lambda upkeep: upkeep.queue.broken.update(depth=DOWN),
        lambda upkeep: upkeep.circuits.broken.update(known=DOWN),
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


class PartlyDown(FakeDueIndex):
    """A due index of which some shards cannot be read, be it from their second page on, and some keys."""

    dead: frozenset[str] = frozenset()
    dead_pages: frozenset[str] = frozenset()
    dead_key: Key | None = None

    def due(self, shard: str, until: int, limit: int, start: Mapping[str, object] | None = None) -> DuePage:
        """One page of a shard, if that can be read."""
        if shard in self.dead or (start is not None and shard in self.dead_pages):
            raise Failure(Reason.STORAGE_UNAVAILABLE, "InternalServerError")
        return super().due(shard, until, limit, start)

    def standing(self, keys: Sequence[Key]) -> Mapping[Key, Standing | Failure]:
        """How they stand, if that can be read."""
        if self.dead_key in keys:
            raise Failure(Reason.STORAGE_UNAVAILABLE, "ThrottlingException")
        return super().standing(keys)


def partly_down(upkeep: UpkeepWorld) -> PartlyDown:
    index = PartlyDown(upkeep.connections, upkeep.journal)
    upkeep.due = index
    return index


def test_a_shard_that_cannot_be_read_keeps_no_other_waiting(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 80)
    index = partly_down(upkeep)
    index.dead = frozenset({"acme#0", "acme#5"})
    others = [key for key in keys if shard_of(key) not in index.dead]
    failure = refusal(lambda: upkeep.sweep(EAGER, NEVER))
    told = f"InternalServerError: 2 parts failed, {len(others)} queued"
    assert (failure.reason, failure.detail) == (Reason.STORAGE_UNAVAILABLE, told)
    assert queued(upkeep) == others
    assert {row.key for row in upkeep.queued} == {*others}
    index.dead = frozenset()
    assert upkeep.sweep(EAGER, NEVER).enqueued == len(keys) - len(others)
    assert sorted(queued(upkeep)) == sorted(keys), "each once"


def test_a_second_page_that_cannot_be_read_ends_its_shard_alone(upkeep: UpkeepWorld) -> None:
    keys = of_one_shard(PAGE + 5)
    for number, key in enumerate(keys):
        upkeep.stands(key, due_at=NOW - 1_000 + number)
    others = stands(upkeep, 10, "never", first=NOW - 20)
    partly_down(upkeep).dead_pages = frozenset({"acme#0"})
    failure = refusal(lambda: upkeep.sweep(EAGER, NEVER))
    assert failure.detail == f"InternalServerError: 1 parts failed, {PAGE + 10} queued"
    assert {*queued(upkeep)} == {*keys[:PAGE], *others}


def test_a_batch_that_cannot_be_queued_keeps_no_other_waiting(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, 3 * BATCH)
    index = partly_down(upkeep)
    index.dead_key = keys[BATCH + 7]
    failure = refusal(upkeep.sweep)
    assert failure.detail == f"ThrottlingException: 1 parts failed, {2 * BATCH} queued"
    assert queued(upkeep) == [*keys[:BATCH], *keys[2 * BATCH :]]
    index.dead_key = None
    assert upkeep.sweep().enqueued == BATCH
    assert sorted(queued(upkeep)) == sorted(keys)


def test_a_row_that_cannot_be_read_keeps_no_other_waiting(upkeep: UpkeepWorld) -> None:
    keys = stands(upkeep, BATCH + 10)
    odd = {keys[3], keys[50], keys[BATCH + 2]}
    upkeep.due.spoiled |= odd
    failure = refusal(upkeep.sweep)
    told = f"a stored row has no usable attribute generation: 3 parts failed, {BATCH + 7} queued"
    assert (failure.reason, failure.detail) == (Reason.INTERNAL, told)
    assert queued(upkeep) == [key for key in keys if key not in odd]
    upkeep.due.spoiled.clear()
    assert upkeep.sweep().enqueued == len(odd), "it is tried again with every sweep"


def test_what_others_queued_lessens_every_share(upkeep: UpkeepWorld) -> None:
    """Hints, or messages that wait for longer than is remembered: they take the workers' time, too."""
    stands(upkeep, 100)
    stands(upkeep, 100, "never")
    upkeep.queue.backlog = 40
    assert upkeep.sweep(EAGER, NEVER, limit=60).enqueued == 20
    assert Counter(key.provider for key in queued(upkeep)) == {"acme": 10, "never": 10}


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
