"""What every implementation of the sealer port must do."""

from typing import Protocol

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.ports import Sealer
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key
from mooring.core.upkeep_ports import Resealer

SECRET = "canary-token-7f3a"
HERE = ("m-1", "prov-a", "shop-1", "access")
KEY = Key("m-1", "prov-a", "shop-1")


def sealed_here(sealer: Sealer, plaintext: str = SECRET) -> SealedField:
    return sealer.prepare("m-1", "prov-a").seal("access", "shop-1", plaintext)


def unreadable(sealer: Sealer, sealed: SealedField, place: tuple[str, str, str, str] = HERE) -> bool:
    with pytest.raises(Failure) as caught:
        sealer.open(sealed, *place)
    assert SECRET not in str(caught.value)
    return caught.value.reason is Reason.TOKEN_UNREADABLE


class Outage(Protocol):
    """Makes the key service fail from now on."""

    def __call__(self) -> None: ...


class SealerBattery:
    """Inherit it, and give the fixtures `sealer` and `outage`."""

    @pytest.fixture
    def sealer(self) -> Resealer:
        raise NotImplementedError

    @pytest.fixture
    def outage(self, sealer: Resealer) -> Outage:
        raise NotImplementedError

    @pytest.mark.parametrize("plaintext", [SECRET, "", "ключ-🔑", "a.b.c" * 4_000], ids=len)
    def test_what_was_sealed_opens_again(self, sealer: Sealer, plaintext: str) -> None:
        assert sealer.open(sealed_here(sealer, plaintext), *HERE) == plaintext

    def test_both_fields_of_a_connection_open(self, sealer: Sealer) -> None:
        keys = sealer.prepare("m-1", "prov-a")
        access, refresh = keys.seal("access", "shop-1", "one"), keys.seal("refresh", "shop-1", "two")
        assert sealer.open(access, *HERE) == "one"
        assert sealer.open(refresh, "m-1", "prov-a", "shop-1", "refresh") == "two"

    def test_the_fields_have_different_data_keys(self, sealer: Sealer) -> None:
        keys = sealer.prepare("m-1", "prov-a")
        assert keys.seal("access", "a", "x").wrapped_key != keys.seal("refresh", "a", "x").wrapped_key

    def test_nothing_readable_is_in_it(self, sealer: Sealer) -> None:
        assert SECRET.encode() not in b"".join(sealed_here(sealer))

    def test_the_same_text_never_seals_alike(self, sealer: Sealer) -> None:
        keys = sealer.prepare("m-1", "prov-a")
        assert len({keys.seal("access", "shop-1", SECRET).ciphertext for _ in range(20)}) == 20

    @pytest.mark.parametrize(
        "elsewhere",
        [
            ("m-2", "prov-a", "shop-1", "access"),
            ("m-1", "prov-b", "shop-1", "access"),
            ("m-1", "prov-a", "shop-2", "access"),
            ("m-1", "prov-a", "shop-1", "refresh"),
            ("m-1prov-a", "", "shop-1", "access"),
            ("m-1", "prov-ashop-1", "", "access"),
        ],
        ids="/".join,
    )
    def test_moved_elsewhere_it_does_not_open(
        self, sealer: Sealer, elsewhere: tuple[str, str, str, str]
    ) -> None:
        assert unreadable(sealer, sealed_here(sealer), elsewhere)

    def test_it_does_not_open_elsewhere_even_where_it_was_opened_before(self, sealer: Sealer) -> None:
        sealed = sealed_here(sealer)
        sealer.open(sealed, *HERE)
        assert unreadable(sealer, sealed, ("m-2", "prov-a", "shop-1", "access"))

    def test_a_ciphertext_does_not_open_with_the_key_of_its_neighbour(self, sealer: Sealer) -> None:
        one, other = sealed_here(sealer), sealed_here(sealer)
        assert unreadable(sealer, SealedField(one.ciphertext, other.wrapped_key))

    def test_a_flipped_byte_of_the_ciphertext_is_noticed(self, sealer: Sealer) -> None:
        sealed = sealed_here(sealer)
        flipped = [SealedField(each, sealed.wrapped_key) for each in _flips(sealed.ciphertext)]
        assert all(unreadable(sealer, each) for each in flipped)

    def test_a_flipped_byte_of_the_wrapped_key_is_noticed(self, sealer: Sealer) -> None:
        sealed = sealed_here(sealer)
        # Where the flip names another KMS key, KMS cannot tell "no such key" from "not allowed".
        either = (Reason.TOKEN_UNREADABLE, Reason.KEY_DENIED)
        reasons = []
        for each in _flips(sealed.wrapped_key):
            with pytest.raises(Failure) as caught:
                sealer.open(SealedField(sealed.ciphertext, each), *HERE)
            reasons.append(caught.value.reason)
        assert len(reasons) == len(sealed.wrapped_key)
        assert set(reasons) <= set(either)

    @pytest.mark.parametrize("length", [0, 1, 12, 20])
    def test_truncated_it_does_not_open(self, sealer: Sealer, length: int) -> None:
        sealed = sealed_here(sealer)
        assert unreadable(sealer, sealed._replace(ciphertext=sealed.ciphertext[:length]))
        assert unreadable(sealer, sealed._replace(wrapped_key=sealed.wrapped_key[:length]))

    def test_an_outage_stops_both_ways_and_is_no_verdict_on_the_token(
        self, sealer: Sealer, outage: Outage
    ) -> None:
        sealed = sealed_here(sealer)
        outage()
        with pytest.raises(Failure) as opening:
            sealer.open(sealed, *HERE)
        with pytest.raises(Failure) as preparing:
            sealer.prepare("m-1", "prov-a")
        assert opening.value.reason is preparing.value.reason is Reason.SEALING_UNAVAILABLE

    def test_prepared_keys_seal_through_an_outage(self, sealer: Sealer, outage: Outage) -> None:
        keys = sealer.prepare("m-1", "prov-a")
        outage()
        assert keys.seal("access", "shop-1", SECRET).ciphertext

    def test_reused_keys_seal_under_the_same_wrapped_keys(self, sealer: Resealer) -> None:
        access, refresh = sealed_pair(sealer)
        keys = sealer.reuse(KEY, access, refresh)
        fresh = keys.seal("access", "shop-1", "one"), keys.seal("refresh", "shop-1", "two")
        assert [each.wrapped_key for each in fresh] == [access.wrapped_key, refresh.wrapped_key]
        assert fresh[0].ciphertext != access.ciphertext
        assert sealer.open(fresh[0], *KEY, "access") == "one"
        assert sealer.open(fresh[1], *KEY, "refresh") == "two"

    def test_what_was_sealed_before_opens_still(self, sealer: Resealer) -> None:
        access, refresh = sealed_pair(sealer)
        sealer.reuse(KEY, access, refresh).seal("access", "shop-1", "newer")
        assert sealer.open(access, *KEY, "access") == "an access token"
        assert sealer.open(refresh, *KEY, "refresh") == "a refresh token"

    def test_keys_can_be_reused_again_and_again(self, sealer: Resealer) -> None:
        access, refresh = sealed_pair(sealer)
        for turn in range(5):
            keys = sealer.reuse(KEY, access, refresh)
            access, refresh = keys.seal("access", "shop-1", f"{turn}"), keys.seal("refresh", "shop-1", "r")
        assert sealer.open(access, *KEY, "access") == "4"

    @pytest.mark.parametrize("elsewhere", [Key("m-2", "prov-a", "shop-1"), Key("m-1", "prov-b", "shop-1")])
    def test_the_keys_of_another_place_are_not_reused(self, sealer: Resealer, elsewhere: Key) -> None:
        assert not_reusable(sealer, elsewhere, *sealed_pair(sealer))

    def test_the_keys_of_the_two_fields_are_not_exchanged(self, sealer: Resealer) -> None:
        access, refresh = sealed_pair(sealer)
        assert not_reusable(sealer, KEY, refresh, access)
        assert not_reusable(sealer, KEY, access, access)

    def test_a_key_that_is_none_is_not_reused(self, sealer: Resealer) -> None:
        access, refresh = sealed_pair(sealer)
        assert not_reusable(sealer, KEY, access, refresh._replace(wrapped_key=b""))
        assert not_reusable(sealer, KEY, access._replace(wrapped_key=access.wrapped_key[:8]), refresh)

    def test_an_outage_stops_reuse_and_is_no_verdict_on_the_token(
        self, sealer: Resealer, outage: Outage
    ) -> None:
        pair = sealed_pair(sealer)
        outage()
        with pytest.raises(Failure) as caught:
            sealer.reuse(KEY, *pair)
        assert caught.value.reason is Reason.SEALING_UNAVAILABLE

    def test_reused_keys_seal_through_an_outage(self, sealer: Resealer, outage: Outage) -> None:
        keys = sealer.reuse(KEY, *sealed_pair(sealer))
        outage()
        assert keys.seal("refresh", "shop-1", SECRET).ciphertext


def sealed_pair(sealer: Sealer) -> tuple[SealedField, SealedField]:
    """Both fields of one connection."""
    keys = sealer.prepare("m-1", "prov-a")
    return keys.seal("access", "shop-1", "an access token"), keys.seal("refresh", "shop-1", "a refresh token")


def not_reusable(sealer: Resealer, key: Key, access: SealedField, refresh: SealedField) -> bool:
    with pytest.raises(Failure) as caught:
        sealer.reuse(key, access, refresh)
    return caught.value.reason is Reason.TOKEN_UNREADABLE


def _flips(data: bytes) -> list[bytes]:
    """`data` with one byte changed, once for each byte."""
    return [data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :] for at in range(len(data))]
