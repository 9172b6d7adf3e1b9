"""Each recorded attack on the uninstall webhook: the HTTP answer, and what became of the connections."""

import hmac
import json
from base64 import b64encode
from collections import Counter
from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.provider import Probe
from mooring.core.upkeep import Cause, Hint, Key, Order, Search
from tests.core.signing import NOW
from tests.entry.deployed import Deployed
from tests.entry.events import event
from tests.flows.upkeep_world import DOWN, KEY, PROBED, SIGNED, TIMELESS_PROBED, WEBHOOK_SECRET, provider_of

SIGNED_KEY, HINTED_KEY = KEY._replace(provider=SIGNED.id), KEY._replace(provider=PROBED.id)
OTHER = SIGNED._replace(id="other")
BASE64 = SIGNED._replace(
    id="base64", uninstall=SIGNED.uninstall and SIGNED.uninstall._replace(proof="hmac_sha256_base64")
)
GONE: dict[str, Any] = {"type": "gone", "account": "shop-9", "id": "e-1", "at": NOW}


def digest(raw: bytes, secret: str = WEBHOOK_SECRET) -> bytes:
    return hmac.digest(secret.encode(), raw, "sha256")


@pytest.fixture
def deployed() -> Deployed:
    """The same account connected at a provider that signs and at one that does not."""
    deployed = Deployed()
    world = deployed.world
    world.providers |= {OTHER.id: OTHER, BASE64.id: BASE64}
    world.secrets.webhooks |= {OTHER.id: "canary-webhook-secret-of-other", BASE64.id: WEBHOOK_SECRET}
    for key in (SIGNED_KEY, HINTED_KEY, KEY._replace(provider=BASE64.id)):
        world.stands(key, refresh=None, expires_at=None)
    return deployed


def post(
    deployed: Deployed,
    body: str | dict[str, Any],
    signature: str | None = None,
    provider: str = SIGNED.id,
    **headers: str,
) -> tuple[int, str]:
    """Send a notice, signed rightly unless told otherwise: the status, and the line's reason or outcome."""
    text = body if isinstance(body, str) else json.dumps(body)
    proof = digest(text.encode()).hex() if signature is None else signature
    sent = event(
        f"/uninstall/{provider}", method="POST", body=text, headers={"x-signature": proof, **headers}
    )
    response = deployed.uninstall(sent)
    line = deployed.lines[-1]
    assert line.status == response["statusCode"]
    return response["statusCode"], line.reason or line.outcome


def status(deployed: Deployed, key: Key = SIGNED_KEY) -> Status:
    return deployed.world.row(key).status


def untouched(deployed: Deployed) -> bool:
    world = deployed.world
    alive = {row.connection.status for row in world.connections.rows.values()} == {Status.ACTIVE}
    return alive and not world.queue.messages and not world.connections.tombstones


@pytest.mark.parametrize("headers", [{}, {"x-signature": ""}, {"x-signatur": "x"}])
def test_hook_01_no_signature(deployed: Deployed, headers: dict[str, str]) -> None:
    deployed.world.journal.clear()
    response = deployed.uninstall(
        event("/uninstall/signed", method="POST", body="{ not json", headers=headers)
    )
    assert (response["statusCode"], deployed.lines[0].reason) == (401, "notice_forged")
    assert deployed.world.journal == ["webhook_secrets"]
    assert untouched(deployed)


@pytest.mark.parametrize("secret", ["", " ", "\n", "\n\n", "a\nb\nc"])
def test_hook_02_a_secret_that_is_none(deployed: Deployed, secret: str) -> None:
    deployed.world.secrets.webhooks[SIGNED.id] = secret
    text = json.dumps(GONE)
    for guess in (secret, secret.strip(), ""):
        answered = post(deployed, text, hmac.digest(guess.encode() or b"", text.encode(), "sha256").hex())
        assert answered == (503, "secret_unavailable")
    assert untouched(deployed)


def test_hook_02_a_secret_that_was_never_stored(deployed: Deployed) -> None:
    del deployed.world.secrets.webhooks[SIGNED.id]
    assert post(deployed, GONE) == (503, "secret_unavailable")
    assert untouched(deployed)


