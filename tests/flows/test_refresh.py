"""A refresh that succeeds: what is asked, in which order, and what stands in the row afterwards."""

from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.provider import Provider
from mooring.core.upkeep import Answer, Cause, Hindrance, Order, Seen
from mooring.flows.refresh import _HINDERED
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import (
    BOTH,
    DOWN,
    EAGER,
    GRACE,
    IDLE,
    KEY,
    LIFETIME,
    PROBED,
    SEEN,
    SOMETIMES,
    UpkeepWorld,
)
from tests.flows.world import refusal

NEW = REFRESHED._replace(
    access_token="canary-access-1", refresh_token="canary-refresh-1", expires_at=NOW + LIFETIME
)


def order(provider: Provider = EAGER, cause: Cause = Cause.DUE, seen: Seen | None = SEEN) -> Order:
    return Order(KEY._replace(provider=provider.id), seen, cause)


def test_one_lease_one_call_one_write(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW
    assert upkeep.refresh() == Answer("refreshed")
    assert upkeep.keeper.refreshes == [
        RefreshCall("acme", "canary-refresh-0", "canary-client-secret-of-acme", NOW)
    ]
    assert upkeep.journal[0] == "lease"
    assert sorted(upkeep.journal[1:4]) == ["client_secret", "open", "reuse"]
    assert upkeep.journal[4:] == ["refresh", "store"]


def test_what_stands_in_the_row_afterwards(upkeep: UpkeepWorld) -> None:
    upkeep.stands(failures=3, retry_at=NOW - 1, unauthorized_count=2, last_error="provider_timeout")
    before = upkeep.row()
    upkeep.keeper.tokens = NEW._replace(scopes=("read", "more"), details={"plan": "pro"})
    upkeep.refresh()
    assert upkeep.tokens() == ("canary-access-1", "canary-refresh-1")
    assert upkeep.row() == before._replace(
        version=6,
        scopes=("read", "more"),
        expires_at=NOW + LIFETIME,
        updated_at=NOW,
        issued_at=NOW,
        last_error=None,
        details={"app_key": "k", "plan": "pro"},
    )
    rest = upkeep.rest()
    assert (rest.lease_owner, rest.lease_until, rest.attempts, rest.attempt_at) == ("", None, (), None)
    assert (rest.retry_at, rest.failures, rest.unauthorized_count) == (None, 0, 0)
    assert (rest.written_by, rest.due_at) == ("attempt-1", NOW + LIFETIME - 900)


def test_the_data_keys_of_the_connection_are_used_again(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    row, old = upkeep.connections.row(KEY), upkeep.rest().refresh
    upkeep.refresh()
    new = upkeep.connections.row(KEY)
    assert row is not None
    assert new is not None
    assert row.access is not None
    assert new.access is not None
    assert new.access.wrapped_key == row.access.wrapped_key
    assert new.access.ciphertext != row.access.ciphertext
    assert old is not None
    assert upkeep.rest().refresh is not None
    assert upkeep.rest().refresh != old
    assert upkeep.rest().refresh.wrapped_key == old.wrapped_key  # type: ignore[union-attr]
    assert "prepare" not in upkeep.journal


def test_an_answer_without_a_refresh_token_keeps_the_old_one_and_its_end(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="grace"), refresh_expires_at=NOW + 86_400)
    upkeep.keeper.tokens = NEW._replace(refresh_token=None)
    assert upkeep.refresh(order(GRACE)).word == "refreshed"
    assert upkeep.tokens(key) == ("canary-access-1", "canary-refresh-0")
    assert upkeep.rest(key).refresh_expires_at == NOW + 86_400
    assert upkeep.rest(key).previous_refresh is None


def test_a_restated_end_of_the_old_refresh_token_counts(upkeep: UpkeepWorld) -> None:
    upkeep.stands(refresh_expires_at=NOW + 86_400)
    upkeep.keeper.tokens = NEW._replace(refresh_token=None, refresh_expires_at=NOW + 90_000)
    upkeep.refresh()
    assert upkeep.rest().refresh_expires_at == NOW + 90_000


def test_a_new_refresh_token_without_an_end_has_none(upkeep: UpkeepWorld) -> None:
    upkeep.stands(refresh_expires_at=NOW + 86_400)
    upkeep.keeper.tokens = NEW
    upkeep.refresh()
    assert upkeep.rest().refresh_expires_at is None


def test_the_previous_token_is_kept_for_the_grace(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="grace"))
    upkeep.keeper.tokens = NEW
    upkeep.refresh(order(GRACE))
    rest = upkeep.rest(key)
    assert upkeep.opened(key, "refresh", rest.previous_refresh) == "canary-refresh-0"
    assert rest.previous_until == NOW + 60
    assert upkeep.tokens(key)[1] == "canary-refresh-1"


