"""Batches, clocks, herds, secrets, old copies of rows and old messages.

On the real stack, but for what no stack can have within a test's time: thousands that fall due in one
minute, a provider that is down for six hours, clocks that are wrong. For these the real flows run on fakes
with a clock that is moved, at the numbers that each test states.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from local.simulators.yotpo import STORES
from mooring.adapters.ssm import FAILED_SECONDS
from mooring.core.errors import Outcome
from mooring.core.ports import HttpResponse
from mooring.core.provider import Lifetime, Provider
from mooring.core.schedule import due_at, due_shard
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import Confirm, DueRow, Key
from mooring.flows.shares import RAMP_FIRST
from mooring.flows.sweep import TRIALS
from mooring.providers.answers import read_token_set
from tests.core.signing import NOW
from tests.e2e.fifth.events import send
from tests.e2e.running import FIFTH
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant, check_failure
from tests.e2e.upkeep import Upkeep, doubt_passes, refresh_unstored, sweep, wait_for
from tests.fakes.due import FakeDueIndex
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.faults.actions import AwsError, Garble
from tests.faults.crashes import warm as start
from tests.faults.invariants import alarms, no_false_death, no_token_lost
from tests.faults.kill import caller_of, cool, kill_these
from tests.faults.notices import aged, deliver, holding, is_over
from tests.faults.queues import Queue, due, outcomes, seen, take_dead_letters, written
from tests.faults.stack import TOKEN_PATH, BrokenStack
from tests.flows.upkeep_world import EAGER, NEVER, SOMETIMES, UpkeepWorld, failing

OLD_MESSAGES = Path(__file__).with_name("old_messages")
DENIED = AwsError(400, "AccessDeniedException")
DOWN = AwsError(500, "InternalServerError")
SECRETIVE = ("refresh", "callback", "uninstall")
"""The functions that read secrets of providers."""
RECEIVES = 5
"""So often a message of the refresh queue is tried, says the template."""


@pytest.fixture
def shops(merchant: Merchant, service: Service, shop: str) -> Iterator[Callable[[int], list[Upkeep]]]:
    """Makes so many connected shops of one merchant."""
    made: list[Upkeep] = []

    def make(count: int) -> list[Upkeep]:
        for number in range(count):
            merchant.connect(FIFTH, store=f"{shop}-{number}")
            made.append(Upkeep.of(merchant, FIFTH, f"{shop}-{number}"))
        return made

    yield make
    for one in made:
        service.disconnect(one.key)


@pytest.fixture(autouse=True)
def _no_dead_letters(request: pytest.FixtureRequest) -> None:
    """No dead letter lies there that an earlier test has left, and a process of `refresh` is there."""
    if "broken" in request.fixturenames:
        broken: BrokenStack = request.getfixturevalue("broken")
        take_dead_letters(broken)
        start(broken, 1)


# F37: one poisoned record among ten.


def test_f37_a_poison_record_in_a_batch_of_ten(
    broken: BrokenStack, shops: Callable[[int], list[Upkeep]], simulator: Simulator
) -> None:
    """The queue hides messages for a second, in place of three minutes, once the first batch is done."""
    good, refresh, dead = shops(9), Queue(broken, "refresh"), Queue(broken, "refresh-dead")
    poison, calls = f'{{"schema":1,"kind":"{good[0].key.account_id}"', len(simulator.calls())
    with refresh.changed(VisibilityTimeout=4):
        with refresh.still():
            for one in good:
                one.fall_due()
            bodies = [due(one) for one in good]
            ids = refresh.send(*bodies[:4], poison, *bodies[4:])
        wait_for(lambda: all(refresh.lines(each) for each in ids), "the whole batch")
        with refresh.changed(VisibilityTimeout=1):
            wait_for(lambda: dead.counts()[0], "the dead letter", 30)
    lines = {each: refresh.lines(each) for each in ids}
    bad = lines.pop(ids[4])
    assert [(line["outcome"], line["reason"]) for line in bad] == [("failed", "message_malformed")] * RECEIVES
    assert [[line["outcome"] for line in said] for said in lines.values()] == [["refreshed"]] * 9
    batch = {said[0]["function_request_id"] for said in (*lines.values(), bad)}
    assert len(batch) == 1, "they were one batch"
    assert [one.version for one in good] == [2] * 9
    assert len(simulator.calls()) == calls + 9
    for one in good:
        no_false_death(broken, one)
        no_token_lost(broken, one)
    # What the alarm refresh-dead looks at, and what an operator is told.
    assert dead.counts()[0] == 1
    assert "it is no JSON" in broken.cli("redrive", "--dry-run", "--queue", "refresh")
    broken.cli("doctor", code=1)
    assert dead.take() == [poison], "it is kept to the letter"


# F38: an exception outside the guard of each record.


def test_f38_the_runtime_dies_in_the_middle_of_a_batch(
    broken: BrokenStack, shops: Callable[[int], list[Upkeep]], service: Service, simulator: Simulator
) -> None:
    """The whole batch comes again, after seconds in place of three minutes. Who was done is not done twice;
    whose answer was on its way is in doubt, and the provider's grace brings it back."""
    start(broken, 2)  # one that dies, and one that gets what it had
    several, refresh = shops(4), Queue(broken, "refresh")
    calls = len(simulator.calls())
    with simulator.behaving(grace_seconds=600), refresh.changed(VisibilityTimeout=5):
        with holding(broken.provider_proxy, "after", path=TOKEN_PATH) as held:
            with refresh.still():
                for one in several:
                    one.fall_due()
                ids = refresh.send(*map(due, several))
            held.wait_hit()
            wait_for(lambda: [one.version for one in several].count(2) == 3, "the other three")
            (slow,) = [one for one in several if one.version == 1]
            kill_these([caller_of(broken, held.planned)])
            held.go()
        before = {each: len(refresh.lines(each)) for each in ids}
        wait_for(lambda: all(len(refresh.lines(each)) > before[each] for each in ids), "the batch again")
        refresh.wait_until_quiet()
        again = [refresh.lines(each)[-1] for each in ids]
        assert Counter(line["outcome"] for line in again) == {"fresh": 3, "busy": 1}
        assert len(simulator.calls()) == calls + 4, "nobody was asked twice"
        assert [one.version for one in several].count(2) == 3
        slow.pass_time(60)  # its lease
        doubt_passes(slow, service)
        assert service.refresh(slow.key).json()["version"] == 2
        assert len(simulator.calls()) == calls + 5
        for one in several:
            no_token_lost(broken, one)
            no_false_death(broken, one)