TEXT = json.dumps(GONE)
HEX, B64 = digest(TEXT.encode()).hex(), b64encode(digest(TEXT.encode())).decode()
WRONG = [
    (SIGNED.id, HEX[:32]), (SIGNED.id, HEX[:1]), (SIGNED.id, HEX + "00"), (SIGNED.id, HEX + " "),
    (SIGNED.id, " " + HEX), (SIGNED.id, HEX.upper()), (SIGNED.id, B64), (SIGNED.id, f"sha256={HEX}"),
    (SIGNED.id, f"{HEX},{HEX}"), (SIGNED.id, "\u0430" * 64), (SIGNED.id, "0" * 64), (SIGNED.id, "null"),
    (BASE64.id, B64.rstrip("=")), (BASE64.id, B64 + "="), (BASE64.id, HEX), (BASE64.id, B64.lower()),
    (BASE64.id, B64[:20]), (BASE64.id, B64 + "\n"), (BASE64.id, "=" * 44),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "signature"), WRONG)
def test_hook_03_nearly_the_right_signature(deployed: Deployed, provider: str, signature: str) -> None:
    assert post(deployed, TEXT, signature, provider) == (401, "notice_forged")
    assert untouched(deployed)


def test_hook_03_only_the_exact_one(deployed: Deployed) -> None:
    assert post(deployed, TEXT, B64, BASE64.id) == (200, "uninstalled")
    assert post(deployed, TEXT, HEX) == (200, "uninstalled")


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1] + ',"account":"shop-8"}',
        TEXT[:-1] + ',"type":"gone"}',
        TEXT[:-1] + ',"x":{"y":1,"y":2}}',
        TEXT[:-1] + ',"acc\\u006funt":"shop-8"}',
    ],
)
def test_hook_06_a_key_that_stands_twice(deployed: Deployed, text: str) -> None:
    assert post(deployed, text) == (400, "notice_malformed")
    assert untouched(deployed)


def test_hook_08_a_replay_after_a_reconnect_changes_nothing(deployed: Deployed) -> None:
    world = deployed.world
    assert post(deployed, GONE) == (200, "uninstalled")
    world.clock.advance(600)
    world.reconnects(SIGNED_KEY)
    before = world.snapshot(SIGNED_KEY)
    for moved in (0, 1, 3 * 86_400):
        world.clock.advance(moved)
        assert post(deployed, GONE) == (200, "ignored")
    assert (status(deployed), world.snapshot(SIGNED_KEY)) == (Status.ACTIVE, before)


@pytest.mark.parametrize(
    "at",
    [NOW + 301, NOW + 86_400, -1, 0, "NaN", float("nan"), float("inf"), 10**20, 10**4_000, True, None, "", [],
     {}, "2027-01-15T08:00:00", "yesterday", f"{NOW}.5x", "\u0663" * 10],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_hook_09_a_time_that_is_none(deployed: Deployed, at: Any) -> None:
    assert post(deployed, {**GONE, "at": at}) == (401, "notice_time")
    assert untouched(deployed)


def test_hook_09_no_time_at_all(deployed: Deployed) -> None:
    assert post(deployed, {name: value for name, value in GONE.items() if name != "at"}) == (
        401,
        "notice_time",
    )
    assert untouched(deployed)


def test_hook_10_another_providers_secret(deployed: Deployed) -> None:
    text = json.dumps(GONE)
    signature = digest(text.encode(), deployed.world.secrets.webhooks[OTHER.id]).hex()
    assert post(deployed, text, signature) == (401, "notice_forged")
    assert post(deployed, text, signature, OTHER.id) == (200, "accepted")
    assert status(deployed) is Status.ACTIVE


def test_hook_11_both_secrets_while_one_replaces_the_other() -> None:
    for stored, old, new in (("a-new-secret\nthe-old-secret", 200, 200), ("a-new-secret", 401, 200)):
        deployed = Deployed()
        deployed.world.stands(SIGNED_KEY)
        deployed.world.secrets.webhooks[SIGNED.id] = stored
        text = json.dumps(GONE)
        assert post(deployed, text, digest(text.encode(), "the-old-secret").hex())[0] == old
        assert post(deployed, text, digest(text.encode(), "a-new-secret").hex())[0] == new


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "\u00fc"])
def test_hook_14_the_content_type_proves_nothing(deployed: Deployed, kind: str) -> None:
    assert post(deployed, "gone=shop-9", **{"content-type": kind}) == (400, "notice_malformed")
    assert untouched(deployed)
    assert post(deployed, GONE, **{"content-type": kind}) == (200, "uninstalled")


