"""Everything that may happen to many connections, in any order."""

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mooring.adapters.transitions import CLOCK_SECONDS
from mooring.core.connection import Status
from mooring.core.upkeep import Cause, Key, Order, Seen
from tests.faults.any_order.back_channel import HEARD, UNHEARD
from tests.faults.any_order.deployment import Deployment
from tests.faults.any_order.process import DEAF, LOST, Process
from tests.faults.any_order.provider import LIFETIME
from tests.faults.any_order.shops import KEYS, Removal

MOST_STOPPED, MOST_ARRIVALS = 3, 4
TICK_SECONDS = 10
WITHIN_SECONDS = 300
"""I7: so long after the last fault every living connection is fresh."""
SKEWED_SECONDS = 900
"""Where clocks were off by ten minutes, what was put off by them is put off for so much longer."""

CALL_POINTS = ("before call", "answered")
REFRESH_POINTS = (
    *CALL_POINTS, *CALL_POINTS, "after lease", "before store", "after store", "before put_refreshed",
    "after put_refreshed", "before put_off", "after put_off", "before lose", "after lose",
)  # fmt: skip
ENDING_POINTS = (
    "after probing", "before refused", "after refused", "before uninstall", "after bury", "after put",
    "before disconnect", "after disconnect",
)  # fmt: skip
CONNECT_POINTS = ("after burn", *CALL_POINTS, "before connect", "after connect", "before put", "after put")

STORE_FAULTS: tuple[Mapping[str, str], ...] = (
    {"store": DEAF},
    {"store": LOST},
    {"store": DEAF, "put_refreshed": DEAF},
    {"store": LOST, "put_refreshed": LOST},
    {"store": DEAF, "put_refreshed": LOST},
    {"lease": LOST},
    {"lease": DEAF},
    {"put_off": DEAF},
    {"put_off": LOST},
    {"lose": DEAF},
    {"lose": LOST},
    {"lose": LOST, "put_off": DEAF},
    {"recover": LOST},
    {"recover": DEAF},
    {"probing": LOST, "put": DEAF},
    {"refused": LOST},
)
CONNECT_FAULTS: tuple[Mapping[str, str], ...] = (
    {"connect": DEAF},
    {"connect": LOST},
    {"connect": DEAF, "put": DEAF},
    {"connect": LOST, "put": LOST},
    {"burn": DEAF},
    {"burn": LOST},
)
PROVIDER_FAULTS: tuple[Mapping[str, str], ...] = tuple({"provider": name} for name in (*UNHEARD, *HEARD))


def plans(*faults: Mapping[str, str]) -> st.SearchStrategy[Mapping[str, str]]:
    """Often nothing goes wrong, or one thing, seldom two."""
    nothing: list[Mapping[str, str]] = [{}] * len(faults)
    one = st.sampled_from([*nothing, *faults, *PROVIDER_FAULTS, *PROVIDER_FAULTS])
    return st.one_of(one, one, one, st.builds(lambda first, second: {**first, **second}, one, one))


def untils(*points: str) -> st.SearchStrategy[str]:
    """Half of all processes go through without a stop."""
    return st.sampled_from([*[""] * len(points), *points])


ENDINGS = (
    "disconnect",
    "removed",
    "removed unsaid",
    "notice again",
    "notice again",
    "forged",
    "forged",
    "takes back",
)
AGAIN = st.sampled_from([False, True, True])
CLOCKS = st.sampled_from([(0,), (0,), (0, 4, -4), (0, 0, 600), (0, 0, -600)])
WHICH = st.integers(0, 7)
AT_ONCE = st.booleans()


