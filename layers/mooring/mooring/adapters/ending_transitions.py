"""Every change of a connection's row that probes, doubts or ends it (see `transitions`)."""

from collections.abc import Mapping

from mooring.adapters.expressions import Update
from mooring.adapters.items import Plain
from mooring.adapters.row_conditions import (
    ATTEMPTS,
    DUE,
    PREVIOUS,
    UNDER_WAY,
    connection_row,
    fall_due,
    give_up,
    or_again,
    while_active,
    while_seen,
)
from mooring.core.announcement import Announce
from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.schedule import due_shard
from mooring.core.upkeep import EXPIRING_SECONDS, LATE_SECONDS, REPORT_SECONDS, REPORTS_SECONDS, Key, Seen

_TOKENS = ("access", "access_key", "refresh", "refresh_key", *PREVIOUS)
_TOLD_OF_TOKENS = ("expires_at", "refresh_expires_at", "issued_at", "expiring_at")
_LIVING: Mapping[str, Plain] = {"active": Status.ACTIVE.value, "given_up": Status.NEEDS_RECONNECT.value}


def probing(
    table: str,
    key: Key,
    seen: Seen | None,
    now: int,
    *,
    pause: int,
    due_at: int | None,
    expires_at: int | None = None,
) -> Update:
    """A round of probes begins; returns the row as it was.

    A new `due_at` is written only beside the end with which it was reckoned. Without one (None) a row that
    ends refuses it, and is shown, so that it can be reckoned anew.
    """
    update = while_active(connection_row(table, key), seen).at_most("probed_at", now - pause)
    update.set("probed_at", now).returning("ALL_OLD")
    if due_at is None:
        return update.silent()
    if expires_at is None:
        update.when("attribute_not_exists(#expires_at)", ("expires_at",), {})
    else:
        update.silent().when("#expires_at = :expires_at", ("expires_at",), {"expires_at": expires_at})
    return fall_due(update, key, due_at)


def reminded(table: str, key: Key, due_at: int) -> Update:
    """It falls due at `due_at`, unless it does so earlier."""
    update = fall_due(while_active(connection_row(table, key), None), key, due_at).silent()
    return update.when("attribute_not_exists(#due_at) OR #due_at > :due_at", (), {})


def postponed(table: str, key: Key, until: int, now: int) -> Update:
    """A hint waits until `until`, unless one waits already.

    Made again after its answer was lost it is refused like a second hint: the two cannot be told apart, and
    whoever floods us with hints must not get one queued for each.
    """
    update = while_active(connection_row(table, key), None).at_most("hinted_until", now)
    return update.set("hinted_until", until).silent()


def expired(table: str, key: Key, seen: Seen | None, now: int) -> Update:
    """Its token has run out, and nothing can refresh it: the merchant has to come back."""
    update = give_up(_given_up(table, key), Reason.TOKEN_EXPIRED.value, now).remove(*ATTEMPTS).silent()
    active = {"active": Status.ACTIVE.value}
    update.when("#expires_at <= :late", ("expires_at",), {"late": now - LATE_SECONDS})
    update.when("attribute_not_exists(#refresh)", ("refresh",), {})
    update.when(or_again("#status = :active", "last_error"), (), active)
    return update if seen is None else while_seen(update, seen)


def expiring(table: str, key: Key, seen: Seen | None, now: int) -> Update:
    """Its token runs out soon, which is noted once; it falls due at its end."""
    update = while_active(connection_row(table, key, Announce.EXPIRING), seen)
    update.set("updated_at", now).silent()
    update.copy("expires_at", to="expiring_at").copy("expires_at", to="due_at")
    update.set("due_shard", due_shard(key.provider, key.merchant_id, key.account_id))
    update.when("#expires_at <= :near", (), {"near": now + EXPIRING_SECONDS})
    update.when("attribute_not_exists(#refresh)", ("refresh",), {})
    return update.when("attribute_not_exists(#expiring_at) OR #updated_at = :updated_at", (), {})


def reported_anew(table: str, key: Key, seen: Seen, now: int) -> Update:
    """A service was answered 401, and the reports before are none or forgotten: the count begins at one."""
    update = _reported(table, key, seen, now).at_most("unauthorized_at", now - REPORTS_SECONDS)
    return update.set("unauthorized_count", 1)


def reported(table: str, key: Key, seen: Seen, now: int) -> Update:
    """A service was answered 401, a minute or more after the one before; returns the count."""
    update = _reported(table, key, seen, now).at_most("unauthorized_at", now - REPORT_SECONDS)
    return update.count("unauthorized_count").returning("UPDATED_NEW")


def alive(table: str, key: Key, seen: Seen) -> Update:
    """The provider took the token: counted 401s are forgotten."""
    update = while_active(connection_row(table, key), seen).silent()
    return update.set("unauthorized_count", 0).remove("unauthorized_at")


def refused(table: str, key: Key, seen: Seen, reason: Reason, now: int, *, uninstall: bool) -> Update:
    """The provider does not take the token: the merchant has to come back, or has removed us."""
    if uninstall:
        update = _ended(table, key, Announce.UNINSTALLED, now).set("last_error", reason.value)
        update.set("uninstalled_at", now)
    else:
        update = give_up(_given_up(table, key), reason.value, now).remove(*ATTEMPTS).silent()
    active = {"active": Status.ACTIVE.value}
    return while_seen(update, seen).when(or_again("#status = :active", "last_error"), (), active)


def uninstalled(table: str, key: Key, at: int, now: int) -> Update:
    """The account removed us at `at`, after it was connected."""
    update = _ended(table, key, Announce.UNINSTALLED, now).set("uninstalled_at", at).remove("last_error")
    update.when(or_again("#status IN (:active, :given_up)", "uninstalled_at"), (), _LIVING)
    return update.when("#connected_at < :uninstalled_at", ("connected_at",), {})


def disconnected(table: str, key: Key, now: int) -> Update:
    """The merchant or the product cut it off."""
    update = _ended(table, key, Announce.DISCONNECTED, now).remove("last_error")
    return update.when(or_again("#status IN (:active, :given_up)"), (), _LIVING)


def revoked(table: str, key: Key, generation: int, outcome: str) -> Update:
    """What became of the tokens at their provider, while this generation stands there as disconnected."""
    update = connection_row(table, key).set("revocation", outcome).silent()
    return update.when(
        "#status = :disconnected AND #generation = :generation",
        ("status", "generation"),
        {"disconnected": Status.DISCONNECTED.value, "generation": generation},
    )


def _reported(table: str, key: Key, seen: Seen, now: int) -> Update:
    return while_active(connection_row(table, key), seen).set("unauthorized_at", now).silent()


def _given_up(table: str, key: Key) -> Update:
    return connection_row(table, key, Announce.NEEDS_RECONNECT)


def _ended(table: str, key: Key, how: Announce, now: int) -> Update:
    """It is over: what was sealed is erased, and with it all that speaks of it or would act on it.

    Made by functions that may not see sealed fields, so nothing of the row is ever returned.
    """
    update = connection_row(table, key, how).set("status", Status(how.value).value)
    update.set("updated_at", now).silent()
    return update.remove(*_TOKENS, *_TOLD_OF_TOKENS, *DUE, *UNDER_WAY)
