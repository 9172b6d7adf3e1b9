"""The arithmetic of a soak: what counts as broken, overdue, dead, overlapping or leaked."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mooring.core.upkeep import Key
from tests.faults.actions import AwsError, Delay, LoseAnswer, Reset
from tests.faults.proxy import Seen
from tests.soak.dice import AT_AWS, AT_PROVIDERS, Chance, Dice, aws_action
from tests.soak.findings import TOKEN_LENGTH, Ending, ended_of, has_token, heard
from tests.soak.plan import BARE, BOUND_SECONDS, FIXED, GRACE, KINDS, Plan
from tests.soak.providers import TOKEN_PATH, TokenCall, overlapping
from tests.soak.report import BEGIN, END, OfKind, Report, as_json, broken, command, put_into, text
from tests.soak.seeding import keys_of
from tests.soak.traffic import is_dead
from tests.soak.watch import Look, has_trace, is_troubled, judge

NOW = 1_800_000_000
KEY = Key("m-1", BARE.id, "shop-1")
LOST = "needs_reconnect lost_rotation"


def of_kind(kind: Any, **changes: Any) -> OfKind:
    good = OfKind(kind, 100, 300, {"refreshed": 300}, 0, {}, {}, 0, 0, 0, 0)
    return good._replace(**changes)


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
        dead_letters={"refresh-dead": 0, "recovery-dead": 0},
        sweeps=(30, 2),
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
    lost = {"ended": {LOST: 2}, "lost": 2, "lost_metrics": 2}
    assert broken(with_kind(BARE, **lost)) == []
    for kind in (GRACE, FIXED):
        (line,) = broken(with_kind(kind, **lost))
        assert line == f"{kind.title}: 2 connections were lost"


def test_one_that_rang_and_came_back_is_counted() -> None:
    assert broken(with_kind(BARE, ended={LOST: 2}, lost=2, lost_metrics=3, came_back=1)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ended": {LOST: 2}, "lost": 2, "lost_metrics": 1, "silent": 1}, ["never rang"]),
        ({"ended": {LOST: 1}, "lost": 1, "lost_metrics": 2}, ["2 times and logged 1 times"]),
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
    one = with_kind(BARE, ended={LOST: 4}, lost=4, lost_metrics=4)
    shown, plain = text(one), as_json(one)
    assert "`python -m tests.soak --connections 300 --minutes 2 --seed 5 --sweep-every 10`" in shown
    assert "| connections lost | 4 | 0 | 0 |" in shown
    assert "| from the last fault until everything was at rest | 200 s |" in shown
    assert f"| {2.8} |" in shown, "900 refreshes in 120 and 200 seconds"
    assert json.loads(json.dumps(plain))["kinds"][0]["ended"] == {LOST: 4}
    assert plain["broken"] == []
    assert "| refreshes a second, while faults fell and after | 1.4 |" in text(report(rested=None))


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


def row(status: str = "active", attempts: int = 0, **numbers: int) -> dict[str, Any]:
    listed = {"attempts": {"L": [{"S": "x"}] * attempts}} if attempts else {}
    return {"status": {"S": status}, **listed, **{name: {"N": str(n)} for name, n in numbers.items()}}


def test_a_row_shows_what_a_fault_has_left() -> None:
    assert not has_trace(row(due_at=NOW - 5), NOW)
    assert not has_trace(row(attempts=1, lease_until=NOW + 40), NOW), "it is just being refreshed"
    assert has_trace(row(attempts=2, lease_until=NOW + 40), NOW), "an earlier answer was lost"
    assert has_trace(row(attempts=1, lease_until=NOW - 1), NOW), "its holder died"
    assert has_trace(row(attempts=1), NOW)
    assert has_trace(row(retry_at=NOW + 9), NOW)


def test_a_row_whose_token_has_ended_is_in_trouble() -> None:
    assert is_troubled(row(expires_at=NOW - 1), NOW)
    assert not is_troubled(row(expires_at=NOW, due_at=NOW - 60), NOW)


def test_a_look_takes_the_worst_of_the_active_ones() -> None:
    good = row(due_at=NOW + 60, expires_at=NOW + 100)
    late = row(due_at=NOW - 7, expires_at=NOW + 50)
    failing = row(due_at=NOW + 20, failing_since=NOW - 90, retry_at=NOW + 20, expires_at=NOW - 3)
    ended = row("needs_reconnect", due_at=NOW - 999)
    assert judge([good, late, failing, ended], NOW) == Look(90, 3, troubled=1, busy=1, ended=1)
    assert judge([good], NOW) == Look(0, 0, 0, 0, 0)


def test_log_lines_are_counted_by_what_they_say() -> None:
    about = {"merchant_id": "m-1", "provider": BARE.id, "account_id": "shop-1", "service": "refresh"}
    lines: list[dict[str, Any]] = [
        {**about, "outcome": "failed", "reason": "lost_rotation"},
        {"_aws": {}, "LostRotation": [1.0], "NeedsReconnect": [1.0], "provider": BARE.id},
        {"_aws": {}, "RefreshInDoubt": 2, "provider": GRACE.id},
        {**about, "outcome": "refreshed"},
        {"service": "sweep", "outcome": "failed", "reason": "internal", "at": "x.py:1"},
    ]
    said = heard(lines)
    assert said.alarms == {"LostRotation": 1, "RefreshInDoubt": 2}
    assert said.outcomes == {"failed lost_rotation": 1, "refreshed": 1}
    assert (said.lost, said.lost_metrics) == ({KEY: 1}, {BARE.id: 1})
    assert len(said.odd) == 1


def test_the_ended_are_told_by_status_and_reason() -> None:
    other = Key("m-2", GRACE.id, "shop-2")
    found = [
        Ending(KEY, "needs_reconnect", "lost_rotation", 3),
        Ending(KEY, "active", "something is wrong", 3),
        Ending(other, "needs_reconnect", "lost_rotation", 3),
    ]
    assert ended_of(found, BARE) == Counter({LOST: 1})


def test_a_token_is_found_wherever_it_stands_in_a_run_of_letters() -> None:
    token = b"t" * 20 + b"_-9" + b"k" * (TOKEN_LENGTH - 23)
    for content in (token, b"xx" + token, b'{"a": "' + token + b'"}', token + b"AAAA"):
        assert has_token(content, {token})
    assert not has_token(token[1:] + b" " + token[:-1], {token})


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
