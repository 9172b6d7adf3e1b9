"""Many at once, and everything in any order: one call per connection, no token lost, nothing resurrected."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event, Lock
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring.core.connection import Status
from mooring.core.errors import ALARMS, Failure, Reason, TokenCallFailure
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import DOUBT_SECONDS, LEASE_SECONDS, Answer, Cause, Order, Seen
from tests.fakes.token_keeper import RefreshCall, RotatingProvider
from tests.flows.upkeep_world import (
    BROKEN,
    DOWN,
    KEY,
    MISCONFIGURED,
    SEEN,
    TRANSIENT,
    UpkeepWorld,
    provider_of,
)

ENDED = (Status.UNINSTALLED, Status.DISCONNECTED)


def test_of_fifty_at_once_one_calls_and_the_others_are_told_that_it_does(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)
    told, everybody, lock, words = Event(), Barrier(50), Lock(), list[str]()

    def waits() -> None:
        assert told.wait(10)

    acting.during = waits

    def one(_: int) -> None:
        everybody.wait(timeout=10)
        answer = upkeep.refresh(Order(KEY, SEEN, Cause.READ))
        with lock:
            words.append(answer.word)
            if len(words) == 49:
                told.set()

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(one, range(50)))
    assert words == ["busy"] * 49 + ["refreshed"]
    assert (acting.calls, acting.most_at_once, upkeep.row().version) == (1, 1, 6)


def test_whatever_the_order_fifty_readers_of_one_version_make_one_call(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)
    causes = [cause for cause in Cause for _ in range(10)]
    everybody = Barrier(50)

    def one(cause: Cause) -> str:
        everybody.wait(timeout=10)
        return upkeep.refresh(Order(KEY, SEEN, cause)).word

    with ThreadPoolExecutor(50) as pool:
        words = list(pool.map(one, causes))
    assert words.count("refreshed") == 1
    assert {*words} <= {"refreshed", "busy", "fresh"}
    assert (acting.calls, upkeep.row().version) == (1, 6)


class Grants:
    """What a provider granted one merchant, one grant per code exchange; its tokens are named after it."""

    def __init__(self, *, rotates: bool, grace: int) -> None:
        self._rotates, self._grace = rotates, grace
        self.all: dict[str, RotatingProvider] = {}
        self.refusals: dict[str, int] = {}
        self.cut: set[str] = set()
        self.breaking = False

    def grant(self) -> str:
        """A new grant's refresh token."""
        name = f"canary{len(self.all) + 1}"
        self.all[name] = RotatingProvider("first", rotates=self._rotates, grace=self._grace)
        self.refusals[name] = 0
        return f"{name}:first"

    def refresh(self, call: RefreshCall) -> TokenSet:
        """Answer a refresh with the tokens of its grant."""
        name, _, token = call.refresh_token.partition(":")
        assert name not in self.cut, "a token of an ended generation was used"
        try:
            tokens = self.all[name].refresh(call._replace(refresh_token=token))
        except TokenCallFailure as failure:
            self.refusals[name] += failure.reason is Reason.GRANT_REFUSED
            raise
        if self.breaking:  # issued, and the answer is an error of a server
            raise BROKEN
        again = tokens.refresh_token and f"{name}:{tokens.refresh_token}"
        return tokens._replace(access_token=f"{name}:{tokens.access_token}", refresh_token=again)

    @property
    def newest(self) -> tuple[str, RotatingProvider]:
        """The grant of the latest exchange."""
        return list(self.all.items())[-1]


