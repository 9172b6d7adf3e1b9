"""What counts as overdue, in doubt, put off and stuck."""

from typing import Any

from mooring_cli.survey import Survey

NOW = 1_790_000_000


def row(
    merchant: str = "m-1", key: str = "acme#shop-7", status: str = "active", **more: Any
) -> dict[str, Any]:
    return {"merchant_id": merchant, "connection": key, "status": status, **more}


def surveyed(*rows: dict[str, Any]) -> Survey:
    survey = Survey()
    for each in rows:
        survey.add(each, NOW)
    return survey


def test_counts_by_provider_and_status() -> None:
    found = surveyed(
        row(), row("m-2"), row("m-3", "other#x", "uninstalled"), row("m-4", status="of-a-later-release")
    )
    assert found.statuses == {"acme": {"active": 2, "of-a-later-release": 1}, "other": {"uninstalled": 1}}
    assert found.total == 4


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


def test_pending_confirmations() -> None:
    pending = ("m-1", "@pending#0a", "pending_confirmation")
    found = surveyed(row(*pending, pending_until=NOW + 1), row(*pending, pending_until=NOW), row(*pending))
    assert (found.waiting, found.lapsed, found.total) == (2, 1, 0)