# F39: wrong clocks, and lifetimes that make no sense.

_HOUR, _TEN_YEARS = 3_600, 10 * 365 * 86_400
IN_AN_HOUR = "in an hour"
"""Stands for the epoch at which the token ends, because a test's own hour begins when it runs."""
LIFETIMES: dict[str, tuple[object, int | None]] = {
    "a number": (_HOUR, _HOUR),
    "a text": ("3600", _HOUR),
    "half a minute": (30, 30),
    "huge": (10**30, _TEN_YEARS),
    "an epoch": (IN_AN_HOUR, _HOUR),
    "an epoch that has passed": (int(time.time()) - _HOUR, None),
    "nothing": (0, None),
    "negative": (-_HOUR, None),
    "not a number": ("soon", None),
    "a fraction": (0.5, None),
    "true": (True, None),
    "null": (None, None),
    "absent": (..., None),
}
"""What `expires_in` says, and the seconds for which the token then lives; None: nobody has said."""


def lifetime(said: str) -> dict[str, object]:
    """That part of an answer."""
    value = LIFETIMES[said][0]
    if value is ...:
        return {}
    return {"expires_in": int(time.time()) + _HOUR if value == IN_AN_HOUR else value}


@pytest.mark.parametrize("said", LIFETIMES)
def test_f39_a_lifetime_is_what_was_meant_or_none(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, said: str
) -> None:
    """Whatever `expires_in` says, the token set is kept, its end is known or not, and no storm follows."""
    shop, lives = living.key.account_id, LIFETIMES[said][1]
    body = {"access_token": f"made-{shop}", "refresh_token": f"made-too-{shop}", "token_type": "Bearer"}
    calls, began = len(simulator.calls()), int(time.time())
    answer = json.dumps({**body, **lifetime(said), "shop": {"id": shop}}).encode()
    with broken.provider_proxy.fault(Garble(answer, {"Content-Type": "application/json"}), path=TOKEN_PATH):
        assert service.refresh(living.key).json()["outcome"] == "refreshed"
    row, now = living.row(), int(time.time())
    assert (row["status"], row["version"]) == ("active", 2)
    assert began <= row["issued_at"] <= now, "by our clock alone"
    if lives is None:
        assert "expires_at" not in row, "this provider's description assumes none"
    else:
        assert began + lives <= row["expires_at"] <= now + lives
    # A token of half a minute is kept fresh by those who read it.
    assert ("due_at" in row) == (lives not in (None, 30))
    assert row.get("due_at", now + 1) > now
    for _ in range(3):
        sweep(broken)
        service.token(living.key)
    Queue(broken, "refresh").wait_until_quiet()
    assert len(simulator.calls()) <= calls + 2, "at most one more, for a reader whose token is over"


@pytest.mark.parametrize("said", LIFETIMES)
@pytest.mark.parametrize(
    ("described", "assumed"),
    [(Lifetime(False, 900), 900), (Lifetime(True, None), None)],
    ids=["an assumed lifetime", "never expires"],
)
def test_f39_a_lifetime_where_the_description_has_a_word_about_it(
    described: Lifetime, assumed: int | None, said: str
) -> None:
    """An assumed lifetime takes the place of one that makes no sense; what never expires has no end."""
    provider, now, lives = EAGER._replace(lifetime=described), int(time.time()), LIFETIMES[said][1]
    answer = json.dumps({"access_token": "made", **lifetime(said)}).encode()
    found = read_token_set(HttpResponse(200, {}, answer), provider, now, refreshing=True).expires_at
    lives = None if described.never_expires else lives or assumed
    assert found == (None if lives is None else pytest.approx(now + lives, abs=1))


