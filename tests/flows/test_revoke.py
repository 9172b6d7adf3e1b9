"""Revoking: what is sent, what is not sent because it would end more, and what is noted."""

from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.provider import Provider, Revoke
from mooring.core.revocation import TRIES, Presented, Revocation, Told, tried_again_in
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Answer, Key
from mooring.flows.revoke import CALL_SECONDS, NOTE_SECONDS, revoke
from tests.fakes.token_revoker import GrantingProvider, RevokeCall
from tests.flows.upkeep_world import KEY, UpkeepWorld
from tests.flows.world import refusal
from tests.protocol.shapes import ACME, REVOKE

GENERATION = 2
ENDING = ["token", "grant"]


class World:
    """The upkeep world with a provider that can be told, and a connection that was cut off."""

    def __init__(self, upkeep: UpkeepWorld) -> None:
        self.upkeep = upkeep
        self.journal = upkeep.journal
        self.generations, self.server = upkeep.generations, upkeep.revoker
        self.speaks()
        upkeep.stands()
        self.tokens = self.taken()

    def speaks(self, revoke: Revoke | None = REVOKE, **changes: Any) -> None:
        """Let the provider be told in this way."""
        provider: Provider = ACME._replace(revoke=revoke and revoke._replace(**changes))
        self.upkeep.providers[ACME.id] = provider

    def taken(self, key: Key = KEY) -> Revocation:
        """What the queue would bring of a connection as it stands."""
        row = self.upkeep.connections.row(key)
        assert row is not None
        assert row.access is not None
        rest = self.upkeep.rest(key)
        return Revocation(key, row.connection.generation, row.access, rest.refresh, (("app_key", "k"),))

    def cut_off(self, key: Key = KEY) -> None:
        """Disconnect."""
        self.upkeep.endings.disconnect(key, int(self.upkeep.clock()))
        self.journal.clear()

    def reconnect(self) -> None:
        """The merchant came back."""
        self.upkeep.connections.accept(self.upkeep.exchanged(ago=-10)[0])
        self.journal.clear()

    def revoke(
        self, revocation: Revocation | None = None, *, last: bool = False, seconds: float = 60
    ) -> Answer:
        """Work off one message."""
        found = revocation or self.tokens
        ports, left = self.upkeep.revoke_ports(), self.upkeep.left(seconds)
        return self.upkeep.hear(lambda: revoke(found, ports, left, last=last))

    @property
    def noted(self) -> str | None:
        """What the row says."""
        return self.upkeep.row().revocation

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Kinds and tokens that the provider was sent."""
        return [(call.kind, call.token) for call in self.server.calls]


@pytest.fixture
def world(upkeep: UpkeepWorld) -> World:
    world = World(upkeep)
    world.cut_off()
    return world


def test_the_refresh_token_is_revoked_and_the_row_says_so(world: World) -> None:
    assert world.revoke() == Answer("revoked")
    secret = "canary-client-secret-of-acme"
    now = int(world.upkeep.clock())
    assert world.server.calls == [
        RevokeCall("acme", "refresh_token", "canary-refresh-0", "shop-9", secret, now)
    ]
    assert world.noted == "revoked"
    assert world.upkeep.leaks() == []


def test_the_connection_is_looked_at_before_anything_is_opened_or_sent(world: World) -> None:
    world.revoke()
    assert world.journal == ["living", "has_relatives", "open", "client_secret", "revoke", "note"]


def test_twice_does_no_harm(world: World) -> None:
    assert [world.revoke(), world.revoke()] == [Answer("revoked")] * 2
    assert world.noted == "revoked"


def test_without_a_refresh_token_it_is_the_access_token(world: World) -> None:
    assert world.revoke(world.tokens._replace(refresh=None)) == Answer("revoked")
    assert world.sent == [("access_token", "canary-access-0")]


def test_a_provider_may_want_the_access_token(world: World) -> None:
    world.speaks(token="access_token")
    assert world.revoke() == Answer("revoked")
    assert world.sent == [("access_token", "canary-access-0")]


def test_a_kind_that_cannot_be_revoked_is_followed_by_the_other(world: World) -> None:
    world.server.told = [Told.UNSUPPORTED, Told.DONE]
    assert world.revoke() == Answer("revoked")
    assert world.sent == [("refresh_token", "canary-refresh-0"), ("access_token", "canary-access-0")]


def test_neither_kind_can_be_revoked(world: World) -> None:
    world.server.told = Told.UNSUPPORTED
    assert world.revoke() == Answer("unsupported")
    assert len(world.sent) == 2
    assert world.noted == "unsupported"


def test_a_provider_that_cannot_be_told_is_not_told(world: World) -> None:
    world.speaks(None)
    assert world.revoke() == Answer("unsupported")
    assert (world.sent, world.noted, world.journal) == ([], "unsupported", ["note"])


def test_a_public_endpoint_is_sent_no_secret(world: World) -> None:
    world.speaks(client_authentication="none")
    assert world.revoke() == Answer("revoked")
    assert world.server.calls[0].client_secret == ""
    assert "client_secret" not in world.journal


def test_a_secret_that_was_changed_meanwhile_is_fetched_anew(world: World) -> None:
    def told(call: RevokeCall) -> Told:
        if call.client_secret != "canary-changed":
            world.upkeep.secrets.values["acme"] = "canary-changed"
            raise TokenCallFailure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED)
        return Told.DONE

    world.server.told = told
    assert world.revoke() == Answer("revoked")
    assert len(world.sent) == 2


# What would end more than it should.


@pytest.mark.parametrize("ends", ENDING)
@pytest.mark.parametrize("status", [Status.ACTIVE, Status.NEEDS_RECONNECT])
def test_a_generation_that_lives_is_never_revoked(upkeep: UpkeepWorld, ends: str, status: Status) -> None:
    world = World(upkeep)
    world.speaks(ends=ends)
    upkeep.connections.change(KEY, status=status)
    assert world.revoke() == Answer("skipped", Reason.GRANT_IN_USE)
    assert (world.sent, world.noted) == ([], None)


@pytest.mark.parametrize(
    ("ends", "answer", "alive"),
    [
        ("token", Answer("revoked"), {"canary-refresh-anew"}),
        ("grant", Answer("skipped", Reason.GRANT_IN_USE), {"canary-refresh-0", "canary-refresh-anew"}),
    ],
)
def test_a_reconnect_survives_the_revocation_of_what_was_before(
    world: World, ends: str, answer: Answer, alive: set[str]
) -> None:
    provider = GrantingProvider(ends)
    provider.consent("shop-9", "canary-refresh-0")
    world.server.told = provider.revoke
    world.speaks(ends=ends)
    world.reconnect()
    provider.consent("shop-9", "canary-refresh-anew")
    assert world.revoke() == answer
    assert provider.alive == alive
    row = world.upkeep.row()
    assert (row.status, row.generation, row.revocation) == (Status.ACTIVE, 3, None)


@pytest.mark.parametrize("ends", ENDING)
def test_a_reconnect_that_was_cut_off_again_protects_nothing(world: World, ends: str) -> None:
    world.speaks(ends=ends)
    world.reconnect()
    world.cut_off()
    assert world.revoke() == Answer("revoked")
    assert world.noted is None, "it speaks of the generation before"


@pytest.mark.parametrize(
    "relative",
    [KEY._replace(account_id="shop-10"), KEY._replace(merchant_id="m-2")],
    ids=["account", "merchant"],
)
def test_a_whole_grant_is_not_ended_under_another_connection(world: World, relative: Key) -> None:
    world.upkeep.stands(relative)
    assert world.revoke() == Answer("skipped", Reason.GRANT_IN_USE)
    assert (world.sent, world.noted) == ([], "skipped")
    world.cut_off(relative)
    assert world.revoke() == Answer("revoked")
    assert world.noted == "revoked"


def test_a_token_of_its_own_is_revoked_whatever_else_lives(world: World) -> None:
    world.speaks(ends="token")
    world.upkeep.stands(KEY._replace(account_id="shop-10"))
    assert world.revoke() == Answer("revoked")


def test_an_exchange_that_was_never_stored_is_revoked_and_noted_nowhere(world: World) -> None:
    assert world.revoke(world.tokens._replace(generation=0)) == Answer("revoked")
    assert world.noted is None


def test_what_an_uninstall_ended_is_revoked_all_the_same(upkeep: UpkeepWorld) -> None:
    world = World(upkeep)
    upkeep.endings.uninstall(KEY, int(upkeep.clock()), int(upkeep.clock()))
    assert world.revoke() == Answer("revoked")
    assert world.noted is None


# What fails.

FAILURES = [
    TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 503", retry_after=90),
    TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_TIMEOUT, "timeout"),
    TokenCallFailure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.reason.value)
def test_what_fails_is_to_be_tried_again_and_the_row_says_nothing_yet(
    world: World, failure: TokenCallFailure
) -> None:
    world.server.told = failure
    with pytest.raises(TokenCallFailure) as caught:
        world.revoke()
    assert caught.value is failure
    assert world.noted is None
    world.server.told = Told.DONE
    assert world.revoke() == Answer("revoked")


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.reason.value)
def test_the_last_failure_is_noted(world: World, failure: TokenCallFailure) -> None:
    world.server.told = failure
    assert refusal(lambda: world.revoke(last=True)) is failure
    assert world.noted == "failed"
    world.server.told = Told.DONE
    assert world.revoke() == Answer("revoked"), "an operator put it back into the queue"
    assert world.noted == "revoked"


def test_a_defect_at_the_last_try_is_noted_too(world: World) -> None:
    def told(_call: RevokeCall) -> Told:
        raise ValueError

    world.server.told = told
    with pytest.raises(ValueError):  # noqa: PT011 - a defect has no text of ours
        world.revoke(last=True)
    assert world.noted == "failed"


def test_a_last_failure_that_cannot_be_noted_is_told_all_the_same(world: World) -> None:
    world.server.told = FAILURES[0]
    world.generations.broken["note"] = Failure(Reason.STORAGE_UNAVAILABLE)
    assert refusal(lambda: world.revoke(last=True)) is FAILURES[0]


@pytest.mark.parametrize("port", ["living", "has_relatives", "note"])
def test_without_the_table_it_is_tried_again(world: World, port: str) -> None:
    world.generations.broken[port] = Failure(Reason.STORAGE_UNAVAILABLE)
    assert refusal(world.revoke).reason is Reason.STORAGE_UNAVAILABLE
    assert len(world.sent) == (port == "note")


def test_without_keys_or_secret_nothing_is_sent(world: World) -> None:
    world.upkeep.sealer.broken["open"] = Failure(Reason.SEALING_UNAVAILABLE)
    assert refusal(world.revoke).reason is Reason.SEALING_UNAVAILABLE
    world.upkeep.sealer.broken.clear()
    world.upkeep.secrets.broken["client_secret"] = Failure(Reason.SECRET_UNAVAILABLE)
    assert refusal(world.revoke).reason is Reason.SECRET_UNAVAILABLE
    assert world.sent == []


def test_a_field_that_was_moved_here_does_not_open(world: World) -> None:
    moved = world.tokens._replace(key=KEY._replace(account_id="shop-10"))
    assert refusal(lambda: world.revoke(moved)).reason is Reason.TOKEN_UNREADABLE
    altered = world.tokens._replace(refresh=SealedField(b"\x01", b"\x01"))
    assert refusal(lambda: world.revoke(altered)).reason is Reason.TOKEN_UNREADABLE
    assert world.sent == []


def test_a_disabled_provider_is_not_told(world: World) -> None:
    del world.upkeep.providers["acme"]
    assert refusal(lambda: world.revoke(last=True)).reason is Reason.PROVIDER_UNKNOWN
    assert (world.sent, world.noted) == ([], "failed")


def test_nothing_is_sent_that_there_is_no_time_for(world: World) -> None:
    least = CALL_SECONDS + NOTE_SECONDS
    assert refusal(lambda: world.revoke(seconds=least - 1)).reason is Reason.OUT_OF_TIME
    assert world.sent == []
    assert world.revoke(seconds=least) == Answer("revoked")


def test_an_access_token_that_is_refused_was_the_whole_grant(world: World) -> None:
    world.speaks(way="call", token="access_token", client_authentication="none")
    world.server.told = Told.REFUSED
    assert world.revoke(world.tokens._replace(refresh=None)) == Answer("revoked")


def test_an_access_token_that_is_refused_says_nothing_of_the_refresh_token(world: World) -> None:
    world.speaks(way="call", token="access_token", client_authentication="none")
    world.server.told = Told.REFUSED
    failure = refusal(lambda: world.revoke(last=True))
    assert (failure.reason, failure.alarm) == (Reason.REVOCATION_REFUSED, None)
    assert world.noted == "failed"


# When it is tried again.


def test_each_try_comes_later_than_the_one_before() -> None:
    waits = [tried_again_in(tries, 0.0) for tries in range(1, TRIES)]
    assert waits[:7] == [60, 180, 540, 1_620, 4_860, 14_580, 21_600]
    assert waits == sorted(waits)
    assert 86_400 < sum(waits) < 2 * 86_400


@pytest.mark.parametrize(
    ("tries", "jitter", "pause", "seconds"),
    [(1, 1.0, 0, 66), (1, 0.0, 90, 90), (3, 0.5, 90, 567), (400, 1.0, 3_600, 23_760), (12, 0.0, 0, 21_600)],
)
def test_jitter_adds_a_tenth_and_the_provider_may_ask_for_more(
    tries: int, jitter: float, pause: int, seconds: int
) -> None:
    assert tried_again_in(tries, jitter, pause) == seconds
    assert seconds <= 43_200, "SQS hides nothing for longer"


def test_nothing_shows_a_token(world: World) -> None:
    shown = repr((world.tokens, Presented("access_token", "canary-access-0", "shop-9", (("a", "canary-b"),))))
    assert "canary" not in shown
    assert "shop-9" in shown
