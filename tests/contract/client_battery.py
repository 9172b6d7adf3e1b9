"""What `Connections` and the fake for users' own tests must both do."""

import copy
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import count
from typing import Protocol

import pytest

from mooring.client import (
    AccessToken,
    Disconnected,
    MooringError,
    NeedsReconnect,
    NoConnection,
    NotConnected,
    NotTheProvider,
    SeveralAccounts,
    Status,
    TokenUnavailable,
    Uninstalled,
)
from mooring.client.base import BaseConnections
from tests.client.provider import Answer, ProviderServer
from tests.fakes.clock import FakeClock

PROVIDER, OTHER = "acme", "other"
READERS, CONNECTIONS = 16, 10
_numbers = count(1)


class World(Protocol):
    """Connections, and what a test may do behind their back."""

    clock: FakeClock
    reads: int
    """How many reads are a crowd here."""

    @property
    def connections(self) -> BaseConnections:
        """The connections."""

    def connect(
        self,
        merchant: str,
        provider: str = PROVIDER,
        account: str = "default",
        *,
        expires_in: int | None = 3_600,
        scopes: tuple[str, ...] = (),
        refreshes: bool = True,
    ) -> str:
        """A merchant connects; the access token."""

    def end(self, merchant: str, status: str, account: str = "default", reason: str | None = None) -> None:
        """A connection ends."""

    def refresh(self, merchant: str) -> str:
        """The schedule refreshes; the new token."""

    def connect_many(self, merchant: str, accounts: list[str]) -> None:
        """A merchant connects many accounts."""

    def api(self, base_url: str) -> None:
        """Where the provider's API is."""

    def outage(self, *parts: str) -> AbstractContextManager[None]:
        """While it lasts, `table`, `kms` or `api` cannot be asked."""

    def calls(self) -> Counter[str]:
        """How often the table was read or listed, and a key unwrapped: `read`, `list`, `open`."""


def a_merchant() -> str:
    return f"client-{next(_numbers)}"