def test_evt_02_before_the_callback_has_stored(deployed: Deployed) -> None:
    """The tombstone stops the flow that was burned before it; a later one is no concern of the notice."""
    world, new = deployed.world, KEY._replace(provider=SIGNED.id, account_id="shop-1")
    early = world.exchanged(new)
    assert post(deployed, {**GONE, "account": "shop-1"}) == (200, "accepted")
    assert world.queue.works == [Search(SIGNED.id, "shop-1", NOW)]
    with pytest.raises(Exception, match="uninstalled_meanwhile"):
        world.connections.connect(*early)
    world.clock.advance(30)
    world.reconnects(new)
    deployed.deliver()
    assert status(deployed, new) is Status.ACTIVE


def test_evt_02_stored_in_the_very_same_moment(deployed: Deployed) -> None:
    """Neither side sees the other: the second look ends it."""
    world, new = deployed.world, KEY._replace(provider=SIGNED.id, account_id="shop-1")
    world.clock.advance(1)
    assert post(deployed, {**GONE, "account": "shop-1", "at": NOW + 1}) == (200, "accepted")
    world.stands(new, connected_at=NOW)
    assert [line.outcome for line in deployed.deliver()] == ["uninstalled"]
    assert status(deployed, new) is Status.UNINSTALLED


@pytest.mark.parametrize("verdict", [Probe.LIVE, Probe.UNKNOWN])
def test_evt_04_without_a_time_the_provider_is_asked_twice(deployed: Deployed, verdict: Probe) -> None:
    deployed.world.reconnects(HINTED_KEY)
    deployed.world.rest(HINTED_KEY).refresh = None
    deployed.world.keeper.said = verdict
    assert post(deployed, GONE, "", PROBED.id) == (200, "accepted")
    assert [line.outcome for line in deployed.deliver()] == ["probed", "probed"]
    assert deployed.world.keeper.probes[0].access_token == "canary-access-anew"
    assert status(deployed, HINTED_KEY) is Status.ACTIVE


def test_evt_04_a_forged_hint_for_a_living_account_changes_nothing(deployed: Deployed) -> None:
    for _ in range(20):
        assert post(deployed, GONE, "", PROBED.id) == (200, "accepted")
    said = Counter(line.outcome for line in deployed.deliver())
    assert status(deployed, HINTED_KEY) is Status.ACTIVE
    assert said == {"probed": 3, "waiting": 1, "skipped": 18}
    assert len(deployed.world.keeper.probes) == 3


def test_evt_04_one_401_is_not_believed(deployed: Deployed) -> None:
    deployed.world.keeper.said = [Probe.REFUSED, Probe.LIVE]
    post(deployed, GONE, "", PROBED.id)
    assert [line.outcome for line in deployed.deliver()] == ["probed", "probed"]
    assert status(deployed, HINTED_KEY) is Status.ACTIVE


def test_evt_04_a_true_hint_is_not_hidden_by_a_false_one(deployed: Deployed) -> None:
    world = deployed.world
    post(deployed, GONE, "", PROBED.id)
    assert [line.outcome for line in deployed.deliver()] == ["probed", "probed"]
    world.keeper.said = Probe.REFUSED
    world.clock.advance(60)
    post(deployed, GONE, "", PROBED.id)
    assert [line.outcome for line in deployed.deliver()] == ["waiting", "probed", "uninstalled"]
    assert status(deployed, HINTED_KEY) is Status.UNINSTALLED


