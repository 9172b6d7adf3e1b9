"""Which change of a row is which event, and what it says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.announcement import DETAIL_TYPES, Announce, Change, events_of
from mooring.core.connection import Connection, Status
from mooring.core.tokens import SealedField

NOW = 1_800_000_000
SEALED = SealedField(b"canary ciphertext", b"canary key")


def row(status: Status = Status.ACTIVE, **changes: object) -> Connection:
    standing = Connection(
        merchant_id="m-1",
        provider="prov-a",
        account_id="shop-1",
        status=status,
        generation=2,
        version=5,
        scopes=("read",),
        expires_at=NOW + 60,
        connected_at=NOW - 60,
        updated_at=NOW,
        account_verified=True,
        last_error=None,
        details={"app_key": "canary-detail"},
    )
    return standing._replace(**changes)  # type: ignore[arg-type]


def change(announce: Announce, after: Connection, before: Connection | None = None) -> Change:
    return Change(announce, before, after, SEALED, SEALED)


def types(told: Change) -> list[str]:
    return [event.detail_type for event in events_of(told)]


def test_the_six_types() -> None:
    assert list(DETAIL_TYPES.values()) == [
        "Connection Established",
        "Connection Needs Reconnect",
        "Connection Recovered",
        "Connection Uninstalled",
        "Connection Disconnected",
        "Connection Expiring",
    ]


def test_what_an_event_says() -> None:
    (event,) = events_of(change(Announce.ESTABLISHED, row()))
    assert event.detail == {
        "id": event.event_id,
        "merchant_id": "m-1",
        "provider": "prov-a",
        "account_id": "shop-1",
        "generation": 2,
        "version": 5,
        "status": "active",
        "reason": None,
        "time": NOW,
    }
    assert event.time == NOW
    assert len(event.event_id) == 32


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        (Announce.NEEDS_RECONNECT, Status.NEEDS_RECONNECT, "grant_refused"),
        (Announce.UNINSTALLED, Status.UNINSTALLED, "token_refused"),
        (Announce.DISCONNECTED, Status.DISCONNECTED, None),
        (Announce.ESTABLISHED, Status.ACTIVE, None),
    ],
)
def test_an_end_says_why(word: Announce, status: Status, reason: str | None) -> None:
    (event,) = events_of(change(word, row(status, last_error=reason or "left_over"), row()))
    assert (event.detail["status"], event.detail["reason"]) == (status.value, reason)


def test_nothing_sealed_and_nothing_of_the_provider_is_in_it() -> None:
    for word in Announce:
        for event in events_of(change(word, row(expiring_at=NOW + 60), None)):
            assert "canary" not in json.dumps(event.detail)
    assert "canary" not in repr(change(Announce.ESTABLISHED, row()).access)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (None, ["Connection Expiring"]),
        (row(), ["Connection Expiring"]),
        (row(expiring_at=NOW + 60), []),
    ],
)
def test_expiring_is_told_once(before: Connection | None, told: list[str]) -> None:
    after = row(expiring_at=NOW + 60)
    assert types(change(Announce.EXPIRING, after, before)) == told
    if told:
        (event,) = events_of(change(Announce.EXPIRING, after, before))
        assert event.detail["expiring_at"] == NOW + 60


@pytest.mark.parametrize(
    ("before", "expiring_at", "told"),
    [
        (row(Status.NEEDS_RECONNECT), None, ["Connection Recovered"]),
        (row(), None, []),
        (None, None, ["Connection Recovered"]),
        (row(Status.NEEDS_RECONNECT), NOW + 60, ["Connection Recovered", "Connection Expiring"]),
        (row(), NOW + 60, ["Connection Expiring"]),
        (row(expiring_at=NOW + 60), NOW + 60, []),
    ],
)
def test_recovered_is_what_had_been_given_up(
    before: Connection | None, expiring_at: int | None, told: list[str]
) -> None:
    assert types(change(Announce.RECOVERED, row(expiring_at=expiring_at), before)) == told


def test_the_same_change_makes_the_same_ids() -> None:
    told = change(Announce.RECOVERED, row(expiring_at=NOW + 60), row(Status.NEEDS_RECONNECT))
    first, again = events_of(told), events_of(told)
    assert first == again
    assert len({event.event_id for event in first}) == 2


@given(st.sampled_from(["merchant_id", "provider", "account_id", "generation", "version", "updated_at"]))
def test_what_differs_has_another_id(field: str) -> None:
    other = {"merchant_id": "m-2", "provider": "prov-b", "account_id": "shop-2"}.get(field, 77)
    (one,) = events_of(change(Announce.ESTABLISHED, row()))
    (two,) = events_of(change(Announce.ESTABLISHED, row(Status.ACTIVE, **{field: other})))
    (three,) = events_of(change(Announce.DISCONNECTED, row()))
    assert len({one.event_id, two.event_id, three.event_id}) == 3


@pytest.mark.parametrize("word", list(Announce))
def test_only_what_we_ended_is_revoked(word: Announce) -> None:
    assert change(word, row(), row()).cut_off is (word is Announce.DISCONNECTED)
    assert Change(word, row(), row()).cut_off is False
