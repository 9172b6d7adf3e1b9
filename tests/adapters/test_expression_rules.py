"""What DynamoDB refuses and a simulation may let pass: every update is checked against its rules.

Rules of expressions: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters import ending_transitions, flow_transitions, operator_transitions, transitions
from mooring.adapters.expressions import Update
from mooring.adapters.flow_transitions import ALONE, Others
from mooring.adapters.operator_transitions import Moved
from mooring.core.connection import Account, Status
from mooring.core.errors import Reason
from mooring.core.upkeep import Cause, Key, Leased, Order, Seen, Setback
from tests.contract.samples import BARE, EVERYTHING, NOW, a_link, a_state, exchange, sealed
from tests.contract.upkeep_world import FakeWorld, connected, fresh, leased

KEY, SEEN = Key("m-1", "prov-a", "shop-1"), Seen(1, 1)
UNPROVEN = Account("shop-1", verified=False)
BOTH = (True, False)


def leases() -> list[Leased]:
    """One plain lease, and one in doubt."""
    world = FakeWorld()
    plain = leased(world, connected(world))
    return [plain, plain._replace(attempts=("lost", plain.attempt_id))]


def connects() -> list[Update]:
    link, state = a_link(), a_state()
    full, bare = exchange(link), exchange(link, tokens=BARE)
    news = [full, bare, full._replace(account=UNPROVEN), bare._replace(account=UNPROVEN)]
    return [
        *(transitions.connected("t", new) for new in news),
        *(transitions.restored("t", new) for new in news),
        flow_transitions.state_burned("t", link, state, NOW, "by"),
        *(
            flow_transitions.flow_failed("t", link, state, "internal", others)
            for others in (ALONE, Others(2), Others(2, a_state(), NOW))
        ),
        flow_transitions.flow_kept("t", link, state, sealed()),
        flow_transitions.flow_done("t", link, state, full),
        flow_transitions.flow_restored("t", link, state, full),
    ]


def refreshes() -> list[Update]:
    found = [
        transitions.leased("t", Order(KEY, seen, cause), "one", NOW, rotates=rotates)
        for seen, cause, rotates in product((None, SEEN), Cause, BOTH)
    ]
    never: dict[str, Any] = {"expires_at": None, "refresh_expires_at": None, "due_at": None}
    for lease in leases():
        found += [transitions.lost("t", lease, Reason.GRANT_REFUSED, NOW)]
        setbacks = [Setback(Reason.INTERNAL, NOW, doubt, wait) for doubt, wait in product(BOTH, BOTH)]
        found += [transitions.put_off("t", lease, setback, NOW) for setback in setbacks]
        soon = {"expiring_at": NOW}
        for changes in ({}, {"previous_until": NOW}, {"scopes": ("a",)}, {"refresh": None, **never}, soon):
            new = fresh(lease, NOW, **changes)
            found += [transitions.refreshed("t", new, NOW)]
            found += [transitions.recovered("t", new, NOW, last) for last in (0, 1, None)]
    return found


def endings() -> list[Update]:
    return [
        *(
            ending_transitions.probing("t", KEY, seen, NOW, pause=60, due_at=due_at)
            for seen, due_at in product((None, SEEN), (None, NOW))
        ),
        ending_transitions.reminded("t", KEY, NOW),
        *(ending_transitions.expired("t", KEY, seen, NOW) for seen in (None, SEEN)),
        *(ending_transitions.expiring("t", KEY, seen, NOW) for seen in (None, SEEN)),
        ending_transitions.postponed("t", KEY, NOW + 60, NOW),
        ending_transitions.reported_anew("t", KEY, SEEN, NOW),
        ending_transitions.reported("t", KEY, SEEN, NOW),
        ending_transitions.alive("t", KEY, SEEN),
        *(
            ending_transitions.refused("t", KEY, SEEN, Reason.TOKEN_REFUSED, NOW, uninstall=uninstall)
            for uninstall in BOTH
        ),
        ending_transitions.uninstalled("t", KEY, NOW, NOW),
        ending_transitions.disconnected("t", KEY, NOW),
        ending_transitions.revoked("t", KEY, 1, "revoked"),
    ]


def circuits() -> list[Update]:
    return [
        flow_transitions.circuit_waits("t", "prov-a", NOW),
        flow_transitions.circuit_closed("t", "prov-a", NOW),
    ]


def by_operators() -> list[Update]:
    """What comes whole, what comes without tokens, and data keys wrapped anew."""
    world = FakeWorld()
    row = world.connections.row(connected(world))
    assert row is not None
    both = [row.connection, row.connection._replace(status=Status.UNINSTALLED, expires_at=None)]
    moved = [Moved(both[0], EVERYTHING, NOW, None), Moved(both[0], BARE, None, None)]
    keys = {"access_key": (b"1", b"2"), "refresh_key": (b"3", b"4")}
    return [
        *(operator_transitions.imported("t", each, NOW) for each in (*moved, Moved(both[1], None, None, 1))),
        operator_transitions.resealed("t", "m-1", "prov-a#shop-1", keys, NOW),
        operator_transitions.kept_resealed("t", "link#m-1#j", "s_h", b"1", b"2"),
    ]


UPDATES = [
    update.parameters() for update in (*connects(), *refreshes(), *endings(), *circuits(), *by_operators())
]


def expressions(update: dict[str, Any]) -> str:
    return f"{update['UpdateExpression']} {update.get('ConditionExpression', '')}"


def assigned(update: dict[str, Any]) -> list[str]:
    """The paths that an update expression changes."""
    flat = re.sub(r"\([^()]*(?:\([^()]*\)[^()]*)*\)", "()", update["UpdateExpression"])
    clauses = re.split(r"\b(?:SET|REMOVE|ADD)\b", flat)
    return [part.split()[0] for clause in clauses if clause.strip() for part in clause.split(",")]


def redundant(expression: str) -> bool:
    """Whether a pair of parentheses holds nothing but another pair."""
    pairs, opened = set(), []
    for position, char in enumerate(expression):
        if char == "(":
            opened.append(position)
        if char == ")":
            pairs.add((opened.pop(), position))
    return any((start + 1, end - 1) in pairs for start, end in pairs)


def test_the_check_of_parentheses_knows_them() -> None:
    assert redundant("a AND ((b OR c))")
    assert not redundant("((a) OR (b)) AND (size(c) < d)")


@pytest.mark.parametrize("update", UPDATES)
def test_every_name_and_value_is_used_and_every_used_one_is_given(update: dict[str, Any]) -> None:
    used = set(re.findall(r"[#:]\w+", expressions(update)))
    assert used == {*update["ExpressionAttributeNames"], *update["ExpressionAttributeValues"]}


@pytest.mark.parametrize("update", UPDATES)
def test_no_attribute_is_changed_twice(update: dict[str, Any]) -> None:
    paths = assigned(update)
    assert paths
    assert sorted(paths) == sorted(set(paths))


@pytest.mark.parametrize("update", UPDATES)
def test_no_parentheses_are_redundant(update: dict[str, Any]) -> None:
    assert not redundant(update.get("ConditionExpression", ""))


@pytest.mark.parametrize("update", UPDATES)
def test_keys_are_never_changed(update: dict[str, Any]) -> None:
    changed = {update["ExpressionAttributeNames"][path.partition(".")[0]] for path in assigned(update)}
    assert not changed & set(update["Key"])


def test_every_update_is_checked() -> None:
    modules = (transitions, ending_transitions, flow_transitions, operator_transitions)
    made = {
        f"{module.__name__.rpartition('.')[2]}.{name}("
        for module in modules
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__annotations__", {}).get("return") is Update
        if value.__module__ == module.__name__
    }
    here = Path(__file__).read_text(encoding="utf-8")
    assert len(made) > 15
    assert not [call for call in made if call not in here]
