"""Whatever happens in whatever order, the fakes and DynamoDB answer alike and hold the same rows."""

from enum import Enum, auto
from typing import NamedTuple

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.link import Link
from mooring.core.upkeep import Cause, Key, Leased, Order, Seen, Setback
from tests.contract.conftest import shared_server
from tests.contract.samples import NOW, a_link, a_state, exchange
from tests.contract.upkeep_world import DynamoWorld, FakeWorld, World, fresh, row


class What(Enum):
    """Everything that can happen to a connection."""

    LEASE = auto()
    STORE = auto()
    RECOVER = auto()
    PUT_OFF = auto()
    LOSE = auto()
    PROBE = auto()
    REMIND = auto()
    POSTPONE = auto()
    REPORT = auto()
    ALIVE = auto()
    EXPIRE = auto()
    REFUSE = auto()
    UNINSTALL = auto()
    DISCONNECT = auto()
    CONNECT = auto()
    RESTORE = auto()


class Step(NamedTuple):
    """One thing that happens, so many seconds after the one before; `which` and `flag` choose its kind."""

    what: What
    pause: int
    which: int
    cause: Cause
    flag: bool


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from([What.LEASE, What.LEASE, *What]),
        pause=st.sampled_from([0, 1, 10, 30, 45, 60, 120, 600, 900, 3_600]),
        which=st.integers(0, 2),
        cause=st.sampled_from(Cause),
        flag=st.booleans(),
    ),
    min_size=4,
    max_size=14,
)


class Story:
    """One world to which the steps happen. `attempts` are the leases that were given so far."""

    def __init__(self, world: World, link: Link) -> None:
        self.world = world
        self.link = link
        self.key = Key(link.merchant_id, "prov-a", "shop-1")
        self.attempts: list[Leased] = []

    def step(self, number: int, step: Step, now: int, state: str) -> object:
        """What comes of it."""
        if step.what in (What.CONNECT, What.RESTORE):
            return self.connect(step.what, state, now)
        if step.what in (What.STORE, What.RECOVER, What.PUT_OFF, What.LOSE):
            return self.attempts and self.after(
                self.attempts[-1 - step.which % len(self.attempts)], step, now
            )
        if step.what is What.LEASE:
            order = Order(self.key, self.seen(step.which), step.cause)
            found = self.world.leases.lease(order, f"a-{number}", now, rotates=step.flag)
            self.attempts += [found] if isinstance(found, Leased) else []
            return found
        return self.end(step, now)

    def connect(self, what: What, state: str, at: int) -> object:
        """A new exchange, stored by the callback or from the recovery queue."""
        link = self.link._replace(jti=f"{self.link.jti}-{state}")
        new = exchange(link, at=at)
        if what is What.RESTORE:
            return self.world.recoveries.restore(new, link, state)
        self.world.flows.burn(link, state, at)
        self.world.connections.connect(new, link, state)
        return None

    def after(self, lease: Leased, step: Step, now: int) -> object:
        """What becomes of a token call."""
        ends_at = {"expires_at": None} if step.cause is Cause.HINT else {}
        new = fresh(
            lease,
            now,
            lease.attempt_id,
            previous_until=now + 60 if step.flag else None,
            expiring_at=now + 600 if step.cause is Cause.READ else None,
            **ends_at,
        )
        if step.what is What.STORE:
            return self.world.leases.store(new, now)
        if step.what is What.RECOVER:
            return self.world.leases.recover(new, now)
        if step.what is What.LOSE:
            reason = Reason.LOST_ROTATION if lease.in_doubt else Reason.GRANT_REFUSED
            return self.world.leases.lose(lease, reason, now)
        wait = step.cause is not Cause.ASKED
        self.world.leases.put_off(lease, Setback(Reason.PROVIDER_TIMEOUT, now + 30, step.flag, wait), now)
        return None

    def end(self, step: Step, now: int) -> object:
        """Doubts and endings."""
        endings, key = self.world.endings, self.key
        seen = self.seen(step.which) or Seen(1, 1)
        match step.what:
            case What.PROBE:
                due_at = now + 60 if step.flag else None
                return endings.probing(key, self.seen(step.which), now, pause=60, due_at=due_at)
            case What.POSTPONE:
                return endings.postpone(key, now + step.which * 60, now)
            case What.EXPIRE:
                return endings.expire(key, self.seen(step.which), now, ends=step.flag)
            case What.REPORT:
                return endings.report(key, seen, now)
            case What.REFUSE:
                return endings.refused(key, seen, Reason.TOKEN_REFUSED, now, uninstall=step.flag)
            case What.UNINSTALL:
                return endings.uninstall(key, now - step.which * 60, now)
            case What.DISCONNECT:
                return endings.disconnect(key, now)
            case What.REMIND:
                endings.remind(key, now + step.which * 60)
            case What.ALIVE:
                endings.alive(key, seen)
        return None

    def seen(self, which: int) -> Seen | None:
        """What somebody speaks of: nothing, what stands there, or what stood there before."""
        one = row(self.world, self.key).connection
        return [None, Seen(one.generation, one.version), Seen(one.generation, one.version - 1)][which]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_the_fakes_do_as_dynamodb_does_and_nothing_resurrects(steps: list[Step]) -> None:
    link, state = a_link(), a_state()
    real, fake = Story(DynamoWorld(shared_server()), link), Story(FakeWorld(), link)
    for story in (real, fake):
        story.connect(What.CONNECT, state, NOW)
    now, over = NOW + 2, False
    for number, step in enumerate(steps):
        now, state = now + step.pause, a_state()
        answers = [story.step(number, step, now, state) for story in (real, fake)]
        note(f"{step} at {now - NOW}: {answers[0]} / {answers[1]}")
        assert answers[0] == answers[1]
        assert row(real.world, real.key) == row(fake.world, fake.key)
        assert real.world.rest(real.key) == fake.world.rest(fake.key)
        one, access = row(real.world, real.key)
        ended = one.status in (Status.UNINSTALLED, Status.DISCONNECTED)
        assert ended == (access is None)
        assert ended or not over or step.what in (What.CONNECT, What.RESTORE)
        over = ended
