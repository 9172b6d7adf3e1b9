"""What every implementation of the secrets port must do."""

from typing import Protocol

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.ports import Secrets
from mooring.core.upkeep_ports import WebhookSecrets


class BothSecrets(Secrets, WebhookSecrets, Protocol):
    """The two ports, which one object serves."""


class Store(Protocol):
    """The ports, and the store behind them."""

    @property
    def secrets(self) -> BothSecrets:
        """The ports."""

    def put(self, provider: str, value: str) -> None:
        """Store a client secret."""

    def put_webhook(self, provider: str, value: str) -> None:
        """Store webhook secrets, one a line."""

    def delete(self, provider: str) -> None:
        """Take a provider's secrets away again."""

    def fail(self) -> None:
        """Let the store be unreachable from now on."""

    def work(self) -> None:
        """Let the store answer again."""

    def pass_time(self, seconds: int) -> None:
        """Let so many seconds go by."""


def unavailable(secrets: Secrets, provider: str) -> bool:
    with pytest.raises(Failure) as caught:
        secrets.client_secret(provider)
    return caught.value.reason is Reason.SECRET_UNAVAILABLE


def no_webhook(secrets: WebhookSecrets, provider: str) -> bool:
    with pytest.raises(Failure) as caught:
        secrets.webhook_secrets(provider)
    return caught.value.reason is Reason.SECRET_UNAVAILABLE


