"""What a soak reads in rows and logs: who is belated, dead, lost and alarmed, and what became of sweeps."""

from collections import Counter
from typing import Any

from mooring.core.upkeep import Key
from tests.soak.findings import (
    TOKEN_LENGTH,
    Ending,
    Losses,
    Sweeps,
    ended_of,
    has_token,
    heard,
    losses,
    sweeps,
)
from tests.soak.plan import BARE, GRACE
from tests.soak.watch import Look, has_trace, is_troubled, judge

NOW = 1_800_000_000
KEY = Key("m-1", BARE.id, "shop-1")
OTHER, THIRD = KEY._replace(merchant_id="m-2"), KEY._replace(merchant_id="m-3")
ABOUT = KEY._asdict()
LOST = "needs_reconnect lost_rotation"


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
    about = {**ABOUT, "service": "refresh"}
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


def test_a_loss_is_told_by_refresh_by_announce_or_by_both() -> None:
    """Of two it said so about both, and twice about the other one; of the third nobody did."""
    announced = {"outcome": "announced", "service": "announce", "provider": BARE.id}
    lines: list[dict[str, Any]] = [
        {**ABOUT, "service": "refresh", "outcome": "failed", "reason": "lost_rotation"},
        {"_aws": {}, "service": "refresh", "LostRotation": [1.0], "provider": BARE.id},
        {**announced, **ABOUT, "detail": "Connection Needs Reconnect"},
        *[{**announced, **OTHER._asdict(), "detail": "Connection Needs Reconnect"}] * 2,
        {**announced, **THIRD._asdict(), "detail": "Connection Established"},
        *[{"_aws": {}, "service": "announce", "LossAnnounced": [1.0], "provider": BARE.id}] * 3,
    ]
    said = heard(lines)
    assert said.alarms == {"LostRotation": 1, "LossAnnounced": 3}
    both = losses([KEY, OTHER], said, BARE.id)
    assert both == Losses(2, by_refresh=1, silent=0, logged=1, counted=1, announced=3)
    assert losses([KEY, OTHER, THIRD], said, BARE.id).silent == 1
    assert losses([], said, GRACE.id) == Losses(0, 0, 0, 0, 0, 0)


def test_a_sweep_that_says_nothing_has_died() -> None:
    """As the emulator writes it: one ends well, one fails, one is killed, one is too slow, one ends well."""
    start = "START RequestId: 577edca5-4fd3-4aa8-98a4-1ca4cd62bf2a Version: $LATEST\n"
    log = (
        f'{start}{{"outcome": "swept"}}\n{{"_aws": {{"Timestamp": 1000}}, "Swept": [1.0]}}\nEND Request\n'
        f'{start}{{"outcome": "failed", "reason": "storage_unavailable"}}\n[ERROR] RuntimeError\n'
        f"{start}22 Nov 2026 17:52:43,890 [WARNING] (rapid) Process runtime-1 exited: signal: killed\n"
        f'{start}{{"outcome": "sw\n'
        f'{start}{{"outcome": "swept"}}\n{{"_aws": {{"Timestamp": 241500}}, "Swept": [1.0]}}\n'
    )
    assert sweeps(log) == Sweeps(started=5, ended=2, failed=1, gap_seconds=240)
    assert sweeps(log).died == 2
    assert sweeps("") == Sweeps(0, 0, 0, 0)


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