@pytest.mark.parametrize("off", [600, -600])
def test_f39_a_worker_whose_clock_is_wrong(off: int) -> None:
    """Ten minutes fast or slow, then right again: at most one refresh too many, and nobody dies of it.

    On fakes, because every process of a stack has this machine's clock. A hundred connections that
    another function, whose clock is right, has stored; an hour passes.
    """
    world, keys = UpkeepWorld(), [Key(f"m-{number}", "acme", "shop-9") for number in range(100)]
    world.keeper.tokens = lambda call: REFRESHED._replace(expires_at=call.now + 3_600)
    for number, key in enumerate(keys):
        world.stands(key, due_at=NOW + 10 * number, expires_at=NOW + 900 + 10 * number)
    for minute in range(60):
        world.clock.now = NOW + 60 * minute + (off if minute % 2 else 0)
        world.queued.clear()  # each sweep in a process of its own
        world.sweep()
        for message in [each for each in world.queue.messages if each.delay <= 60]:
            world.queue.messages.remove(message)
            world.work(message.work)
    assert {world.row(key).status.value for key in keys} == {"active"}
    asked = Counter(world.row(key).version for key in keys)
    assert min(asked) >= 6, "everybody was refreshed"
    assert len(world.keeper.refreshes) <= 2 * len(keys), "and nobody time after time"
    assert world.leaks() == []


# F40: a herd.