class ClientBattery:
    """Inherit it, and give the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    @pytest.fixture
    def merchant(self) -> str:
        return a_merchant()

    @pytest.fixture
    def provider(self, world: World) -> Iterator[ProviderServer]:
        with ProviderServer() as server:
            world.api(server.base_url)
            yield server

    # a token

    def test_a_token_is_what_was_stored(self, world: World, merchant: str) -> None:
        value = world.connect(merchant, scopes=("read", "write"))
        token = world.connections.token(merchant, PROVIDER, "default")
        assert token.value == value
        assert (token.generation, token.version, token.warning) == (1, 1, None)
        assert (token.scopes, token.expires_at) == (("read", "write"), int(world.clock()) + 3_600)
        assert (token.key, token.account_id) == ((merchant, PROVIDER, "default"), "default")

    def test_it_shows_itself_on_purpose_only(self, world: World, merchant: str) -> None:
        value = world.connect(merchant)
        token = world.connections.token(merchant, PROVIDER, "default")
        shown = [repr(token), str(token), f"{token}", f"{token:>200}", "%s %r" % (token, token)]  # noqa: UP031
        assert not [text for text in shown if value in text]
        assert all(merchant in text for text in shown)
        assert not hasattr(token, "__dict__")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(token, protocol)
        assert copy.copy(token) is copy.deepcopy([token])[0] is token

    def test_tokens_are_equal_when_all_of_them_is(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        first, second = (world.connections.token(merchant, PROVIDER, "default") for _ in range(2))
        world.refresh(merchant)
        assert first == second
        assert len({first, second, world.connections.token(merchant, PROVIDER, "default")}) == 2

    def test_a_read_is_one_read_and_one_call_of_the_key_service(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        before = world.calls()
        world.connections.token(merchant, PROVIDER, "default")
        assert world.calls() - before == {"read": 1, "open": 1}

    def test_a_warm_read_of_an_unchanged_token_is_one_read(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        world.connections.token(merchant, PROVIDER, "default")
        before = world.calls()
        for _ in range(5):
            world.connections.token(merchant, PROVIDER, "default")
        assert world.calls() - before == {"read": 5}

    def test_many_threads_open_each_token_once(self, world: World) -> None:
        values = {name: world.connect(name) for name in [a_merchant() for _ in range(CONNECTIONS)]}
        names = list(values) * (world.reads // CONNECTIONS)
        before = world.calls()
        with ThreadPoolExecutor(READERS) as readers:
            tokens = list(readers.map(lambda name: world.connections.token(name, PROVIDER, "default"), names))
        assert [token.value for token in tokens] == [values[name] for name in names]
        assert world.calls() - before == {"read": world.reads, "open": CONNECTIONS}

    def test_a_refreshed_token_is_seen_at_the_next_read(self, world: World, merchant: str) -> None:
        old = world.connect(merchant)
        assert world.connections.token(merchant, PROVIDER, "default").value == old
        new = world.refresh(merchant)
        token = world.connections.token(merchant, PROVIDER, "default")
        assert (token.value, token.version, old != new) == (new, 2, True)

    # what is due

    def test_a_token_that_would_not_last_is_refreshed_first(self, world: World, merchant: str) -> None:
        old = world.connect(merchant)
        world.clock.advance(3_541)
        assert world.connections.token(merchant, PROVIDER, "default", min_ttl=30).value == old
        token = world.connections.token(merchant, PROVIDER, "default")
        assert (token.value != old, token.version, token.warning) == (True, 2, None)
        assert world.connections.token(merchant, PROVIDER, "default") == token

    def test_many_threads_ask_for_one_refresh(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        world.clock.advance(3_600)
        with ThreadPoolExecutor(READERS) as readers:
            tokens = list(
                readers.map(lambda _: world.connections.token(merchant, PROVIDER, "default"), range(READERS))
            )
        assert {token.version for token in tokens} == {2}
        assert len({token.value for token in tokens}) == 1

    def test_nobody_can_ask_for_more_than_half_a_life(self, world: World, merchant: str) -> None:
        world.connect(merchant, expires_in=100)
        assert world.connections.token(merchant, PROVIDER, "default", min_ttl=3_600).version == 1

    def test_while_the_api_is_out_a_living_token_is_given_with_a_warning(
        self, world: World, merchant: str
    ) -> None:
        value = world.connect(merchant)
        world.clock.advance(3_550)
        with world.outage("api"):
            token = world.connections.token(merchant, PROVIDER, "default")
            assert (token.value, token.warning) == (value, "api_unavailable")
            world.clock.advance(60)
            with pytest.raises(TokenUnavailable, match="api_unavailable"):
                world.connections.token(merchant, PROVIDER, "default")
        assert world.connections.token(merchant, PROVIDER, "default").warning is None

    def test_a_dead_token_that_nothing_refreshes_is_never_given(self, world: World, merchant: str) -> None:
        value = world.connect(merchant, refreshes=False)
        world.clock.advance(3_550)
        token = world.connections.token(merchant, PROVIDER, "default")
        assert (token.value, token.warning) == (value, "token_expired")
        world.clock.advance(60)
        with pytest.raises(TokenUnavailable) as refused:
            world.connections.token(merchant, PROVIDER, "default")
        assert refused.value.reason == "token_expired"

    # the end

    @pytest.mark.parametrize(
        ("status", "error"),
        [("needs_reconnect", NeedsReconnect), ("uninstalled", Uninstalled), ("disconnected", Disconnected)],
    )
    def test_an_ended_connection_says_how_it_ended_and_what_to_do(
        self, world: World, merchant: str, status: str, error: type[NoConnection]
    ) -> None:
        value = world.connect(merchant)
        world.connections.token(merchant, PROVIDER, "default")
        world.end(merchant, status, reason="grant_refused" if status == "needs_reconnect" else None)
        with pytest.raises(error) as refused:
            world.connections.token(merchant, PROVIDER, "default")
        assert (refused.value.status, refused.value.key.merchant_id) == (status, merchant)
        assert refused.value.reason == ("grant_refused" if status == "needs_reconnect" else "")
        assert "Send the merchant a link" in str(refused.value)
        assert value not in f"{refused.value!r}{refused.value}"
        assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)

    def test_what_never_was_says_so(self, world: World, merchant: str) -> None:
        for account in ("default", None):
            with pytest.raises(NotConnected) as refused:
                world.connections.token(merchant, PROVIDER, account)
            assert (refused.value.status, "Send the merchant a link" in str(refused.value)) == ("", True)

    def test_a_reconnect_is_seen_at_the_next_read(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        world.end(merchant, "uninstalled")
        with pytest.raises(Uninstalled):
            world.connections.token(merchant, PROVIDER)
        value = world.connect(merchant)
        token = world.connections.token(merchant, PROVIDER)
        assert (token.value, token.generation) == (value, 2)

    @pytest.mark.parametrize(
        "names",
        [
            ("", PROVIDER, "a"),
            ("m", "No", "a"),
            ("m", PROVIDER, ".."),
            ("m", PROVIDER, ""),
            ("m/x", PROVIDER, None),
        ],
    )
    def test_what_nothing_can_be_called_is_refused(
        self, world: World, names: tuple[str, str, str | None]
    ) -> None:
        for ask in (world.connections.token, world.connections.session, world.connections.disconnect):
            with pytest.raises(ValueError, match=r"^not an? (merchant|provider|account) id: "):
                ask(*names)

    # the account that is not named

    def test_the_only_account_need_not_be_named(self, world: World, merchant: str) -> None:
        value = world.connect(merchant, account="shop-1")
        world.connect(merchant, OTHER, account="shop-2")
        before = world.calls()
        tokens = [world.connections.token(merchant, PROVIDER) for _ in range(3)]
        assert {(token.value, token.account_id) for token in tokens} == {(value, "shop-1")}
        assert world.calls() - before == {"list": 1, "read": 3, "open": 1}

    def test_of_several_accounts_one_must_be_named(self, world: World, merchant: str) -> None:
        values = {name: world.connect(merchant, account=name) for name in ("shop-1", "shop-2")}
        with pytest.raises(SeveralAccounts, match="shop-1, shop-2") as refused:
            world.connections.token(merchant, PROVIDER)
        assert refused.value.accounts == ("shop-1", "shop-2")
        assert world.connections.token(merchant, PROVIDER, "shop-2").value == values["shop-2"]

    def test_the_live_one_of_several_is_meant(self, world: World, merchant: str) -> None:
        world.connect(merchant, account="shop-1")
        value = world.connect(merchant, account="shop-2")
        world.end(merchant, "uninstalled", account="shop-1")
        assert world.connections.token(merchant, PROVIDER).value == value

    def test_who_comes_back_with_another_account_is_found(self, world: World, merchant: str) -> None:
        world.connect(merchant, account="shop-1")
        assert world.connections.token(merchant, PROVIDER).account_id == "shop-1"
        world.end(merchant, "disconnected", account="shop-1")
        value = world.connect(merchant, account="shop-2")
        assert world.connections.token(merchant, PROVIDER).value == value

    # outages

    def test_a_table_outage_of_five_minutes_is_survived(self, world: World, merchant: str) -> None:
        value = world.connect(merchant)
        world.connections.token(merchant, PROVIDER)
        with world.outage("table"):
            for _ in range(3):
                token = world.connections.token(merchant, PROVIDER)
                assert (token.value, token.warning) == (value, "storage_unavailable")
                world.clock.advance(99)
            world.clock.advance(10)
            with pytest.raises(TokenUnavailable, match="storage_unavailable"):
                world.connections.token(merchant, PROVIDER)
        assert world.connections.token(merchant, PROVIDER).warning is None

    def test_in_an_outage_no_dead_token_is_given(self, world: World, merchant: str) -> None:
        world.connect(merchant, expires_in=120)
        world.connections.token(merchant, PROVIDER, "default")
        with world.outage("table"):
            world.clock.advance(121)
            with pytest.raises(TokenUnavailable):
                world.connections.token(merchant, PROVIDER, "default")

    def test_a_token_that_was_never_read_cannot_be_had_in_an_outage(
        self, world: World, merchant: str
    ) -> None:
        world.connect(merchant)
        for part in ("table", "kms"):
            with world.outage(part), pytest.raises(TokenUnavailable):
                world.connections.token(merchant, PROVIDER)

    def test_what_ended_before_an_outage_stays_ended_in_it(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        world.connections.token(merchant, PROVIDER, "default")
        world.end(merchant, "disconnected")
        with pytest.raises(Disconnected):
            world.connections.token(merchant, PROVIDER, "default")
        with world.outage("table"), pytest.raises(TokenUnavailable):
            world.connections.token(merchant, PROVIDER, "default")

    def test_a_key_outage_of_five_minutes_is_survived(self, world: World, merchant: str) -> None:
        value = world.connect(merchant)
        world.connections.token(merchant, PROVIDER, "default")
        world.clock.advance(299)
        with world.outage("kms"):
            assert world.connections.token(merchant, PROVIDER, "default").warning is None
            world.clock.advance(300)
            token = world.connections.token(merchant, PROVIDER, "default")
            assert (token.value, token.warning) == (value, "sealing_unavailable")
            world.clock.advance(1)
            with pytest.raises(TokenUnavailable, match="sealing_unavailable"):
                world.connections.token(merchant, PROVIDER, "default")
        assert world.connections.token(merchant, PROVIDER, "default").value == value

    def test_a_token_that_the_api_gave_survives_a_key_outage_too(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        world.clock.advance(3_550)
        fresh = world.connections.token(merchant, PROVIDER, "default")
        with world.outage("kms", "api"):
            world.clock.advance(1)
            token = world.connections.token(merchant, PROVIDER, "default")
            assert (token.value, token.seen) == (fresh.value, (1, 2))
            assert token.warning == "sealing_unavailable"
            world.clock.advance(599)
            with pytest.raises(TokenUnavailable, match="sealing_unavailable"):
                world.connections.token(merchant, PROVIDER, "default")

    def test_a_clock_that_is_set_back_lengthens_nothing(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        world.connections.token(merchant, PROVIDER, "default")
        world.clock.advance(-60)
        with world.outage("table"), pytest.raises(TokenUnavailable):
            world.connections.token(merchant, PROVIDER, "default")

    # list, report, disconnect

    def test_a_list_has_everything_but_tokens(self, world: World, merchant: str) -> None:
        value = world.connect(merchant, scopes=("read",))
        world.connect(merchant, OTHER, account="shop-1")
        world.end(merchant, "needs_reconnect", reason="token_refused")
        found = world.connections.list(merchant)
        assert [(each.provider, each.account_id) for each in found] == [
            (PROVIDER, "default"),
            (OTHER, "shop-1"),
        ]
        assert (found[0].status, found[0].last_error) == (Status.NEEDS_RECONNECT, "token_refused")
        assert value not in repr(found)
        assert world.connections.list(merchant, OTHER) == found[1:]
        assert world.connections.list(merchant, status="needs_reconnect") == found[:1]
        assert world.connections.list(merchant, OTHER, Status.DISCONNECTED) == []
        assert world.connections.list(a_merchant()) == []
        with world.outage("table"), pytest.raises(TokenUnavailable):
            world.connections.list(merchant)
        with pytest.raises(ValueError, match="bogus"):
            world.connections.list(merchant, status="bogus")
        with pytest.raises(ValueError, match="not a provider id"):
            world.connections.list(merchant, "")

    def test_a_long_list_is_whole(self, world: World, merchant: str) -> None:
        names = [f"shop-{number:03}" for number in range(103)]
        world.connect_many(merchant, names)
        assert [each.account_id for each in world.connections.list(merchant)] == names

    def test_a_report_brings_a_newer_token(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        refused = world.connections.token(merchant, PROVIDER)
        world.clock.advance(61)
        report = world.connections.report_unauthorized(refused)
        assert report == ("refreshed", 1, 2)
        token = world.connections.token(merchant, PROVIDER)
        assert (token.version, token.value != refused.value) == (2, True)
        assert world.connections.report_unauthorized(refused) == ("fresh", 1, 2)

    def test_the_third_report_in_a_row_ends_what_nothing_refreshes(self, world: World, merchant: str) -> None:
        world.connect(merchant, expires_in=None, refreshes=False)
        token = world.connections.token(merchant, PROVIDER)
        for _ in range(2):
            assert world.connections.report_unauthorized(token).outcome == "reported"
            world.clock.advance(61)
        with pytest.raises(NeedsReconnect):
            world.connections.report_unauthorized(token)
        with world.outage("table"), pytest.raises(TokenUnavailable):
            world.connections.token(merchant, PROVIDER)

    def test_a_disconnect_is_at_once_and_may_be_repeated(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        world.connections.token(merchant, PROVIDER)
        for _ in range(2):
            world.connections.disconnect(merchant, PROVIDER)
        for account in (None, "default"):
            with pytest.raises(Disconnected):
                world.connections.token(merchant, PROVIDER, account)
        with pytest.raises(NotConnected):
            world.connections.disconnect(a_merchant(), PROVIDER, "default")

    def test_what_is_cut_off_is_the_account_that_is_connected_now(self, world: World, merchant: str) -> None:
        world.connect(merchant, account="shop-1")
        assert world.connections.token(merchant, PROVIDER).account_id == "shop-1"
        world.end(merchant, "uninstalled", account="shop-1")
        world.connect(merchant, account="shop-2")
        world.connections.disconnect(merchant, PROVIDER)
        assert [each.status for each in world.connections.list(merchant)] == ["uninstalled", "disconnected"]

    def test_of_several_accounts_none_is_cut_off(self, world: World, merchant: str) -> None:
        world.connect(merchant, account="shop-1")
        assert world.connections.token(merchant, PROVIDER).account_id == "shop-1"
        world.connect(merchant, account="shop-2")
        for ask in (world.connections.disconnect, world.connections.token):
            with pytest.raises(SeveralAccounts):
                ask(merchant, PROVIDER)
        assert [each.status for each in world.connections.list(merchant)] == ["active"] * 2

    def test_nothing_is_cut_off_by_guess_while_the_table_is_out(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        token = world.connections.token(merchant, PROVIDER)
        with world.outage("table"):
            with pytest.raises(TokenUnavailable, match="storage_unavailable"):
                world.connections.disconnect(merchant, PROVIDER)
            assert world.connections.token(merchant, PROVIDER).value == token.value
        assert world.connections.token(merchant, PROVIDER) == token

    @pytest.mark.parametrize(
        ("status", "error"), [("uninstalled", Uninstalled), ("needs_reconnect", Disconnected)]
    )
    def test_a_disconnect_ends_what_had_not_ended(
        self, world: World, merchant: str, status: str, error: type[NoConnection]
    ) -> None:
        world.connect(merchant)
        world.end(merchant, status)
        world.connections.disconnect(merchant, PROVIDER, "default")
        with pytest.raises(error):
            world.connections.token(merchant, PROVIDER, "default")

    def test_without_the_api_nothing_is_reported_or_cut_off(self, world: World, merchant: str) -> None:
        world.connect(merchant)
        token = world.connections.token(merchant, PROVIDER)
        asks: list[Callable[[], object]] = [
            lambda: world.connections.report_unauthorized(token),
            lambda: world.connections.disconnect(merchant, PROVIDER),
        ]
        with world.outage("api"):
            for ask in asks:
                with pytest.raises(TokenUnavailable, match="api_unavailable"):
                    ask()
        assert world.connections.token(merchant, PROVIDER) == token

    # the session

    def test_a_session_places_the_token_and_heals_a_401(
        self, world: World, merchant: str, provider: ProviderServer
    ) -> None:
        old = world.connect(merchant)
        world.clock.advance(61)
        provider.judge = lambda asked: Answer(401 if old in str(asked.headers) else 200)
        with world.connections.session(merchant, PROVIDER) as session:
            answer = session.post("things", json={"a": 1})
            again = session.get(f"http://{provider.host}/api/things?b=2")
        assert (answer.status_code, again.status_code) == (200, 200)
        first, second, third = provider.asked
        assert (first.target, second.target, third.target) == (
            "/api/things",
            "/api/things",
            "/api/things?b=2",
        )
        assert first.body == second.body == b'{"a": 1}'
        assert provider.bearers[0] == old
        assert provider.bearers[1] == provider.bearers[2] != old
        assert "authorization" not in {name.lower() for name in answer.request.headers}

    def test_a_session_sends_the_token_to_nobody_else(
        self, world: World, merchant: str, provider: ProviderServer
    ) -> None:
        world.connect(merchant)
        with (
            ProviderServer() as stranger,
            world.connections.session(merchant, PROVIDER) as session,
        ):
            with pytest.raises(NotTheProvider):
                session.get(f"http://{stranger.host}/api/things")
            assert (stranger.asked, provider.asked) == ([], [])

    def test_a_session_of_an_ended_connection_says_so(
        self, world: World, merchant: str, provider: ProviderServer
    ) -> None:
        world.connect(merchant)
        with world.connections.session(merchant, PROVIDER, "default") as session:
            assert session.get("things").ok
            world.end(merchant, "uninstalled")
            with pytest.raises(Uninstalled):
                session.get("things")
        assert len(provider.asked) == 1

    def test_everything_is_one_family_of_errors(self, world: World, merchant: str) -> None:
        with pytest.raises(MooringError):
            world.connections.token(merchant, PROVIDER)
        assert AccessToken.__reduce__ is not object.__reduce__
