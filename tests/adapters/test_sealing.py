"""The sealed format, and how long an unwrapped key is remembered."""

import os
from collections.abc import Mapping
from threading import Barrier, Lock

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.sealing import KEY_SECONDS, MAX_KEYS, DataKeys, EnvelopeSealer
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key
from tests.fakes.clock import FakeClock

KEY = Key("m-1", "prov-a", "shop-1")
NAMES = st.text(alphabet="ab\x01:.-", max_size=4)


class LocalKeys:
    """Data keys that are wrapped by being put in a drawer. `unwrapped` counts the openings."""

    def __init__(self) -> None:
        self.drawer: dict[bytes, tuple[bytes, dict[str, str]]] = {}
        self.contexts: list[dict[str, str]] = []
        self.unwrapped = 0
        self._lock = Lock()

    def generate(self, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        with self._lock:
            plain, wrapped = os.urandom(32), os.urandom(16)
            self.drawer[wrapped] = (plain, dict(context))
            self.contexts.append(dict(context))
        return plain, wrapped

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        with self._lock:
            self.unwrapped += 1
        plain, expected = self.drawer[wrapped]
        if dict(context) != expected:
            raise Failure(Reason.TOKEN_UNREADABLE)
        return plain


class Setting:
    """A sealer with local keys and a clock that stands still."""

    def __init__(self, keys: DataKeys | None = None) -> None:
        self.clock = FakeClock()
        self.keys = LocalKeys()
        self.sealer = EnvelopeSealer(keys or self.keys, self.clock)

    def seal(self, plaintext: str = "token", account: str = "shop-1") -> SealedField:
        return self.sealer.prepare("m-1", "prov-a").seal("access", account, plaintext)

    def open(self, sealed: SealedField, account: str = "shop-1") -> str:
        return self.sealer.open(sealed, "m-1", "prov-a", account, "access")


def test_the_format_is_a_byte_a_nonce_and_a_tagged_ciphertext() -> None:
    sealed = Setting().seal("12345")
    assert sealed.ciphertext[0] == sealed.wrapped_key[0] == 1
    assert len(sealed.ciphertext) == 1 + 12 + len("12345") + 16


def test_the_data_keys_are_for_one_field_each() -> None:
    setting = Setting()
    setting.seal()
    assert sorted(setting.keys.contexts, key=str) == [
        {"merchant": "m-1", "provider": "prov-a", "field": "access"},
        {"merchant": "m-1", "provider": "prov-a", "field": "refresh"},
    ]


def test_both_data_keys_are_fetched_side_by_side() -> None:
    class Meeting(LocalKeys):
        """Each call waits for the other one."""

        barrier = Barrier(2)

        def generate(self, context: Mapping[str, str]) -> tuple[bytes, bytes]:
            self.barrier.wait(timeout=5)
            return super().generate(context)

    setting = Setting(Meeting())
    assert setting.seal().ciphertext


def pair_of(setting: Setting) -> tuple[SealedField, SealedField]:
    keys = setting.sealer.prepare("m-1", "prov-a")
    return keys.seal("access", "shop-1", "token"), keys.seal("refresh", "shop-1", "refresh token")


def test_reuse_unwraps_each_key_once_and_opening_costs_nothing_more() -> None:
    setting = Setting()
    access, refresh = pair_of(setting)
    setting.sealer.reuse(KEY, access, refresh)
    assert setting.keys.unwrapped == 2
    assert setting.open(access) == "token"
    assert setting.sealer.open(refresh, *KEY, "refresh") == "refresh token"
    setting.sealer.reuse(KEY, access, refresh)
    assert setting.keys.unwrapped == 2


def test_reuse_asks_only_for_the_key_that_is_not_known() -> None:
    setting = Setting()
    access, refresh = pair_of(setting)
    setting.open(access)
    setting.sealer.reuse(KEY, access, refresh)
    assert setting.keys.unwrapped == 2


def test_reuse_makes_no_new_keys() -> None:
    setting = Setting()
    access, refresh = pair_of(setting)
    made = len(setting.keys.contexts)
    setting.sealer.reuse(KEY, access, refresh).seal("access", "shop-1", "newer")
    assert len(setting.keys.contexts) == made


def test_both_keys_are_unwrapped_side_by_side() -> None:
    class Meeting(LocalKeys):
        """Each call waits for the other one."""

        barrier = Barrier(2)

        def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
            self.barrier.wait(timeout=5)
            return super().unwrap(wrapped, context)

    keys = Meeting()
    setting = Setting(keys)
    setting.sealer.reuse(KEY, *pair_of(setting))
    assert keys.unwrapped == 2


def test_reuse_refuses_another_format_before_any_key_is_asked_for() -> None:
    setting = Setting()
    access, refresh = pair_of(setting)
    with pytest.raises(Failure) as caught:
        setting.sealer.reuse(KEY, access, refresh._replace(wrapped_key=b"\x02" + refresh.wrapped_key[1:]))
    assert caught.value.reason is Reason.TOKEN_UNREADABLE
    assert setting.keys.unwrapped == 0


@pytest.mark.parametrize("byte", [0, 2, 255])
def test_another_format_is_refused_before_any_key_is_asked_for(byte: int) -> None:
    setting = Setting()
    sealed = setting.seal()
    for changed in (
        sealed._replace(ciphertext=bytes([byte]) + sealed.ciphertext[1:]),
        sealed._replace(wrapped_key=bytes([byte]) + sealed.wrapped_key[1:]),
        sealed._replace(wrapped_key=b"\x01"),
        sealed._replace(wrapped_key=b"\x01" * 6_146),
    ):
        with pytest.raises(Failure) as caught:
            setting.open(changed)
        assert caught.value.reason is Reason.TOKEN_UNREADABLE
    assert setting.keys.unwrapped == 0


def test_a_data_key_of_another_length_opens_nothing() -> None:
    setting = Setting()
    sealed = setting.seal()
    wrapped = sealed.wrapped_key[1:]
    setting.keys.drawer[wrapped] = (b"short", setting.keys.drawer[wrapped][1])
    with pytest.raises(Failure) as caught:
        setting.open(sealed)
    assert caught.value.reason is Reason.TOKEN_UNREADABLE


def test_bytes_that_are_no_text_open_nothing() -> None:
    setting = Setting()
    sealed = setting.seal()
    key, _ = setting.keys.drawer[sealed.wrapped_key[1:]]
    place = [part.encode() for part in ("m-1", "prov-a", "shop-1", "access")]
    additional = b"\x01" + b"".join(len(part).to_bytes(4) + part for part in place)
    foreign = b"\x01" + b"n" * 12 + AESGCM(key).encrypt(b"n" * 12, b"\xff\xfe", additional)
    with pytest.raises(Failure) as caught:
        setting.open(sealed._replace(ciphertext=foreign))
    assert caught.value.reason is Reason.TOKEN_UNREADABLE


def test_a_key_is_unwrapped_once_in_five_minutes() -> None:
    setting = Setting()
    sealed = setting.seal()
    for _ in range(3):
        assert setting.open(sealed) == "token"
        setting.clock.advance(KEY_SECONDS / 3 - 1)
    assert setting.keys.unwrapped == 1
    setting.clock.advance(3)
    setting.open(sealed)
    assert setting.keys.unwrapped == 2


def test_a_clock_that_is_set_back_lengthens_no_life() -> None:
    setting = Setting()
    sealed = setting.seal()
    setting.open(sealed)
    setting.clock.advance(-3_600)
    setting.open(sealed)
    assert setting.keys.unwrapped == 2


def test_no_more_than_a_thousand_keys_are_remembered_and_the_idle_one_goes() -> None:
    setting = Setting()
    busy, idle = setting.seal(), setting.seal()
    setting.open(busy)
    setting.open(idle)
    for _ in range(MAX_KEYS - 2):
        setting.open(setting.seal())
    setting.open(busy)
    setting.open(setting.seal())
    before = setting.keys.unwrapped
    setting.open(busy)
    assert setting.keys.unwrapped == before
    setting.open(idle)
    assert setting.keys.unwrapped == before + 1


def test_a_remembered_key_still_belongs_to_its_place() -> None:
    setting = Setting()
    sealed = setting.seal()
    setting.open(sealed)
    with pytest.raises(Failure) as caught:
        setting.sealer.open(sealed, "m-2", "prov-a", "shop-1", "access")
    assert caught.value.reason is Reason.TOKEN_UNREADABLE


@given(st.tuples(NAMES, NAMES, NAMES), st.tuples(NAMES, NAMES, NAMES))
def test_no_two_places_share_a_ciphertext(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    class Shared:
        """One data key for everything, so that only the additional data can tell places apart."""

        def generate(self, _context: Mapping[str, str], /) -> tuple[bytes, bytes]:
            return b"k" * 32, b"w"

        def unwrap(self, _wrapped: bytes, _context: Mapping[str, str], /) -> bytes:
            return b"k" * 32

    sealer = EnvelopeSealer(Shared(), FakeClock())
    sealed = sealer.prepare(one[0], one[1]).seal("access", one[2], "token")
    if one == other:
        assert sealer.open(sealed, *other, "access") == "token"
    else:
        with pytest.raises(Failure):
            sealer.open(sealed, *other, "access")