def test_without_a_grace_no_previous_token_is_kept(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.refresh()
    assert (upkeep.rest().previous_refresh, upkeep.rest().previous_until) == (None, None)


def test_scopes_that_an_answer_does_not_name_stay(upkeep: UpkeepWorld) -> None:
    upkeep.stands(scopes=("read", "write"))
    upkeep.keeper.tokens = NEW._replace(scopes=None)
    upkeep.refresh()
    assert upkeep.row().scopes == ("read", "write")
    upkeep.clock.advance(LIFETIME)
    upkeep.keeper.tokens = NEW._replace(scopes=())
    upkeep.refresh(order(seen=Seen(2, 6)))
    assert upkeep.row().scopes == ()


@pytest.mark.parametrize(
    ("provider", "expires_at", "due_at"),
    [(EAGER, None, None), (EAGER, NOW + 100, None), (IDLE, None, NOW + 20 * 86_400),
     (IDLE, NOW + 900, NOW + 600)],
)  # fmt: skip
def test_when_it_is_due_again(
    upkeep: UpkeepWorld, provider: Provider, expires_at: int | None, due_at: int | None
) -> None:
    key = upkeep.stands(KEY._replace(provider=provider.id))
    upkeep.keeper.tokens = NEW._replace(expires_at=expires_at)
    upkeep.refresh(order(provider))
    assert (upkeep.rest(key).due_at, upkeep.row(key).expires_at) == (due_at, expires_at)


def test_a_public_client_sends_no_secret_and_asks_for_none(upkeep: UpkeepWorld) -> None:
    upkeep.stands(KEY._replace(provider="public"))
    upkeep.secrets.outage = True
    assert upkeep.refresh(order()._replace(key=KEY._replace(provider="public"))).word == "refreshed"
    assert [call.client_secret for call in upkeep.keeper.refreshes] == [""]
    assert "client_secret" not in upkeep.journal


def test_an_answer_may_name_the_same_account_or_none(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW._replace(account_id=KEY.account_id)
    assert upkeep.refresh().word == "refreshed"


# Who gets no lease: nothing is opened, nothing is sent, nothing is changed.


@pytest.mark.parametrize(
    ("row", "asked", "expected"),
    [
        ({"status": Status.NEEDS_RECONNECT}, order(), Answer("skipped", Reason.CONNECTION_NOT_ACTIVE)),
        ({"status": Status.UNINSTALLED}, order(), Answer("skipped", Reason.CONNECTION_NOT_ACTIVE)),
        ({"status": Status.DISCONNECTED}, order(seen=None), Answer("skipped", Reason.CONNECTION_NOT_ACTIVE)),
        ({"generation": 3}, order(), Answer("fresh")),
        ({"version": 6}, order(), Answer("fresh")),
        ({"version": 4}, order(), Answer("fresh")),
        ({"refresh": None}, order(), Answer("skipped", Reason.TOKEN_EXPIRED)),
        ({"lease_owner": "x", "lease_until": NOW + 1}, order(), Answer("busy", Reason.REFRESH_BUSY, NOW + 1)),
        (
            {"attempts": ("x",), "attempt_at": NOW - 119},
            order(cause=Cause.ASKED),
            Answer("waiting", Reason.REFRESH_IN_DOUBT, NOW + 1),
        ),
        ({"retry_at": NOW + 9}, order(), Answer("waiting", Reason.REFRESH_PUT_OFF, NOW + 9)),
        (
            {"retry_at": NOW + 9},
            order(cause=Cause.READ),
            Answer("waiting", Reason.REFRESH_PUT_OFF, NOW + 9),
        ),
        ({"due_at": NOW + 60}, order(), Answer("fresh", None, NOW + 60)),
        ({"due_at": None}, order(), Answer("fresh")),
        (
            {"issued_at": NOW - 59},
            order(cause=Cause.UNAUTHORIZED),
            Answer("fresh", None, NOW + 1),
        ),
    ],
)
def test_who_gets_no_lease_asks_nobody(
    upkeep: UpkeepWorld, row: dict[str, Any], asked: Order, expected: Answer
) -> None:
    upkeep.stands(**row)
    before = upkeep.snapshot()
    assert upkeep.refresh(asked) == expected
    assert (upkeep.keeper.refreshes, upkeep.snapshot()) == ([], before)
    assert upkeep.journal == ["lease"]


def test_a_connection_that_nobody_has(upkeep: UpkeepWorld) -> None:
    assert upkeep.refresh() == Answer("skipped", Reason.CONNECTION_NOT_FOUND)
    assert upkeep.connections.rows == {}


def test_every_hindrance_has_an_answer() -> None:
    assert {*_HINDERED} == {*Hindrance}


@pytest.mark.parametrize("cause", [Cause.READ, Cause.UNAUTHORIZED, Cause.ASKED, Cause.HINT])
def test_only_the_schedule_waits_until_it_is_due(upkeep: UpkeepWorld, cause: Cause) -> None:
    upkeep.stands(due_at=NOW + 600, expires_at=NOW + 1_000)
    upkeep.keeper.tokens = NEW
    assert upkeep.refresh(order(cause=cause)).word == "refreshed"


def test_an_operator_does_not_wait_for_a_pause_to_end(upkeep: UpkeepWorld) -> None:
    upkeep.stands(retry_at=NOW + 200)
    upkeep.keeper.tokens = NEW
    assert upkeep.refresh(order(cause=Cause.ASKED)).word == "refreshed"


@pytest.mark.parametrize("provider", [PROBED, BOTH])
def test_what_has_nothing_to_refresh_with_is_not_refreshed(upkeep: UpkeepWorld, provider: Provider) -> None:
    upkeep.stands(KEY._replace(provider=provider.id), refresh=None)
    assert upkeep.refresh(order(provider)) == Answer("skipped", Reason.TOKEN_EXPIRED)
    assert upkeep.keeper.refreshes == []


def test_a_provider_that_lost_its_refresh_leases_nothing(upkeep: UpkeepWorld) -> None:
    upkeep.stands(KEY._replace(provider="probed"))
    assert upkeep.refresh(order(PROBED)) == Answer("skipped", Reason.TOKEN_EXPIRED)
    assert upkeep.journal == []


def test_a_provider_that_nobody_knows(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    del upkeep.providers["acme"]
    assert refusal(upkeep.refresh).reason is Reason.PROVIDER_UNKNOWN
    assert upkeep.journal == []


def test_without_the_table_no_lease_and_no_call(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.leases.broken["lease"] = DOWN
    assert refusal(upkeep.refresh).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.journal == ["lease"]


@pytest.mark.parametrize(("seconds", "enough"), [(27.9, False), (28.0, True)])
def test_it_does_not_begin_what_it_cannot_finish(upkeep: UpkeepWorld, seconds: float, enough: bool) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW
    before = upkeep.snapshot()
    if enough:
        assert upkeep.refresh(seconds=seconds).word == "refreshed"
        return
    assert refusal(lambda: upkeep.refresh(seconds=seconds)).reason is Reason.OUT_OF_TIME
    assert (upkeep.journal, upkeep.snapshot()) == ([], before)


def test_a_rotation_that_is_not_certain_is_taken_for_one(upkeep: UpkeepWorld) -> None:
    upkeep.stands(KEY._replace(provider="sometimes"), attempts=("x",), attempt_at=NOW - 60)
    assert upkeep.refresh(order(SOMETIMES)).reason is Reason.REFRESH_IN_DOUBT
