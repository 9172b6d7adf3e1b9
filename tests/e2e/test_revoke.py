"""What is cut off here is revoked at its provider: at the fifth one, and at a server nobody here wrote."""

from tests.e2e.running import FIFTH, WHOLE_GRANTS, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep, wait_for

PATIENCE_SECONDS = 60
REVOKE = "/o/revoke_token/"


def cut_off(one: Upkeep) -> str:
    """Disconnect; what became of its tokens, once the row says so."""
    answer = Service(one.stack).disconnect(one.key)
    assert (answer.status_code, answer.json()) == (200, {"status": "disconnected"})
    return str(wait_for(lambda: one.row().get("revocation"), "the revocation's outcome", PATIENCE_SECONDS))


def connected(merchant: Merchant, provider: str, store: str | None = None) -> Upkeep:
    merchant.connect(provider, store=store)
    return Upkeep.of(merchant, provider, store or "default")


def test_what_is_cut_off_is_revoked_and_everybody_can_see_it(stack: RunningStack, merchant: Merchant) -> None:
    simulator, store = stack.simulator(FIFTH), f"shop-of-{merchant.name}"
    one = connected(merchant, FIFTH, store)
    token = Service(stack).token(one.key).json()["access_token"]
    assert simulator.accepts(store, token)
    assert cut_off(one) == "revoked"
    assert not simulator.accepts(store, token)
    assert store not in [token["account"] for token in (*simulator.tokens(), *simulator.refresh_tokens())]
    (line,) = one.lines("revoke")
    assert (line["outcome"], line["status"]) == ("revoked", 200)
    (listed,) = Service(stack).list(merchant.name)
    assert (listed["status"], listed["revocation"]) == ("disconnected", "revoked")
    assert "disconnected (revoked)" in stack.cli("connections", merchant.name)
    seen = [call for call in simulator.calls("revoke") if call["outcome"] == "revoked"][-1]
    assert seen["parameters"] == ["client_id", "client_secret", "token", "token_type_hint"]


def test_a_provider_that_cannot_be_told_is_said_to_be_so(stack: RunningStack, merchant: Merchant) -> None:
    one = connected(merchant, "whatconverts")
    assert cut_off(one) == "unsupported"
    assert stack.simulator("whatconverts").newest(), "it goes on taking what nobody here has"


def test_the_foreign_server_revokes_by_the_same_description(stack: RunningStack, merchant: Merchant) -> None:
    before = len(stack.foreign.revoked())
    one = connected(merchant, "acme")
    assert stack.foreign.revoked()[before:] == [0]
    calls = len(stack.foreign.requests(REVOKE))
    assert cut_off(one) == "revoked"
    assert stack.foreign.requests(REVOKE)[calls:] == [f"POST {REVOKE} 200"]
    assert stack.foreign.revoked()[before:] == [1]


def test_connect_is_there_again_at_once_and_survives_the_revocation(
    stack: RunningStack, merchant: Merchant
) -> None:
    simulator, store = stack.simulator(FIFTH), f"shop-of-{merchant.name}"
    one = connected(merchant, FIFTH, store)
    old = Service(stack).token(one.key).json()["access_token"]
    with stack.paused("queues/revoke"):
        assert Service(stack).disconnect(one.key).status_code == 200
        merchant.connect(FIFTH, store=store)
        new = Service(stack).token(one.key).json()["access_token"]
        assert simulator.accepts(store, old)
    wait_for(lambda: one.lines("revoke"), "the revocation", PATIENCE_SECONDS)
    assert (simulator.accepts(store, old), simulator.accepts(store, new)) == (False, True)
    row = one.row()
    assert (row["status"], row["generation"], "revocation" in row) == ("active", 2, False)


def test_nothing_is_revoked_where_that_would_end_the_new_grant(
    stack: RunningStack, merchant: Merchant
) -> None:
    before, calls = len(stack.foreign.revoked()), len(stack.foreign.requests(REVOKE))
    one = connected(merchant, WHOLE_GRANTS)
    with stack.paused("queues/revoke"):
        assert Service(stack).disconnect(one.key).status_code == 200
        merchant.connect(WHOLE_GRANTS)
    (line,) = wait_for(lambda: one.lines("revoke"), "the revocation", PATIENCE_SECONDS)
    assert (line["outcome"], line["reason"]) == ("skipped", "grant_in_use")
    assert (stack.foreign.requests(REVOKE)[calls:], stack.foreign.revoked()[before:]) == ([], [0, 0])
    # Once nothing lives by it any more, it ends.
    assert cut_off(one) == "revoked"
    assert stack.foreign.requests(REVOKE)[calls:] == [f"POST {REVOKE} 200"]