class AnyOrder(RuleBasedStateMachine):
    """Some connections of some merchants at some providers, and all that can happen to them."""

    deployment: Deployment

    def deploy(self, keys: tuple[Key, ...]) -> Deployment:
        """What it happens to."""
        return Deployment(keys)

    @initialize(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True), clocks=CLOCKS)
    def begin(self, keys: list[Key], clocks: tuple[int, ...]) -> None:
        self.deployment = self.deploy(tuple(sorted(keys)))
        self.clocks = clocks
        self.deployment.ledger.clocks_agree = not self.clocks_differ
        for key in self.deployment.keys:
            self.deployment.come_back(self.deployment.process(), self.deployment.arrive(key))

    @property
    def clocks_differ(self) -> bool:
        """By more than Mooring allows for."""
        return max(map(abs, self.clocks)) > CLOCK_SECONDS

    # what may happen

    @rule(
        seconds=st.sampled_from([1, 5, 16, 31, 46, 61, 121, 151, 300, 900, 1_801, 3_600, 90_000]),
        sweeps=AT_ONCE, clock=WHICH,
    )  # fmt: skip
    def time_passes(self, seconds: int, sweeps: bool, clock: int) -> None:
        self.deployment.clock.advance(seconds)
        if sweeps:
            self.deployment.sweep(self.clocks[clock % len(self.clocks)])

    @rule(
        which=WHICH, cause=st.sampled_from(Cause), seen=st.sampled_from(["now", "now", "any", "old"]),
        plan=plans(*STORE_FAULTS), until=untils(*REFRESH_POINTS), dies=AT_ONCE, clock=WHICH,
    )  # fmt: skip
    def refresh(
        self, which: int, cause: Cause, seen: str, plan: Mapping[str, str], until: str, dies: bool, clock: int
    ) -> None:
        key, process = self.key(which), self.process(plan, clock)
        if cause is Cause.UNAUTHORIZED and key.provider == "silent" and not self.truly_refused(key):
            return  # three such reports are believed there, so they had better be true
        order = Order(key, self.seen(key, seen), cause)
        self.deployment.refresh(process, order, self.until(until))
        self.then(process, dies)

    @rule(
        which=WHICH, plan=plans(*STORE_FAULTS), until=st.sampled_from(REFRESH_POINTS), dies=AT_ONCE,
        pause=st.sampled_from([0, 1, 31, 46, 61, 121, 151]), others=st.integers(1, 4),
    )  # fmt: skip
    def one_after_another(
        self, which: int, plan: Mapping[str, str], until: str, dies: bool, pause: int, others: int
    ) -> None:
        key, first = self.key(which), self.process(plan)
        self.deployment.refresh(first, Order(key, None, Cause.ASKED), self.until(until))
        self.then(first, dies)
        for _ in range(others):
            self.deployment.clock.advance(pause)
            self.deployment.refresh(self.process({}), Order(key, None, Cause.ASKED))

    @rule(
        which=WHICH, min_ttl=st.sampled_from([0, 60, 1_700]), plan=plans(*STORE_FAULTS),
        until=untils(*REFRESH_POINTS), dies=AT_ONCE, clock=WHICH,
    )  # fmt: skip
    def read(
        self, which: int, min_ttl: int, plan: Mapping[str, str], until: str, dies: bool, clock: int
    ) -> None:
        process = self.process(plan, clock)
        self.deployment.read(process, self.key(which), min_ttl, self.until(until))
        self.then(process, dies)

    @rule(which=WHICH, plan=plans(*CONNECT_FAULTS), until=untils(*CONNECT_POINTS), dies=AT_ONCE, again=AGAIN)
    def connect(self, which: int, plan: Mapping[str, str], until: str, dies: bool, again: bool) -> None:
        arrivals, process = self.deployment.arrivals[-MOST_ARRIVALS:], self.process(plan)
        self.deployment.clock.advance(2)  # an uninstall of the same second would win
        arrival = arrivals[which % len(arrivals)] if again else self.deployment.arrive(self.key(which))
        self.deployment.come_back(process, arrival, self.until(until))
        self.then(process, dies)

    @rule(which=WHICH, what=st.sampled_from(ENDINGS), until=untils(*ENDING_POINTS), dies=AT_ONCE)
    def something_ends(self, which: int, what: str, until: str, dies: bool) -> None:
        deployment, key, process = self.deployment, self.key(which), self.process({})
        if what == "disconnect":
            deployment.disconnect(process, key, self.until(until))
        elif what == "takes back":
            deployment.providers.take_back(key)
        elif what == "forged":
            forged = Removal(key.provider, key.account_id, int(deployment.clock()))
            deployment.notify(process, forged, self.until(until), forged=True)
        elif what == "notice again" and deployment.removals:
            removals = deployment.removals
            deployment.notify(process, removals[which % len(removals)], self.until(until))
        elif what in ("removed", "removed unsaid"):
            removal = deployment.remove(key)
            if what == "removed":
                deployment.notify(process, removal, self.until(until))
        self.then(process, dies)

    @rule(
        which=WHICH, plan=plans(*STORE_FAULTS), until=untils(*REFRESH_POINTS), dies=AT_ONCE, twice=AT_ONCE,
        clock=WHICH,
    )  # fmt: skip
    def falls_due(
        self, which: int, plan: Mapping[str, str], until: str, dies: bool, twice: bool, clock: int
    ) -> None:
        self.deployment.clock.advance(LIFETIME - 900)
        self.deployment.sweep()
        waiting, process = self.deployment.waiting(), self.process(plan, clock)
        if waiting:
            message = waiting[which % len(waiting)]
            self.deployment.deliver(process, message, self.until(until), twice=twice)
            self.then(process, dies)

    @precondition(lambda self: self.deployment.waiting())
    @rule(
        which=WHICH, plan=plans(*STORE_FAULTS), until=untils(*REFRESH_POINTS, *ENDING_POINTS), dies=AT_ONCE,
        twice=AT_ONCE, clock=WHICH,
    )  # fmt: skip
    def message_comes(
        self, which: int, plan: Mapping[str, str], until: str, dies: bool, twice: bool, clock: int
    ) -> None:
        waiting, process = self.deployment.waiting(), self.process(plan, clock)
        message = waiting[which % len(waiting)]
        self.deployment.deliver(process, message, self.until(until), twice=twice)
        self.then(process, dies)

    @precondition(lambda self: self.deployment.waiting(recovered=True))
    @rule(
        which=WHICH, plan=plans({"recover": LOST}, {"recover": DEAF}, {"restore": LOST}, {"restore": DEAF}),
        until=untils("before recover", "after recover", "before restore", "after restore"), dies=AT_ONCE,
        twice=AT_ONCE, clock=WHICH,
    )  # fmt: skip
    def recovery_comes(
        self, which: int, plan: Mapping[str, str], until: str, dies: bool, twice: bool, clock: int
    ) -> None:
        waiting, process = self.deployment.waiting(recovered=True), self.process(plan, clock)
        message = waiting[which % len(waiting)]
        self.deployment.deliver(process, message, self.until(until), recovered=True, twice=twice)
        self.then(process, dies)

    @precondition(lambda self: self.deployment.parked)
    @rule(
        which=WHICH,
        until=untils(*REFRESH_POINTS, *CONNECT_POINTS),
        dies=st.sampled_from([False, False, True]),
    )
    def stopped_one_goes_on(self, which: int, until: str, dies: bool) -> None:
        parked = self.deployment.parked
        process = parked[which % len(parked)]
        if dies:
            self.deployment.kill(process)
        else:
            self.deployment.go_on(process, until)

    # what holds

    @invariant()
    def promises_hold(self) -> None:
        if not hasattr(self, "deployment"):
            return
        ledger = self.deployment.ledger
        ledger.look()
        ledger.check(self.deployment.queued())
        assert not ledger.wrong, ledger.wrong

    def teardown(self) -> None:
        """The faults end: sleepers wake, everything is delivered, and what lives is fresh in time."""
        if not hasattr(self, "deployment"):
            return
        try:
            for process in list(self.deployment.parked):
                self.deployment.go_on(process)
            self.time_heals()
            for key in self.deployment.keys:
                self.is_fresh_or_told(key)
            if any(book.row and book.row.attempts for book in self.deployment.ledger.books.values()):
                # Whose answer was lost long before its token was due, waits until then.
                self.deployment.clock.advance(LIFETIME)
                self.time_heals()
            for key in self.deployment.keys:
                self.is_fresh_or_told(key)
                self.is_in_no_doubt(key)
            assert self.deployment.leaks() == []
        finally:
            for process in list(self.deployment.parked):
                self.deployment.kill(process)

    def time_heals(self) -> None:
        """The scheduler fires each minute, and whatever waits is worked off."""
        within = WITHIN_SECONDS + (SKEWED_SECONDS if self.clocks_differ else 0)
        for second in range(0, within + 1, TICK_SECONDS):
            if second % 60 == 0:
                self.deployment.sweep()
            self.everything_comes()
            self.deployment.clock.advance(TICK_SECONDS)
        self.promises_hold()

    def everything_comes(self) -> None:
        """Both queues are drained, as far as their messages are visible."""
        for recovered in (True, False):
            for message in self.deployment.waiting(recovered=recovered):
                self.deployment.deliver(self.process({}), message, recovered=recovered)

    def is_fresh_or_told(self, key: Key) -> None:
        """I7, and I6 once more: who was given up has a dead token, and somebody heard of it."""
        deployment = self.deployment
        row = deployment.ledger.books[key].row
        if row is None or row.status not in (Status.ACTIVE, Status.NEEDS_RECONNECT):
            return
        now = deployment.clock()
        grant = deployment.providers.grants[deployment.ledger.books[key].grants[row.generation]]
        assert row.access is not None
        if row.status is Status.NEEDS_RECONNECT:
            told = (key, "LostRotation") in deployment.ledger.told or key in deployment.ledger.announced
            assert grant.dead or (row.last_error == "lost_rotation" and told), f"I7: {key} {row}"
        elif not grant.dead:
            assert grant.welcomes(deployment.opened(row.access), now), f"I7: {key} is not fresh"

    def is_in_no_doubt(self, key: Key) -> None:
        """A living connection holds the token that its provider takes, or the loss of that was told."""
        row = self.deployment.ledger.books[key].row
        if row is None or row.status is not Status.ACTIVE or row.refresh is None:
            return
        grant = self.deployment.providers.grants[self.deployment.ledger.books[key].grants[row.generation]]
        holds = grant.keeps(self.deployment.opened(row.refresh))
        told = (key, "TokenDiscarded") in self.deployment.ledger.told
        assert grant.dead or holds or told, f"I7: {key} holds a used token"

    def in_words(self, key: Key) -> str:
        """How a connection stands: status, refresh token, and the alarms that rang for it."""
        row, told = self.deployment.tables.row(key), self.deployment.ledger.told
        assert row is not None
        token = self.deployment.opened(row.refresh).removeprefix("canary-refresh-") if row.refresh else ""
        alarms = sorted(alarm for about, alarm in told if about == key)
        return " ".join(filter(None, [row.status.value, token, *alarms]))

    # what the rules are made of

    def key(self, which: int) -> Key:
        """The first ones more often."""
        return self.deployment.keys[which % len(self.deployment.keys)]

    def process(self, plan: Mapping[str, str], clock: int = 0) -> Process:
        """A new process with one of the clocks."""
        return self.deployment.process(plan, self.clocks[clock % len(self.clocks)])

    def until(self, point: str) -> str:
        """Not too many stand stopped at once."""
        return point if len(self.deployment.parked) < MOST_STOPPED else ""

    def then(self, process: Process, dies: bool) -> None:
        """Who stopped may die there."""
        if dies and process.at:
            self.deployment.kill(process)

    def seen(self, key: Key, which: str) -> Seen | None:
        """What an order speaks of."""
        now = self.deployment.ledger.seen(key)
        if which == "any" or now is None:
            return None
        return now if which == "now" else Seen(now.generation, now.version - 1)

    def truly_refused(self, key: Key) -> bool:
        """Whether a service that calls the provider is answered 401."""
        row, now = self.deployment.ledger.books[key].row, self.deployment.clock()
        if row is None or row.access is None:
            return False
        token = self.deployment.opened(row.access)
        return not self.deployment.providers.of(token).welcomes(token, now)
