"""The arithmetic of a soak: what counts as broken, dead or overlapping, and what falls when."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.actions import AwsError, Delay, LoseAnswer, Reset
from tests.faults.proxy import Seen
from tests.soak.dice import AT_AWS, AT_PROVIDERS, Chance, Dice, aws_action
from tests.soak.findings import Losses, Sweeps
from tests.soak.plan import BARE, BOUND_SECONDS, FIXED, GRACE, KINDS, Plan
from tests.soak.providers import TOKEN_PATH, TokenCall, overlapping
from tests.soak.report import BEGIN, END, OfKind, Report, as_json, broken, command, put_into, text
from tests.soak.seeding import age_now, keys_of
from tests.soak.traffic import is_dead

LOST = "needs_reconnect lost_rotation"


def of_kind(kind: Any, **changes: Any) -> OfKind:
    good = OfKind(kind, 100, 300, {"refreshed": 300}, 0, {}, {}, told())
    return good._replace(**changes)


def told(rows: int = 0, **changes: int) -> Losses:
    """So many lost connections, of which each rang twice."""
    return Losses(rows, rows, 0, rows, rows, rows)._replace(**changes)


def report(**changes: Any) -> Report:
    good = Report(
        plan=Plan(300, 2, 5, 10),
        seconds=120.0,
        kinds=[of_kind(kind) for kind in KINDS],
        faults_provider=dict.fromkeys(AT_PROVIDERS, 3),
        faults_aws=dict.fromkeys(AT_AWS, 9),
        calls_provider=700,
        calls_aws=4_000,
        kills={"refresh": 7, "sweep": 1},
        reads={"ok": 500, "503 refresh_busy": 4},
        dead=[],
        overdue=31,
        lifeless=0,
        healed=160.0,
        rested=200.0,
        left="",
        superseded=0,
        alarms={"RefreshInDoubt": 6},
        outcomes={"refreshed": 900},
        odd=(),
        leaks=[],
        dead_letters={"refresh-dead": 0, "recovery-dead": 0, "revoke-dead": 0},
        undelivered=0,
        sweeps=Sweeps(36, 30, 2, 41),
        wall=333.0,
        load=3.2,
        processors=2,
    )
    return good._replace(**changes)


def with_kind(kind: Any, **changes: Any) -> Report:
    return report(kinds=[of_kind(one, **(changes if one is kind else {})) for one in KINDS])


def test_a_good_report_breaks_nothing() -> None:
    assert broken(report()) == []


def test_a_loss_that_rang_is_allowed_without_a_grace_and_nowhere_else() -> None:
    lost = {"ended": {LOST: 2}, "losses": told(2)}
    assert broken(with_kind(BARE, **lost)) == []
    for kind in (GRACE, FIXED):
        (line,) = broken(with_kind(kind, **lost))
        assert line == f"{kind.title}: 2 connections were lost"


def test_one_that_rang_and_came_back_is_counted() -> None:
    rang = told(2, logged=3, counted=3, announced=3)
    assert rang.came_back == 1
    assert broken(with_kind(BARE, ended={LOST: 2}, losses=rang)) == []


def test_a_loss_whose_worker_died_before_it_could_say_so_is_alarmed_by_announce() -> None:
    rang = told(2, by_refresh=1, logged=1, counted=1, announced=3)
    assert broken(with_kind(BARE, ended={LOST: 2}, losses=rang)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ended": {LOST: 2}, "losses": told(2, silent=1)}, ["never rang"]),
        ({"ended": {LOST: 1}, "losses": told(1, counted=2)}, ["2 times and logged 1 times"]),
        ({"ended": {LOST: 2}, "losses": told(2, announced=1)}, ["1 times for 2 losses"]),
        ({"ended": {"needs_reconnect grant_refused": 1}}, ["grant_refused, and nobody ended them"]),
        ({"ended": {"gone there is no row": 1}}, ["gone"]),
        ({"wrong": {"the stored refresh token is not the provider's current one": 3}}, ["3 active"]),
        ({"overlapping": 1}, ["in flight together"]),
        ({"refreshes": 99}, ["are too few"]),
    ],
)
def test_what_breaks_a_promise_by_kind(changes: dict[str, Any], said: list[str]) -> None:
    lines = broken(with_kind(BARE, **changes))
    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True)), lines


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dead": ["m-1"]}, "a dead token"),
        ({"odd": ('{"reason": "internal"}',)}, "a defect"),
        ({"leaks": ["refresh.log"]}, "lies in the clear: refresh.log"),
        ({"rested": None, "left": "3 with traces"}, "did not come to rest"),
        ({"rested": BOUND_SECONDS + 1.0}, f"after {BOUND_SECONDS + 1} s"),
        ({"dead_letters": {"recovery-dead": 1}}, "dead letters of the recovery queue"),
        ({"dead_letters": {"revoke-dead": 1}}, "1 revocations ended as dead letters"),
        ({"undelivered": 2}, "2 changes were never told"),
        ({"sweeps": Sweeps(3, 0, 1, 0)}, "no sweep ended"),
        ({"kills": {}}, "no process was killed"),
        ({"reads": {"503": 9}}, "no reader"),
        ({"faults_aws": {"throttled": 0}}, "no fault fell at AWS"),
        ({"faults_provider": {}}, "no fault fell at providers"),
    ],
)
def test_what_breaks_a_promise_of_the_whole(changes: dict[str, Any], said: str) -> None:
    (line,) = broken(report(**changes))
    assert said in line


def test_text_and_json_tell_the_same() -> None:
    one = with_kind(BARE, ended={LOST: 4}, losses=told(4, by_refresh=3, logged=3, counted=3))
    shown, plain = text(one), as_json(one)
    assert "`python -m tests.soak --connections 300 --minutes 2 --seed 5 --sweep-every 10`" in shown
    assert "| connections lost | 4 | 0 | 0 |" in shown
    assert "| of these, alarmed by refresh | 3 | 0 | 0 |" in shown
    assert "| sweeps that started, ended well, failed, and died | 36, 30, 2, 4 |" in shown
    assert "| from the last fault until everything was at rest | 200 s |" in shown
    assert f"| {2.8} |" in shown, "900 refreshes in 120 and 200 seconds"
    assert json.loads(json.dumps(plain))["kinds"][0]["ended"] == {LOST: 4}
    assert plain["broken"] == []
    assert "| refreshes a second, while faults fell and after | 1.9 |" in text(report(rested=None))


def test_the_command_of_the_usual_plan_names_no_sweep() -> None:
    assert command(Plan(seed=3)) == "python -m tests.soak --connections 1500 --minutes 10 --seed 3"


def test_the_block_is_put_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n")
    put_into(document, "new")
    put_into(document, "newer")
    assert document.read_text() == f"before\n\n{BEGIN}\n\nnewer\n\n{END}\n\nafter\n"
    document.write_text("nothing")
    with pytest.raises(ValueError, match="once each"):
        put_into(document, "new")


def call(account: str, began: float, ended: float) -> TokenCall:
    return TokenCall(account, began, ended, "refreshed")


def test_calls_overlap_only_within_an_account() -> None:
    first, second, third = call("a", 0, 2), call("a", 1, 1.5), call("b", 1, 3)
    assert overlapping([third, second, first]) == [(first, second)]
    assert overlapping([first, third, call("a", 2, 3)]) == []
    long, short, late = call("a", 0, 9), call("a", 1, 2), call("a", 8, 10)
    assert len(overlapping([long, short, late])) == 2, (
        "one that lasts overlaps with each that comes meanwhile"
    )


@pytest.mark.parametrize(
    ("asked", "used", "expires", "dead"),
    [
        (100.0, 101.0, 200, True),  # refused although it should live
        (100.0, 101.0, 100, True),  # had ended when it was asked for
        (100.0, 103.0, 102, False),  # ended on its way
        (100.0, 101.6, 102, False),  # whole seconds: it may have ended just now
    ],
)
def test_which_refused_token_should_not_have_been_given(
    asked: float, used: float, expires: int, dead: bool
) -> None:
    assert is_dead(asked, used, expires) is dead


def test_the_same_seed_makes_the_same_choices_and_faults_fall_only_while_it_is_on() -> None:
    several = [Dice(random.Random("7 aws"), 0.5, AT_AWS) for _ in range(2)]
    assert [dice.throw() for dice in several] == [None, None]
    for dice in several:
        dice.on = True
    first, second = ([dice.throw() for _ in range(200)] for dice in several)
    assert first == second
    assert several[0].calls == 200
    assert several[0].hits.total() == sum(name is not None for name in first)
    assert 60 < several[0].hits.total() < 140
    assert max(several[0].hits.values()) - min(several[0].hits.values()) <= 1


def test_only_token_calls_of_a_provider_meet_a_fault() -> None:
    chance = Chance(3)
    chance.turn(on=True)
    at_provider = chance.at_provider(TOKEN_PATH)
    elsewhere = [at_provider(Seen("GET", "/api/shop", "", None, 0.0)) for _ in range(500)]
    assert elsewhere == [None] * 500
    hits = [at_provider(Seen("POST", TOKEN_PATH, "", None, 0.0)) for _ in range(2_000)]
    assert {type(hit) for hit in hits if hit} == {type(action) for action in AT_PROVIDERS.values()}


def test_an_error_of_aws_is_one_that_the_service_has() -> None:
    assert aws_action("throttled", "AmazonSQS.SendMessage") == AwsError(400, "RequestThrottled")
    assert aws_action("500", "TrentService.Decrypt") == AwsError(500, "KMSInternalException")
    assert aws_action("500", "DynamoDB_20120810.Query") == AwsError(500, "InternalServerError")
    others = [type(aws_action(name, "DynamoDB_20120810.UpdateItem")) for name in AT_AWS[2:]]
    assert others == [Reset, LoseAnswer, Delay]


def test_each_connection_is_a_merchant_of_its_own() -> None:
    keys = keys_of(1_500)
    assert len({key.merchant_id for key in keys}) == 1_500
    assert Counter(key.provider for key in keys) == dict.fromkeys((kind.id for kind in KINDS), 500)


@pytest.mark.parametrize(
    ("wanted", "done", "seconds", "age"),
    [
        (130, 0, 0, 80),
        (20, 0, 0, 0),
        (130, 500, 10, 120),
        (130, 500, 50, 80),
        (15, 500, 50, 0),
        (15, 999, 90, 14.9),
    ],
)
def test_tokens_are_as_old_as_they_shall_be_when_the_last_one_is_stored(
    wanted: float, done: int, seconds: float, age: float
) -> None:
    assert age_now(wanted, done, 1_000, seconds) == pytest.approx(age, abs=0.02)
