"""What each write of a connection's row has to tell: its word or nothing, never what the one before had."""

from collections.abc import Callable
from typing import Any

import pytest

from mooring.adapters import ending_transitions, transitions
from mooring.adapters.expressions import Update
from mooring.core.announcement import Announce
from mooring.core.connection import Account, NewConnection
from mooring.core.errors import Reason
from mooring.core.upkeep import Cause, Key, Leased, Order, Seen, Setback
from tests.contract.samples import EVERYTHING, NOW
from tests.contract.upkeep_world import fresh
from tests.core.test_announcement import row

KEY, SEEN = Key("m-1", "prov-a", "shop-1"), Seen(2, 5)
NEW = NewConnection("m-1", "prov-a", Account("shop-1", True), EVERYTHING, NOW, NOW, NOW)
LEASED = Leased(KEY, "one", row(), EVERYTHING.access, EVERYTHING.access, ("one",), 0, None)
FRESH = fresh(LEASED, NOW)
ENDING_SOON = FRESH._replace(fresh=FRESH.fresh._replace(expiring_at=NOW + 60))

SAYS: dict[str, tuple[Callable[[], Update], Announce | None]] = {
    "connected": (lambda: transitions.connected("t", NEW), Announce.ESTABLISHED),
    "restored": (lambda: transitions.restored("t", NEW), Announce.ESTABLISHED),
    "leased": (
        lambda: transitions.leased("t", Order(KEY, SEEN, Cause.DUE), "one", NOW, rotates=True),
        None,
    ),
    "refreshed": (lambda: transitions.refreshed("t", FRESH, NOW), None),
    "refreshed, ending soon": (lambda: transitions.refreshed("t", ENDING_SOON, NOW), Announce.EXPIRING),
    "recovered": (lambda: transitions.recovered("t", FRESH, NOW, 0), Announce.RECOVERED),
    "recovered, ending soon": (lambda: transitions.recovered("t", ENDING_SOON, NOW, 0), Announce.RECOVERED),
    "put_off": (
        lambda: transitions.put_off("t", LEASED, Setback(Reason.PROVIDER_TIMEOUT, NOW, in_doubt=True), NOW),
        None,
    ),
    "lost": (
        lambda: transitions.lost("t", LEASED, Reason.GRANT_REFUSED, NOW),
        Announce.NEEDS_RECONNECT,
    ),
    "probing": (
        lambda: ending_transitions.probing("t", KEY, SEEN, NOW, pause=60, due_at=NOW),
        None,
    ),
    "reminded": (lambda: ending_transitions.reminded("t", KEY, NOW), None),
    "postponed": (lambda: ending_transitions.postponed("t", KEY, NOW, NOW), None),
    "expired": (lambda: ending_transitions.expired("t", KEY, SEEN, NOW), Announce.NEEDS_RECONNECT),
    "expiring": (lambda: ending_transitions.expiring("t", KEY, SEEN, NOW), Announce.EXPIRING),
    "reported_anew": (lambda: ending_transitions.reported_anew("t", KEY, SEEN, NOW), None),
    "reported": (lambda: ending_transitions.reported("t", KEY, SEEN, NOW), None),
    "alive": (lambda: ending_transitions.alive("t", KEY, SEEN), None),
    "refused": (
        lambda: ending_transitions.refused("t", KEY, SEEN, Reason.TOKEN_REFUSED, NOW, uninstall=False),
        Announce.NEEDS_RECONNECT,
    ),
    "refused, uninstalled": (
        lambda: ending_transitions.refused("t", KEY, SEEN, Reason.TOKEN_REFUSED, NOW, uninstall=True),
        Announce.UNINSTALLED,
    ),
    "uninstalled": (lambda: ending_transitions.uninstalled("t", KEY, NOW, NOW), Announce.UNINSTALLED),
    "revoked": (lambda: ending_transitions.revoked("t", KEY, 2, "revoked"), None),
    "disconnected": (lambda: ending_transitions.disconnected("t", KEY, NOW), Announce.DISCONNECTED),
}


def removed(parameters: dict[str, Any]) -> set[str]:
    expression = parameters["UpdateExpression"]
    return set(expression.partition("REMOVE ")[2].partition(" ADD ")[0].split(", "))


@pytest.mark.parametrize("name", SAYS)
def test_a_write_says_its_word_or_takes_the_last_one_off(name: str) -> None:
    made, word = SAYS[name]
    parameters = made().parameters()
    if word is None:
        assert "#announce" in removed(parameters)
        assert "#announce =" not in parameters["UpdateExpression"]
    else:
        assert "#announce = :announce" in parameters["UpdateExpression"]
        assert parameters["ExpressionAttributeValues"][":announce"] == {"S": word.value}
        assert "#announce" not in removed(parameters)


def test_every_write_of_a_connections_row_is_here() -> None:
    """Whatever makes an update and takes no other row: a new one has to say what it tells."""
    known = {name.partition(",")[0] for name in SAYS}
    made = {
        name
        for module in (transitions, ending_transitions)
        for name, found in vars(module).items()
        if getattr(found, "__module__", "") == module.__name__
        and not name.startswith("_")
        and getattr(found, "__annotations__", {}).get("return") is Update
    }
    assert made == known