def test_evt_04_a_signature_without_a_time_proves_nothing_about_now(deployed: Deployed) -> None:
    """It is sent once more after a reinstall, its signature as good as ever."""
    world, timeless = deployed.world, HINTED_KEY._replace(provider=TIMELESS_PROBED.id)
    world.stands(timeless, refresh=None)
    body = {name: value for name, value in GONE.items() if name != "at"}
    assert post(deployed, body, provider=TIMELESS_PROBED.id) == (200, "accepted")
    assert (deployed.lines[-1].notice_id, world.connections.tombstones) == ("e-1", {})
    assert [line.outcome for line in deployed.deliver()] == ["probed", "probed"]
    assert status(deployed, timeless) is Status.ACTIVE


def test_evt_08_an_id_that_was_sent_before_swallows_nothing(deployed: Deployed) -> None:
    assert post(deployed, {**GONE, "account": "shop-1"}) == (200, "accepted")
    assert post(deployed, {**GONE, "at": NOW - 86_400}) == (200, "ignored")
    assert status(deployed) is Status.ACTIVE
    assert post(deployed, GONE) == (200, "uninstalled")
    assert status(deployed) is Status.UNINSTALLED


def test_evt_05_while_a_refresh_is_in_flight(deployed: Deployed) -> None:
    world = deployed.world
    world.stands(SIGNED_KEY)
    acting = provider_of(world)
    acting.during = lambda: post(deployed, GONE)  # type: ignore[assignment]
    order = Order(SIGNED_KEY, None, Cause.ASKED)
    assert world.refresh(order).reason == "uninstalled_meanwhile"
    assert (acting.issued, status(deployed)) == (1, Status.UNINSTALLED)
    assert world.tokens(SIGNED_KEY) == (None, None)
    assert world.refresh(order).word == "skipped"


def test_evt_07_only_the_account_that_is_named(deployed: Deployed) -> None:
    mine = deployed.world.stands(Key("attacker", SIGNED.id, "shop-6"))
    extra = {"connection_id": "signed#shop-9", "merchant_id": "m-1", "status": "uninstalled", "pk": "m-1"}
    assert post(deployed, {**GONE, "account": "shop-6", **extra}) == (200, "uninstalled")
    assert (status(deployed, mine), status(deployed)) == (Status.UNINSTALLED, Status.ACTIVE)
    assert status(deployed, HINTED_KEY) is Status.ACTIVE


@pytest.mark.parametrize(
    "account", ["shop-9#x", "../shop-9", "@account", "shop-9\n", "", 9.5, ["shop-9"], None, "*"]
)
def test_evt_07_an_account_that_is_no_name(deployed: Deployed, account: Any) -> None:
    assert post(deployed, {**GONE, "account": account}) == (400, "notice_malformed")
    assert untouched(deployed)


@pytest.mark.parametrize("method", ["bury", "holders", "uninstall"])
def test_evt_08_a_crash_half_way_is_made_up_for_by_the_repetition(deployed: Deployed, method: str) -> None:
    deployed.world.endings.broken[method] = DOWN
    assert post(deployed, GONE) == (503, "storage_unavailable")
    deployed.world.endings.broken.clear()
    assert post(deployed, GONE) == (200, "uninstalled")
    ended = deployed.world.snapshot(SIGNED_KEY)
    deployed.world.clock.advance(60)
    assert post(deployed, GONE) == (200, "ignored")
    assert deployed.world.snapshot(SIGNED_KEY) == ended


def test_evt_08_a_hint_that_could_not_be_queued_is_not_answered_200(deployed: Deployed) -> None:
    deployed.world.queue.broken["put"] = DOWN
    assert post(deployed, GONE, "", PROBED.id) == (503, "storage_unavailable")
    deployed.world.queue.broken.clear()
    assert post(deployed, GONE, "", PROBED.id) == (200, "accepted")
    assert deployed.world.queue.works == [Hint(PROBED.id, "shop-9")]


def test_evt_09_a_dead_token_does_not_hold_up_the_end(deployed: Deployed) -> None:
    deployed.world.keeper.said = Probe.REFUSED
    assert post(deployed, GONE) == (200, "uninstalled")
    assert deployed.world.keeper.probes == []
    post(deployed, GONE, "", PROBED.id)
    assert [line.outcome for line in deployed.deliver()] == ["probed", "uninstalled"]
    assert status(deployed, HINTED_KEY) is Status.UNINSTALLED
