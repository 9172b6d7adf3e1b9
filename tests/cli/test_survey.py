"""What counts as overdue, in doubt, put off and stuck."""

from typing import Any

from mooring_cli.survey import Survey

NOW = 1_790_000_000


def row(
    merchant: str = "m-1", key: str = "acme#shop-7", status: str = "active", **more: Any
) -> dict[str, Any]:
    return {"merchant_id": merchant, "connection": key, "status": status, **more}


def surveyed(*rows: dict[str, Any], enabled: frozenset[str] | None = None) -> Survey:
    survey = Survey(enabled)
    for each in rows:
        survey.add(each, NOW)
    return survey


def test_counts_by_provider_and_status() -> None:
    found = surveyed(
        row(), row("m-2"), row("m-3", "other#x", "uninstalled"), row("m-4", status="of-a-later-release")
    )
    assert found.statuses == {"acme": {"active": 2, "of-a-later-release": 1}, "other": {"uninstalled": 1}}
    assert found.total == 4


def test_what_a_provider_did_not_revoke_is_counted_while_it_is_cut_off() -> None:
    found = surveyed(
        row("m-1", "acme#a", "disconnected", revocation="failed"),
        row("m-2", "acme#a", "disconnected", revocation="revoked"),
        row("m-3", "acme#a", "disconnected"),
        row("m-4", "acme#a", "active", revocation="failed"),
        row("m-5", "other#a", "disconnected", revocation="failed"),
    )
    assert found.unrevoked == {"acme": 1, "other": 1}


def test_pointers_are_no_connections() -> None:
    found = surveyed({"merchant_id": "@account#acme#shop-7", "connection": "m-1"})
    assert found == Survey()


def test_overdue_is_later_than_two_sweeps() -> None:
    found = surveyed(
        row(due_at=NOW - 120), row("m-2", "acme#a:b#c", due_at=NOW - 121), row("m-3", due_at=NOW + 9)
    )
    assert (found.overdue.count, found.overdue.oldest_seconds) == (1, 121)
    assert found.overdue.oldest == "m-2 acme a:b#c"


def test_the_oldest_is_named_whatever_the_order() -> None:
    for ages in ((200, 900, 300), (900, 300, 200), (300, 200, 900)):
        found = surveyed(*(row(f"m-{age}", due_at=NOW - age) for age in ages))
        assert (found.overdue.count, found.overdue.oldest_seconds, found.overdue.oldest) == (
            3,
            900,
            "m-900 acme shop-7",
        )


def test_only_active_connections_can_be_late() -> None:
    late: dict[str, Any] = {
        "due_at": NOW - 900,
        "attempts": ["a"],
        "attempt_at": NOW - 900,
        "lease_until": NOW - 800,
    }
    found = surveyed(*(row(status=status, **late) for status in ("needs_reconnect", "disconnected")))
    assert (found.overdue.count, found.in_doubt.count, found.stuck.count) == (0, 0, 0)


def test_what_is_leased_is_being_worked_on() -> None:
    found = surveyed(row(due_at=NOW - 900, attempts=["a"], attempt_at=NOW - 5, lease_until=NOW + 1))
    assert (found.overdue.count, found.in_doubt.count, found.stuck.count) == (0, 0, 0)


def test_an_attempt_without_a_lease_is_in_doubt_and_not_overdue_besides() -> None:
    found = surveyed(
        row(due_at=NOW - 900, attempts=["a", "b"], attempt_at=NOW - 400),
        row("m-2", attempts=["c"], attempt_at=NOW - 30, lease_until=NOW - 10),
    )
    assert (found.in_doubt.count, found.in_doubt.oldest_seconds) == (2, 400)
    assert (found.overdue.count, found.stuck.count) == (0, 0)


def test_in_doubt_and_looked_at_since_is_in_doubt_of_no_known_age() -> None:
    row_ = row(attempts=["a"], due_at=NOW - 121, failing_since=NOW - 500)
    found = surveyed(row_)
    assert (found.in_doubt.count, found.in_doubt.oldest_seconds, found.in_doubt.oldest) == (1, 0, "")
    assert found.overdue.count == 1  # nobody waits for a lost answer any more
    both = surveyed(row_, row("m-2", attempts=["b"], attempt_at=NOW - 30))
    assert (both.in_doubt.count, both.in_doubt.oldest) == (2, "m-2 acme shop-7")