class Anything(RuleBasedStateMachine):
    """One connection, and whatever may happen to it in any order."""

    @initialize(rotates=st.booleans(), grace=st.sampled_from([0, 60]))
    def begin(self, *, rotates: bool, grace: int) -> None:
        self.world, self.grants = UpkeepWorld(), Grants(rotates=rotates, grace=grace)
        self.world.keeper.tokens = self.grants.refresh
        self.world.stands(refresh=self.grants.grant())
        self.rung: set[str] = set()
        self.overslept = False
        self.ended: set[int] = set()
        self.seen = SEEN

    @rule(seconds=st.sampled_from([1, 16, 46, 121, 300]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @rule(
        cause=st.sampled_from(Cause),
        during=st.sampled_from(
            ["nothing"] * 3 + ["disconnect", "uninstall", "reconnect", "oversleep", "lose", "break"]
        ),
        failure=st.sampled_from([None, None, None, BROKEN, TRANSIENT, MISCONFIGURED]),
        broken=st.sampled_from(["", "", "table", "table and queue"]),
    )
    def refresh(self, cause: Cause, during: str, failure: Failure | None, broken: str) -> None:
        name, acting = self.grants.newest

        def happens() -> None:
            acting.during = lambda: None
            if during == "lose":
                acting.losing = 1
            elif during == "break":
                self.grants.breaking = True
            elif during != "nothing":
                getattr(self, during)()
            if broken:
                self.world.leases.broken |= dict.fromkeys(("store", "put_off", "lose"), DOWN)
            if broken == "table and queue":
                self.world.recovery.broken["put_refreshed"] = DOWN
            if failure is not None:
                raise failure

        acting.during = happens
        self.ask(cause, name)
        acting.during, acting.losing, self.grants.breaking = (lambda: None), 0, False
        self.world.leases.broken.clear()
        self.world.recovery.broken.clear()

    @rule()
    def recover(self) -> None:
        with suppress(Failure):
            self.world.recover()

    @rule()
    def disconnect(self) -> None:
        if self.world.endings.disconnect(KEY, int(self.world.clock())):
            self.end()

    @rule(ago=st.sampled_from([0, 100, 10_000]))
    def uninstall(self, ago: int = 0) -> None:
        now = int(self.world.clock())
        if self.world.endings.uninstall(KEY, now - ago, now):
            self.end()

    @rule()
    def reconnect(self) -> None:
        self.world.clock.advance(3)  # an event of the same second would win
        name, _ = self.grants.newest
        self.world.connections.connect(*self.world.exchanged(refresh=self.grants.grant()))
        self.grants.cut.add(name)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()
        self.deliver()

    @rule()
    def merchant_takes_it_back(self) -> None:
        self.grants.newest[1].end()

    @invariant()
    def no_token_is_lost_quietly(self) -> None:
        if not hasattr(self, "world"):
            return
        name, acting = self.grants.newest
        row, rest = self.world.row(), self.world.rest()
        if acting.ended or row.status in ENDED or name in self.rung or rest.attempts:
            return
        newest = f"{name}:{acting.refresh_token}"
        queued = [each.fresh.refresh for each in self.world.recovery.refreshed if each.fresh.refresh]
        at_hand = [self.world.opened(KEY, "refresh", each) for each in queued]
        assert newest in [*at_hand, self.world.tokens()[1]]

    @invariant()
    def nothing_goes_back_or_comes_back(self) -> None:
        if not hasattr(self, "world"):
            return
        row = self.world.row()
        seen = Seen(row.generation, row.version)
        assert seen >= self.seen
        self.seen = seen
        if row.generation in self.ended:
            assert row.status in ENDED
        if row.status in ENDED:
            assert self.world.tokens() == (None, None)
            assert self.world.rest().previous_refresh is None

    @invariant()
    def nobody_dies_falsely(self) -> None:
        if not hasattr(self, "world"):
            return
        name, _ = self.grants.newest
        if self.world.row().status is Status.NEEDS_RECONNECT:
            assert self.grants.refusals[name] > 0

    @invariant()
    def one_call_at_a_time(self) -> None:
        if hasattr(self, "world") and not self.overslept:
            assert max(each.most_at_once for each in self.grants.all.values()) <= 1

    def teardown(self) -> None:
        """The faults are over: within five minutes it is fresh, or it was given up for a reason."""
        if not hasattr(self, "world"):
            return
        for _ in range(5):
            self.recover()
            self.sweep()
            self.world.clock.advance(60)
        row = self.world.row()
        assert row.status is not Status.ACTIVE or (row.expires_at or 0) > self.world.clock()
        self.no_token_is_lost_quietly()
        self.nobody_dies_falsely()
        assert [leak for leak in self.world.leaks() if leak.startswith("canary")] == []

    # What the rules are made of.

    def ask(self, cause: Cause, name: str, *, trial: bool = False) -> Answer | None:
        """Refresh, and hear whether it rang for this grant."""
        order = Order(KEY, None if cause is not Cause.DUE else self.seen_now(), cause, trial)
        answer = None
        try:
            answer = self.world.refresh(order, seconds=1_000)
            rang = answer.word == "failed" and answer.reason in ALARMS
        except Failure as failure:
            rang = failure.alarm is not None
        if rang:
            self.rung.add(name)
        return answer

    def deliver(self) -> None:
        while self.world.queue.messages:
            message = self.world.queue.messages.pop(0)
            self.world.clock.advance(message.delay)
            assert isinstance(message.work, Order)
            self.ask(message.work.cause, self.grants.newest[0], trial=message.work.trial)

    def oversleep(self) -> None:
        """In the middle of a call the process is stopped, and somebody else's turn comes."""
        self.overslept = True
        self.world.clock.advance(LEASE_SECONDS + DOUBT_SECONDS)
        self.ask(Cause.READ, self.grants.newest[0])

    def end(self) -> None:
        self.ended.add(self.world.row().generation)
        self.grants.cut.add(self.grants.newest[0])

    def seen_now(self) -> Seen:
        row = self.world.row()
        return Seen(row.generation, row.version)


TestAnything: Any = Anything.TestCase
TestAnything.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