class SecretsBattery:
    """Inherit it, and give the fixture `store`; each test names a provider of its own."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_a_secret_is_what_was_stored(self, store: Store) -> None:
        store.put("stored", " a+b/c= ")
        assert store.secrets.client_secret("stored") == " a+b/c= "

    def test_providers_have_their_own(self, store: Store) -> None:
        store.put("one", "secret-1")
        store.put("two", "secret-2")
        assert store.secrets.client_secret("one") == "secret-1"
        assert store.secrets.client_secret("two") == "secret-2"

    def test_a_secret_that_nobody_stored_is_unavailable(self, store: Store) -> None:
        assert unavailable(store.secrets, "nobody")

    @pytest.mark.parametrize("value", [" ", "\n"])
    def test_a_blank_secret_is_none(self, store: Store, value: str) -> None:
        store.put("blank", value)
        assert unavailable(store.secrets, "blank")

    def test_a_secret_stored_late_is_found_after_half_a_minute(self, store: Store) -> None:
        assert unavailable(store.secrets, "late")
        store.put("late", "now-it-is-there")
        store.pass_time(29)
        assert unavailable(store.secrets, "late")
        store.pass_time(1)
        assert store.secrets.client_secret("late") == "now-it-is-there"

    def test_a_missing_secret_of_one_provider_is_not_anothers(self, store: Store) -> None:
        assert unavailable(store.secrets, "lacking")
        store.put("having", "secret")
        assert store.secrets.client_secret("having") == "secret"

    def test_a_secret_is_remembered(self, store: Store) -> None:
        store.put("remembered", "old")
        store.secrets.client_secret("remembered")
        store.put("remembered", "new")
        assert store.secrets.client_secret("remembered") == "old"

    def test_a_forgotten_secret_is_asked_for_again(self, store: Store) -> None:
        store.put("forgotten", "old")
        store.secrets.client_secret("forgotten")
        store.put("forgotten", "new")
        store.secrets.forget("forgotten")
        assert store.secrets.client_secret("forgotten") == "new"

    def test_a_secret_is_forgotten_once_in_half_a_minute(self, store: Store) -> None:
        store.put("often", "first")
        store.secrets.client_secret("often")
        store.put("often", "second")
        store.secrets.forget("often")
        store.secrets.forget("often")
        assert store.secrets.client_secret("often") == "second"
        store.put("often", "third")
        store.pass_time(29)
        store.secrets.forget("often")
        assert store.secrets.client_secret("often") == "second"
        store.pass_time(1)
        store.secrets.forget("often")
        assert store.secrets.client_secret("often") == "third"

    def test_each_provider_is_forgotten_by_itself(self, store: Store) -> None:
        for provider in ("own-one", "own-two"):
            store.put(provider, "old")
            store.secrets.client_secret(provider)
            store.put(provider, "new")
            store.secrets.forget(provider)
        assert store.secrets.client_secret("own-one") == "new"
        assert store.secrets.client_secret("own-two") == "new"

    def test_forgetting_what_was_never_known_is_harmless_and_does_not_count(self, store: Store) -> None:
        store.put("unknown", "value")
        store.secrets.forget("unknown")
        assert store.secrets.client_secret("unknown") == "value"
        store.put("unknown", "new")
        store.secrets.forget("unknown")
        assert store.secrets.client_secret("unknown") == "new"

    def test_an_outage_leaves_the_old_secret(self, store: Store) -> None:
        store.put("stale", "old")
        store.secrets.client_secret("stale")
        store.fail()
        store.secrets.forget("stale")
        assert store.secrets.client_secret("stale") == "old"

    def test_an_outage_without_an_old_secret_is_a_failure(self, store: Store) -> None:
        store.put("unread", "value")
        store.fail()
        assert unavailable(store.secrets, "unread")

    def test_after_an_outage_everybody_waits_for_five_seconds(self, store: Store) -> None:
        store.put("recovering", "value")
        store.fail()
        assert unavailable(store.secrets, "recovering")
        store.work()
        store.pass_time(4)
        assert unavailable(store.secrets, "recovering")
        store.pass_time(1)
        assert store.secrets.client_secret("recovering") == "value"

    def test_a_secret_that_was_taken_away_is_not_used_on(self, store: Store) -> None:
        store.put("revoked", "old")
        store.secrets.client_secret("revoked")
        store.delete("revoked")
        store.secrets.forget("revoked")
        assert unavailable(store.secrets, "revoked")
        store.fail()
        assert unavailable(store.secrets, "revoked")

    @pytest.mark.parametrize(
        ("text", "secrets"),
        [
            ("whsec-1", ("whsec-1",)),
            ("new\nold", ("new", "old")),
            (" new \r\n\n old \n", ("new", "old")),
            ("\n\nonly\n\n", ("only",)),
            ("with a blank inside", ("with a blank inside",)),
        ],
    )
    def test_webhook_secrets_stand_on_lines(self, store: Store, text: str, secrets: tuple[str, ...]) -> None:
        store.put_webhook("lines", text)
        assert store.secrets.webhook_secrets("lines") == secrets

    @pytest.mark.parametrize("text", [" ", "\n", " \n \r\n", "a\nb\nc"])
    def test_no_line_and_three_lines_are_none(self, store: Store, text: str) -> None:
        store.put_webhook("amiss", text)
        assert no_webhook(store.secrets, "amiss")

    def test_a_webhook_secret_that_nobody_stored_is_unavailable(self, store: Store) -> None:
        store.put("no-webhook", "a client secret proves no notice")
        assert no_webhook(store.secrets, "no-webhook")

    def test_the_two_kinds_are_kept_apart(self, store: Store) -> None:
        store.put("apart", "client")
        store.put_webhook("apart", "webhook")
        assert store.secrets.client_secret("apart") == "client"
        assert store.secrets.webhook_secrets("apart") == ("webhook",)
        assert store.secrets.client_secret("apart") == "client"

    def test_webhook_secrets_are_remembered_and_not_what_forget_means(self, store: Store) -> None:
        store.put_webhook("kept", "old")
        store.secrets.webhook_secrets("kept")
        store.put_webhook("kept", "new\nold")
        store.secrets.forget("kept")
        assert store.secrets.webhook_secrets("kept") == ("old",)

    def test_a_webhook_secret_that_is_put_right_is_found_after_half_a_minute(self, store: Store) -> None:
        store.put_webhook("righted", "a\nb\nc")
        assert no_webhook(store.secrets, "righted")
        store.put_webhook("righted", "a\nb")
        store.pass_time(29)
        assert no_webhook(store.secrets, "righted")
        store.pass_time(1)
        assert store.secrets.webhook_secrets("righted") == ("a", "b")

    def test_an_outage_leaves_the_old_webhook_secrets(self, store: Store) -> None:
        store.put_webhook("outlived", "one\ntwo")
        store.secrets.webhook_secrets("outlived")
        store.fail()
        assert store.secrets.webhook_secrets("outlived") == ("one", "two")

    def test_an_outage_without_old_webhook_secrets_is_a_failure(self, store: Store) -> None:
        store.put_webhook("unread-webhook", "one")
        store.fail()
        assert no_webhook(store.secrets, "unread-webhook")