def test_failing_is_what_no_refresh_mended_for_ten_minutes() -> None:
    pause: dict[str, Any] = {"retry_at": NOW + 60, "last_error": "provider_timeout"}
    found = surveyed(
        row(failing_since=NOW - 600, **pause),
        row("m-2", failing_since=NOW - 601, **pause),
        row("m-3", failing_since=NOW - 90_000, last_error="provider_unavailable", lease_until=NOW + 5),
        row("m-4", failing_since=NOW - 700, **pause),
        row("m-5", status="needs_reconnect", failing_since=NOW - 700),
    )
    assert (found.failing.count, found.failing.oldest_seconds) == (3, 90_000)
    assert found.failing.oldest == "m-3 acme shop-7"
    assert (found.failing_reasons, found.ended) == ({"provider_timeout": 2, "provider_unavailable": 1}, 0)


def test_a_dead_token_is_failing_at_once() -> None:
    found = surveyed(
        row(failing_since=NOW - 30, expires_at=NOW),
        row("m-2", failing_since=NOW - 30, expires_at=NOW + 1),
        row("m-3", expires_at=NOW - 900),  # nobody tried: it is renewed when somebody reads it
    )
    assert (found.failing.count, found.failing.oldest_seconds, found.ended) == (1, 30, 1)


def test_a_provider_that_is_not_enabled_is_counted_apart() -> None:
    late: dict[str, Any] = {
        "due_at": NOW - 900,
        "failing_since": NOW - 1_000,
        "attempts": ["a"],
        "attempt_at": NOW - 950,
    }
    gone = (
        row(**late, lease_until=NOW - 905),
        row("m-2", expires_at=NOW - 5_000),
        row("m-3", due_at=NOW - 120, expires_at=NOW),
        row("m-4", status="disconnected"),
    )
    found = surveyed(*gone, row("m-5", "other#x", due_at=NOW - 121), enabled=frozenset({"other"}))
    assert found.disabled == {"acme": 3}
    assert (found.forsaken.count, found.forsaken.oldest) == (2, "m-2 acme shop-7")
    assert found.overdue.oldest == "m-5 other x"
    assert [tally.count for tally in (found.overdue, found.failing, found.in_doubt, found.stuck)] == [
        1,
        0,
        0,
        0,
    ]
    assert found.statuses["acme"] == {"active": 3, "disconnected": 1}


def test_a_lease_that_ended_a_minute_ago_is_stuck() -> None:
    found = surveyed(row(lease_until=NOW - 60), row("m-2", lease_until=NOW - 61))
    assert (found.stuck.count, found.stuck.oldest) == (1, "m-2 acme shop-7")


def test_put_off_is_not_overdue_and_has_a_reason() -> None:
    found = surveyed(
        row(due_at=NOW - 900, retry_at=NOW + 1, last_error="provider_timeout"),
        row(due_at=NOW - 900, retry_at=NOW + 60, last_error="provider_timeout"),
        row(retry_at=NOW + 60),
        row("m-4", due_at=NOW - 900, retry_at=NOW - 1, last_error="provider_timeout"),
    )
    assert found.reasons == {"provider_timeout": 2, "no reason": 1}
    assert found.overdue.oldest == "m-4 acme shop-7"


def test_why_merchants_are_needed() -> None:
    found = surveyed(row(status="needs_reconnect", last_error="grant_refused"), row(status="needs_reconnect"))
    assert found.lost == {"grant_refused": 1, "no reason": 1}


def test_expiring_is_what_its_merchant_must_renew_and_when() -> None:
    found = surveyed(
        row(expiring_at=NOW + 9_000),
        row("m-2", expiring_at=NOW + 600),
        row("m-3", expiring_at=NOW + 200_000, lease_until=NOW + 5),
        row("m-4"),
        row("m-5", status="needs_reconnect", expiring_at=NOW + 5),
    )
    assert (found.expiring.count, found.expiring.first) == (3, "m-2 acme shop-7")
    assert (found.expiring.first_seconds, found.expiring.last_seconds) == (600, 200_000)
    over = surveyed(row(expiring_at=NOW - 5))
    assert (over.expiring.count, over.expiring.first_seconds, over.expiring.last_seconds) == (1, 0, 0)


def test_pending_confirmations() -> None:
    pending = ("m-1", "@pending#0a", "pending_confirmation")
    found = surveyed(row(*pending, pending_until=NOW + 1), row(*pending, pending_until=NOW), row(*pending))
    assert (found.waiting, found.lapsed, found.total) == (2, 1, 0)
