"""What must hold whatever breaks, asked of the table, of the log, and of the provider itself."""

from itertools import pairwise
from typing import Any

from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.errors import ALARMS, Reason
from mooring.core.tokens import SealedField
from tests.e2e.running import FIFTH, RunningStack
from tests.e2e.upkeep import Upkeep

LOST = frozenset({"LostRotation", "TokenLost"})
"""The metrics that ring when a token set is lost."""


def opened(
    stack: RunningStack, one: Upkeep, field: str = "refresh", row: dict[str, Any] | None = None
) -> str:
    """A sealed field of a connection's row (of the present one by default), in the clear."""
    row = row or one.row()
    sealed = SealedField(row[field], row[f"{field}_key"])
    keys = EnvelopeSealer(Kms(stack.aws("kms")), lambda: 0.0)
    return keys.open(sealed, *one.key, field)


def accepted(stack: RunningStack, one: Upkeep) -> set[str]:
    """The refresh tokens of a connection's account that the provider would take now."""
    found = stack.simulator(one.key.provider).refresh_tokens()
    return {held["refresh_token"] for held in found if held["account"] == one.key.account_id}


def alarms(one: Upkeep, function: str = "refresh") -> set[str]:
    """The metrics that rang about a connection, by what its log lines say."""
    reasons = [Reason(line["reason"]) for line in one.lines(function) if line.get("reason")]
    return {ALARMS[reason] for reason in reasons if reason in ALARMS}


def no_token_lost(broken: RunningStack, one: Upkeep) -> None:
    """I1: what is stored is what the provider takes, or the merchant is asked to come again and it rang."""
    row = one.row()
    if row["status"] == "active":
        stored = opened(broken, one, row=row)
        assert stored in accepted(broken, one), "the provider does not take the refresh token that is stored"
        return
    assert row["status"] == "needs_reconnect", row["status"]
    assert alarms(one) & LOST, f"nothing rang: {one.lines()}"
    rung = {metric for line in broken.log_lines("refresh") if "_aws" in line for metric in LOST & line.keys()}
    assert rung, "a log line says that a token was lost, and no metric does"


def one_call_in_flight(broken: RunningStack, since: int = 0, provider: str = FIFTH) -> None:
    """I2: of the provider's token calls from number `since` on, no two were in flight at once.

    The provider's log does not say whose token it was: the calls are taken to be of one connection.
    """
    calls = sorted(broken.simulator(provider).calls()[since:], key=lambda call: call["began_at"])
    for earlier, call in pairwise(calls):
        assert call["began_at"] >= earlier["at"], f"two calls at once: {earlier}, {call}"


def no_false_death(broken: RunningStack, one: Upkeep) -> None:
    """I6: a connection whose grant lives at the provider is active, and nothing said otherwise of it."""
    assert accepted(broken, one), "the grant is dead: this is no test of false death"
    row = one.row()
    assert row["status"] == "active", (row["status"], row.get("last_error"))
    said = {line.get("reason") for line in one.lines()}
    assert not said & {"grant_refused", "lost_rotation", "token_refused"}, said