def test_f40_what_is_issued_in_one_minute_does_not_fall_due_in_one_minute() -> None:
    """50,000 in place of a million: one-hour tokens that were issued in the same minute fall due over six
    minutes, none of them later than a quarter of an hour before its end."""
    count = 50_000
    times = [
        due_at(
            NOW + number % 60,
            EAGER,
            expires_at=NOW + number % 60 + 3_600,
            refresh_expires_at=None,
            refreshable=True,
            jitter=(number * 7_919 % count) / count,
        )
        for number in range(count)
    ]
    known = [each for each in times if each is not None]
    assert len(known) == count
    minutes = Counter((each - NOW) // 60 for each in known)
    assert max(minutes.values()) < count / 5
    assert max(known) <= NOW + 59 + 3_600 - 900


def test_f40_all_due_in_one_minute_are_worked_off_in_order_and_in_time() -> None:
    """2,400 in place of a million fall due in the same minute, workers that do 150 a minute in place of the
    real ones, and their limit of two minutes' work.

    Real: 16,667 a second for a minute, so a queue that is bounded, and 15 minutes in which tokens live on.
    Here as there every one is refreshed before its end, the earliest first, and the queue never holds more
    than the limit, so that whatever else wants to be worked on (a hint, a merchant's disconnect) waits two
    minutes at most. Flows of merchants share nothing with it but the account's concurrency, of which the
    event source takes a fixed number.
    """
    world, count, a_minute = UpkeepWorld(), 2_400, 150
    limit, keys = 2 * a_minute, [Key(f"m-{number}", "acme", "shop-9") for number in range(count)]
    world.keeper.tokens = lambda call: REFRESHED._replace(expires_at=call.now + 3_600)
    for number, key in enumerate(keys):
        at = NOW - 60 + number % 60
        world.stands(key, due_at=at, expires_at=at + 1_200)
    done: dict[Key, float] = {}
    for _ in range(20):
        world.sweep(EAGER, limit=limit)
        assert sum(world.queue.depth()) <= limit
        for _ in range(min(a_minute, len(world.queue.messages))):
            ((key, answer),) = world.deliver()
            assert answer.word == "refreshed"
            done[key] = world.clock.now
        world.clock.advance(60)
    assert done.keys() == set(keys)
    assert len(world.keeper.refreshes) == count, "each once"
    assert all(at < NOW - 60 + number % 60 + 1_200 for number, at in enumerate(map(done.__getitem__, keys)))
    firsts = [done[keys[number]] for number in range(count) if number % 60 < 20]
    lasts = [done[keys[number]] for number in range(count) if number % 60 >= 40]
    assert max(firsts) <= min(lasts), "who was due earlier was served earlier"


# F41: one provider is down for six hours.

ILL, WELL = NEVER, (EAGER, SOMETIMES)
HOURS_DOWN, A_MINUTE = 6, 300


class Shards(FakeDueIndex):
    """The index of a world whose connections are known beforehand: each is hashed once, not at every page."""

    def __init__(self, world: UpkeepWorld, keys: Sequence[Key]) -> None:
        super().__init__(world.connections, world.journal)
        self._keys: dict[str, list[Key]] = {}
        for key in keys:
            self._keys.setdefault(due_shard(key.provider, key.merchant_id, key.account_id), []).append(key)

    def _of(self, shard: str, until: int) -> list[DueRow]:
        times = [(key, self.connections.rest(key).due_at) for key in self._keys.get(shard, ())]
        return [DueRow(key, at) for key, at in times if at is not None and at <= until]


def test_f41_a_provider_that_is_down_for_six_hours() -> None:
    """900 connections of the one that is down and 60 of each of two others, workers that do 300 a minute;
    six hours and two more, in steps of a minute."""
    world, down = UpkeepWorld(), 60 * HOURS_DOWN
    keys = [Key(f"m-{number}", ILL.id, "shop-9") for number in range(900)]
    others = [Key(f"m-{number}", one.id, "shop-9") for one in WELL for number in range(60)]
    world.due = Shards(world, [*keys, *others])
    for number, key in enumerate([*keys, *others]):
        at = NOW + 60 * (number % 45)
        world.stands(key, due_at=at, expires_at=at + 900)
    ends_at = NOW + 60 * down

    def answer(call: RefreshCall) -> TokenSet:
        if call.provider == ILL.id and world.clock.now < ends_at:
            raise failing(Outcome.TRANSIENT)
        return REFRESHED._replace(expires_at=call.now + 3_600, refresh_token=f"anew-{call.now}")

    world.keeper.tokens = answer
    calls, late = list[int](), list[float]()
    for _ in range(down + 120):
        before = len(world.keeper.refreshes)
        _a_minute(world, (ILL, *WELL), A_MINUTE)
        calls.append(sum(call.provider == ILL.id for call in world.keeper.refreshes[before:]))
        late.append(max(_overdue(world, key) for key in others))
    assert max(late) < 300, "the others were on time all the while"
    assert max(calls[:down]) <= A_MINUTE, "nor did it ever get more than its share"
    assert sum(calls[60:down]) / (down - 60) <= TRIALS, "and, once it is known to be down, trials alone"
    assert {world.row(key).status.value for key in (*keys, *others)} == {"active"}, "nobody died of it"
    back = calls[down:]
    assert 0 < back[0] <= TRIALS
    ramp = [RAMP_FIRST * 2**minute for minute in range(1, 4)]
    assert all(asked <= most for asked, most in zip(back[1:4], ramp, strict=True)), (
        "it is not met by all at once"
    )
    assert sum(back[:10]) >= len(keys), "and within ten minutes everybody is fresh again"
    assert all(_overdue(world, key) < 300 for key in keys)


def _a_minute(world: UpkeepWorld, providers: tuple[Provider, ...], work: int) -> None:
    """One sweep, and so much work of what it queued; then it is a minute later."""
    world.sweep(*providers, limit=2 * work)
    ready = world.queue.messages[:work]
    del world.queue.messages[:work]
    began = world.clock.now
    for each in sorted(ready, key=lambda message: message.delay):
        world.clock.now = max(world.clock.now, min(began + each.delay, began + 59))
        world.work(each.work)
    world.clock.now = began + 60


def _overdue(world: UpkeepWorld, key: Key) -> float:
    at = world.rest(key).due_at
    return 0.0 if at is None else world.clock.now - at


# F42: the parameter store is down when a process starts.


def test_f42_no_secrets_at_a_cold_start(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, service: Service, simulator: Simulator, shop: str
) -> None:
    token, calls = service.token(living.key).json(), len(simulator.calls())
    back = merchant.decide(FIFTH, store=f"{shop}-b")
    for function in SECRETIVE:
        forget(broken, function)
    with broken.aws_proxy.fault(DOWN, target="GetParameter", times=1_000) as down:
        answer = service.refresh(living.key)
        assert (answer.status_code, answer.json()["reason"]) == (503, "secret_unavailable")
        page = merchant.browser.follow(back)
        check_failure(broken, page, 503, "secret_unavailable")
        assert deliver(broken, broken.fifth.event(shop)) == (503, "secret_unavailable")
        assert down.hits >= 3
    assert len(simulator.calls()) == calls, "nothing was sent without a secret in hand"
    row = living.row()
    assert (row["status"], row["version"], row["last_error"]) == ("active", 1, "secret_unavailable")
    assert not {"attempts", "attempt_at", "lease_owner"} & row.keys(), "and nothing is in doubt"
    warned = token | {"warning": "secret_unavailable"}
    assert service.token(living.key).json() == warned, "a token that lives is given out all the while"
    assert "SecretUnavailable" in alarms(living)
    no_false_death(broken, living)
    time.sleep(FAILED_SECONDS)  # for so long a failure is everybody's
    assert service.refresh(living.key).json()["version"] == 2
    assert deliver(broken, broken.fifth.event(shop, type="app.renamed")) == (200, "ignored")
    merchant.connect(FIFTH, store=f"{shop}-b")
    service.disconnect(living.key._replace(account_id=f"{shop}-b"))
    # Whoever has them in memory works on.
    with broken.aws_proxy.fault(DOWN, target="GetParameter", times=1_000):
        assert service.refresh(living.key).json()["version"] == 3
        aged(living)
        assert deliver(broken, broken.fifth.event(shop)) == (200, "uninstalled")


def forget(broken: BrokenStack, function: str) -> None:
    """Replace every process of a function by one that has no secret in memory yet.

    Here the start of a process counts against its first event, and a busy machine may need so long for it
    that nothing is begun: so each is asked once for what needs no secret.
    """
    cool(broken, function)
    first: dict[str, Callable[[], int]] = {
        "refresh": lambda: Service(broken).refresh(Key("nobody", FIFTH, "nowhere")).status_code,
        "callback": lambda: Merchant(broken, []).browser.open(f"{broken.base_url}/callback/{FIFTH}").status,
        "uninstall": lambda: send(broken.base_url, broken.fifth.event("nobody"), "nobody").status_code,
    }
    wait_for(lambda: first[function]() in (400, 404), f"an answer of {function}")


# F43: secrets are replaced in the middle of traffic.


@pytest.fixture
def parameter(broken: BrokenStack) -> Iterator[Callable[[str, str], None]]:
    """Writes a parameter of the fifth provider; in the end both are what they were, and known to nobody."""

    def put(kind: str, value: str) -> None:
        name = f"/mooring/local/{FIFTH}/{kind}"
        broken.aws("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    old = dict(broken.fifth.secrets)
    yield put
    broken.fifth.take_client_secret(old["client_secret"])
    for kind, value in old.items():
        put(kind, value)
    for function in SECRETIVE:
        forget(broken, function)


def test_f43_a_client_secret_is_replaced_in_the_middle_of_traffic(
    broken: BrokenStack,
    shops: Callable[[int], list[Upkeep]],
    simulator: Simulator,
    service: Service,
    parameter: Callable[[str, str], None],
) -> None:
    several, refresh = shops(4), Queue(broken, "refresh")
    assert service.refresh(several[0].key).json()["version"] == 2, "by now the old one is in memory"
    new = f"canary-{FIFTH}-new-{time.time_ns()}"
    parameter("client_secret", new)
    broken.fifth.take_client_secret(new)
    calls = len(simulator.calls())
    with refresh.still():
        for one in several:
            one.fall_due()
        sweep(broken)
    refresh.wait_until_quiet(lambda: sorted(one.version for one in several) == [2, 2, 2, 3])
    refused = [call["outcome"] for call in simulator.calls()[calls:]]
    assert refused.count("refreshed") == 4
    assert len(refused) <= 8, "each asked once more at most, and then with the new one"
    assert not any(
        row["pk"]["S"] == f"circuit#{FIFTH}" and "closed_at" not in row for row in broken.rows("flows")
    )
    for one in several:
        assert "last_error" not in one.row()
        no_false_death(broken, one)
        no_token_lost(broken, one)


def test_f43_a_webhook_secret_is_replaced_in_the_middle_of_traffic(
    broken: BrokenStack, shops: Callable[[int], list[Upkeep]], parameter: Callable[[str, str], None]
) -> None:
    """What is remembered for minutes is forgotten by killing the process."""
    early, late, stale = shops(3)
    old, new = broken.fifth.secrets["webhook_secret"], f"canary-{FIFTH}-webhook-new-{time.time_ns()}"
    for one in (early, late, stale):
        aged(one)
    parameter("webhook_secret", f"{new}\n{old}")
    forget(broken, "uninstall")
    by_old, by_new = (
        broken.fifth.event(one.key.account_id, secret=by) for one, by in ((early, old), (late, new))
    )
    assert deliver(broken, by_old) == (200, "uninstalled")
    assert deliver(broken, by_new) == (200, "uninstalled")
    assert is_over(early.row(), "uninstalled")
    assert is_over(late.row(), "uninstalled")
    for guessed in ("guessed", f"{new}\n{old}", "\n"):
        event = broken.fifth.event(stale.key.account_id, secret=guessed)
        assert deliver(broken, event) == (401, "notice_forged")
    parameter("webhook_secret", new)
    forget(broken, "uninstall")
    row = stale.row()
    assert deliver(broken, broken.fifth.event(stale.key.account_id, secret=old)) == (401, "notice_forged")
    assert stale.row() == row
    assert deliver(broken, broken.fifth.event(stale.key.account_id, secret=new)) == (200, "uninstalled")


# F44: the table is what it was some time ago.


class Copy:
    """A row as it stands, to be put back later."""

    def __init__(self, one: Upkeep) -> None:
        self._aws, self._table = one.stack.aws("dynamodb"), one.stack.info["tables"]["connections"]
        where = {
            "merchant_id": {"S": one.key.merchant_id},
            "connection": {"S": f"{one.key.provider}#{one.key.account_id}"},
        }
        self._item: dict[str, Any] = self._aws.get_item(
            TableName=self._table, Key=where, ConsistentRead=True
        )["Item"]

    def restore(self) -> None:
        """What a restore of the table does to it."""
        self._aws.put_item(TableName=self._table, Item=self._item)


def test_f44_restored_rows_where_refresh_tokens_are_not_replaced(
    broken: BrokenStack, merchant: Merchant, service: Service
) -> None:
    one, simulator = Upkeep.of(merchant, "whatconverts"), broken.simulator("whatconverts")
    merchant.connect("whatconverts")
    copy = Copy(one)
    for version in (2, 3):
        assert service.refresh(one.key).json()["version"] == version
    copy.restore()
    assert simulator.accepts("default", service.token(one.key).json()["access_token"])
    one.fall_due()
    sweep(broken)
    wait_for(lambda: one.version == 2, "its refresh")
    assert one.status == "active", "the token of back then still works"
    assert simulator.accepts("default", service.token(one.key).json()["access_token"])
    service.disconnect(one.key)


def test_f44_restored_rows_where_a_grace_keeps_the_last_token_alive(
    broken: BrokenStack, shops: Callable[[int], list[Upkeep]], service: Service, simulator: Simulator
) -> None:
    several = shops(2)
    with simulator.behaving(grace_seconds=600):
        copies = [Copy(one) for one in several]
        for one in several:
            assert service.refresh(one.key).json()["version"] == 2
        for one, copy in zip(several, copies, strict=True):
            copy.restore()
            assert service.refresh(one.key).json()["outcome"] == "refreshed"
            no_token_lost(broken, one)
            no_false_death(broken, one)


def test_f44_restored_rows_whose_refresh_tokens_are_spent(
    broken: BrokenStack, shops: Callable[[int], list[Upkeep]], service: Service, simulator: Simulator
) -> None:
    """A mode that checks restored rows in bulk does not exist: the runbook has the sweep and every refresh
    stopped first, so that nothing is spent or ended before somebody has looked. That they stay as they are,
    and are read meanwhile, is tried here; and that each one which is started after all says truly, for itself
    alone, that its merchant must come again."""
    several, refresh = shops(3), Queue(broken, "refresh")
    copies = [Copy(one) for one in several]
    for one, copy in zip(several, copies, strict=True):
        assert service.refresh(one.key).json()["version"] == 2
        copy.restore()
    calls = len(simulator.calls())
    with refresh.still():  # the schedule stands still on this stack, and now the workers do
        for one in several:
            given = service.token(one.key).json()
            assert simulator.accepts(one.key.account_id, given["access_token"]), "the old one still lives"
        assert [one.status for one in several] == ["active"] * 3
        assert len(simulator.calls()) == calls
    first, *others = several
    answer = service.refresh(first.key)
    assert (answer.status_code, answer.json()["reason"]) == (409, "connection_not_active")
    row = first.row()
    assert (row["status"], row["last_error"]) == ("needs_reconnect", "grant_refused")
    assert {"access", "refresh"} <= row.keys(), "nothing is erased"
    assert [one.status for one in others] == ["active"] * 2, "one that fails ends no other"
    assert [call["outcome"] for call in simulator.calls()[calls:]] == ["reused"]
    assert not any(
        one["pk"]["S"] == f"circuit#{FIFTH}" and "closed_at" not in one for one in broken.rows("flows")
    )


def test_f44_rows_that_were_uninstalled_since_are_found_again(
    broken: BrokenStack,
    shops: Callable[[int], list[Upkeep]],
    merchant: Merchant,
    service: Service,
    simulator: Simulator,
) -> None:
    """By the provider's own notice once more, by the next refresh, and where there is none by a probe."""
    told, asked = shops(2)
    store = Upkeep.of(merchant, "yotpo", list(STORES)[1])
    merchant.connect("yotpo", store=store.key.account_id)
    yotpo, refresh = broken.simulator("yotpo"), Queue(broken, "refresh")
    for one in (told, asked):
        aged(one)
    copies = [Copy(one) for one in (told, asked, store)]
    messages = {one.key: simulator.disconnect(one.key.account_id) for one in (told, asked)}
    for one in (told, asked):
        _wait_for_both_deliveries(simulator, messages[one.key])
        assert is_over(one.row(), "uninstalled")
    yotpo.revoke(account=store.key.account_id)
    for copy in copies:
        copy.restore()
    assert [one.status for one in (told, asked, store)] == ["active"] * 3, "alive again, says the old copy"
    assert simulator.redeliver(messages[told.key]) == 200
    assert is_over(told.row(), "uninstalled")
    assert service.refresh(asked.key).json()["reason"] == "connection_not_active"
    assert asked.status == "needs_reconnect"
    store.fall_due()
    sweep(broken)
    wait_for(lambda: store.lines(outcome="probed"), "its probe")
    second = Confirm(store.key, seen(store), int(time.time()) - 60, uninstall=False)
    refresh.deliver(written(second))  # half a minute later, which is taken out of the message
    assert store.status == "needs_reconnect"
    for one in (told, asked, store):
        assert service.token(one.key).json()["reason"] == "connection_not_active"
    service.disconnect(store.key)


def _wait_for_both_deliveries(simulator: Simulator, message: str) -> None:
    """The provider sends everything twice."""
    wait_for(lambda: len(simulator.deliveries(message)) == 2, "a notice and its duplicate")


# F45: dead letters are sent through once more, days later.


def redrive(broken: BrokenStack, name: str, until: Callable[[], object] = lambda: True) -> str:
    """Send everything of a dead-letter queue through its queue once more, as an operator does; its words."""
    queue = Queue(broken, name)
    said = broken.cli("redrive", "--yes", "--queue", name)
    queue.wait_until_quiet(until)
    return said


def test_f45_dead_letters_of_the_refresh_queue_days_later(
    broken: BrokenStack, shops: Callable[[int], list[Upkeep]], service: Service, simulator: Simulator
) -> None:
    """They are put into the dead-letter queue as they would come there, twice each."""
    still_due, fresh, gone, again = shops(4)
    bodies = [due(one) for one in (still_due, fresh, gone, again)]
    stale = [
        written(Confirm(one.key, seen(one), int(time.time()) - 345_600, uninstall=True))
        for one in (fresh, gone, again)
    ]
    Queue(broken, "refresh-dead").send(*bodies, *bodies, *stale)
    assert service.refresh(fresh.key).json()["version"] == 2
    assert service.disconnect(gone.key).status_code == 200
    aged(again)
    start(broken, 2)
    assert deliver(broken, broken.fifth.event(again.key.account_id, at=again.row()["connected_at"] + 1)) == (
        200,
        "uninstalled",
    )
    again_merchant = Merchant(broken, [], again.key.merchant_id)
    again_merchant.connect(FIFTH, store=again.key.account_id)
    still_due.fall_due()
    rows, calls = {one: one.row() for one in (fresh, gone, again)}, len(simulator.calls())
    assert f"{2 * len(bodies) + len(stale)} messages sent back" in redrive(
        broken, "refresh", lambda: still_due.version == 2
    )
    assert len(simulator.calls()) == calls + 1, "one valid refresh, for the one that is still due"
    assert still_due.version == 2
    no_token_lost(broken, still_due)
    assert {one: one.row() for one in rows} == rows
    assert is_over(rows[gone], "disconnected")
    assert (rows[again]["status"], rows[again]["generation"]) == ("active", 2)
    assert Queue(broken, "refresh-dead").counts()[0] == 0


def test_f45_a_token_set_among_the_dead_letters_days_later(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    """The connection was given up for the very answer that the letter holds, and lives again."""
    recovery, dead = Queue(broken, "recovery"), Queue(broken, "recovery-dead")
    with recovery.still():
        answer = refresh_unstored(living, service)
        assert answer.json()["reason"] == "store_delayed"
        (body,) = [text for text in recovery.texts() if living.key.account_id in text]
        wait_for(lambda: recovery.counts()[0], "the message")
        dead.send(*recovery.take())
    living.pass_time(60)  # the lease
    doubt_passes(living, service)
    assert service.refresh(living.key).json()["reason"] == "connection_not_active"
    row = living.row()
    assert (row["status"], row["last_error"]) == ("needs_reconnect", "lost_rotation")
    no_token_lost(broken, living)
    assert "1 message sent back" in redrive(broken, "recovery", lambda: living.version == 2)
    assert living.status == "active"
    no_token_lost(broken, living)
    assert simulator.accepts(living.key.account_id, service.token(living.key).json()["access_token"])
    assert service.refresh(living.key).json()["version"] == 3
    row = living.row()
    dead.send(body)
    assert "1 message sent back" in redrive(broken, "recovery")
    assert living.row() == row, "a second time it is of no use"


# F46: messages of an earlier release.


def old(name: str, one: Upkeep, **changes: object) -> str:
    """A message exactly as an earlier release wrote it, about a connection of today.

    Args:
        name: of the file.
        one: whose names stand in it.
        changes: further values; a key that the file does not have is refused.
    """
    body: dict[str, Any] = json.loads((OLD_MESSAGES / f"{name}.json").read_text())
    named = {field: value for field, value in one.key._asdict().items() if field in body}
    assert changes.keys() <= body.keys(), "that release did not write it"
    return json.dumps({**body, **named, **changes}, separators=(",", ":"))


OLD_ORDERS = ("refresh", "refresh_trial", "refresh_unseen", "hint", "hint_again", "hint_without_again")


@pytest.mark.parametrize("name", OLD_ORDERS)
def test_f46_an_old_message_that_asks_for_a_refresh(
    broken: BrokenStack, living: Upkeep, simulator: Simulator, name: str
) -> None:
    living.fall_due()
    calls = len(simulator.calls())
    assert outcomes(Queue(broken, "refresh").deliver(old(name, living))) == ["refreshed"]
    assert living.version == 2
    assert len(simulator.calls()) == calls + 1
    no_token_lost(broken, living)


def test_f46_old_messages_that_end_a_connection(
    broken: BrokenStack, shops: Callable[[int], list[Upkeep]], simulator: Simulator
) -> None:
    refresh, (refused, noticed) = Queue(broken, "refresh"), shops(2)
    simulator.revoke(account=refused.key.account_id)
    lines = refresh.deliver(old("confirm", refused, refused_at=int(time.time()) - 60))
    assert outcomes(lines) == ["uninstalled"]
    assert is_over(refused.row(), "uninstalled")
    connected_at = aged(noticed)
    assert outcomes(refresh.deliver(old("notice", noticed))) == ["skipped"], "of before the connection"
    assert outcomes(refresh.deliver(old("notice", noticed, at=connected_at + 30))) == ["uninstalled"]
    assert is_over(noticed.row(), "uninstalled")


def of_today(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """The values of today's message that an old one needs to be about the same tokens."""
    return {name: body[name] for name in names}


@pytest.mark.parametrize("name", ["refreshed", "refreshed_bare"])
def test_f46_an_old_message_with_refreshed_tokens(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, name: str
) -> None:
    recovery = Queue(broken, "recovery")
    with simulator.behaving(send_refresh_token=name == "refreshed"), recovery.still():
        assert refresh_unstored(living, service).json()["reason"] == "store_delayed"
        wait_for(lambda: recovery.counts()[0], "the message")
        (today,) = map(json.loads, recovery.take())
    assert (today["refresh"] is None) == (name == "refreshed_bare")
    parts = of_today(today, "attempt_id", "access", "refresh")
    assert outcomes(recovery.deliver(old(name, living, **parts))) == ["recovered"]
    row = living.row()
    assert (row["status"], row["version"]) == ("active", 2)
    no_token_lost(broken, living)
    assert service.refresh(living.key).json()["version"] == 3


def test_f46_an_old_message_with_a_finished_exchange(
    broken: BrokenStack, merchant: Merchant, service: Service, shop: str, simulator: Simulator
) -> None:
    recovery, one = Queue(broken, "recovery"), Upkeep.of(merchant, FIFTH, shop)
    back = merchant.decide(FIFTH, store=shop)
    with recovery.still():
        with broken.aws_proxy.fault(DENIED, target="TransactWriteItems", caller="callback", times=20):
            check_failure(broken, merchant.browser.follow(back), 202, "store_delayed")
        (today,) = map(json.loads, recovery.take())
    names = ("access", "refresh", "connected_at", "burned_at", "expires_at", "due_at", "state_hash", "link")
    assert outcomes(recovery.deliver(old("connected", one, **of_today(today, *names)))) == ["recovered"]
    row = one.row()
    assert (row["status"], row["generation"], row["version"]) == ("active", 1, 1)
    no_token_lost(broken, one)
    assert simulator.accepts(shop, service.token(one.key).json()["access_token"])
    assert service.refresh(one.key).json()["version"] == 2
    service.disconnect(one.key)


@pytest.mark.parametrize(("name", "file"), [("refresh", "refresh"), ("recovery", "refreshed")])
def test_f46_a_message_of_an_unknown_schema_is_kept(
    broken: BrokenStack, living: Upkeep, simulator: Simulator, name: str, file: str
) -> None:
    """A release that is taken back leaves messages behind that this one does not know.

    Seconds in place of minutes, and for the recovery queue three tries in place of a thousand; nothing
    there may hurry a message that comes again in any case.
    """
    queue, dead = Queue(broken, name), Queue(broken, f"{name}-dead")
    policy = json.loads(queue.attributes()["RedrivePolicy"])
    most = int(policy["maxReceiveCount"])
    assert most == {"refresh": RECEIVES, "recovery": 1_000}[name]
    tries = min(most, RECEIVES)
    body, calls, row = old(file, living, schema=99), len(simulator.calls()), living.row()
    with (
        queue.changed(VisibilityTimeout=1, RedrivePolicy={**policy, "maxReceiveCount": tries}),
        broken.aws_proxy.fault(DENIED, target="ChangeMessageVisibility", times=1_000),
    ):
        (sent,) = queue.send(body)
        wait_for(lambda: dead.counts()[0], "the dead letter", 30)
    said = [(line["outcome"], line["reason"]) for line in queue.lines(sent)]
    assert said == [("failed", "message_malformed")] * tries
    assert "1 left, not understood" in broken.cli("redrive", "--yes", "--queue", name)
    assert dead.take() == [body], "to the letter, until a release that knows it sends it back"
    assert living.row() == row
    assert len(simulator.calls()) == calls
