"""Envelope encryption of one field: AES-256-GCM (NIST SP 800-38D) under a data key from KMS.

    ciphertext   01 | nonce (12 bytes) | AES-256-GCM output, tag last (16 bytes)
    wrapped key  01 | what KMS returned

The first byte is the format. The KMS encryption context holds merchant, provider and field; the
additional data holds these and the account, which some providers name only after the token call.
So a ciphertext opens only in the row, the field and the account that it was sealed for.

What it does not promise: an older ciphertext of the same field, put back, opens. The table's own
conditions (generation and version) are what tells old from new.

A connection keeps its two data keys when its tokens are refreshed, so a key seals many times. Each
nonce is 96 random bits, which is good for 2^32 sealings under one key (SP 800-38D 8.3): a token
refreshed every minute would get there in eight thousand years. A new code exchange brings new keys.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mooring.core.errors import Failure, Reason
from mooring.core.ports import Clock
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key

FIELDS = ("access", "refresh")
KEY_SECONDS = 300
MAX_KEYS = 1_000
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_MAX_WRAPPED_BYTES = 6_144


class DataKeys(Protocol):
    """Who makes and unwraps data keys (KMS)."""

    def generate(self, context: Mapping[str, str], /) -> tuple[bytes, bytes]:
        """A new data key: (plain, wrapped)."""
        ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str], /) -> bytes:
        """The plain data key of a wrapped one."""
        ...


class _Place(NamedTuple):
    """Where a sealed field belongs."""

    merchant_id: str
    provider: str
    field: str

    def context(self) -> dict[str, str]:
        return {"merchant": self.merchant_id, "provider": self.provider, "field": self.field}

    def additional_data(self, account_id: str) -> bytes:
        # Each part carries its length, so that no two places can spell the same bytes.
        parts = [part.encode() for part in (self.merchant_id, self.provider, account_id, self.field)]
        return _FORMAT + b"".join(len(part).to_bytes(4) + part for part in parts)


class PreparedKeys:
    """The two data keys of one connection, as `EnvelopeSealer.prepare` or `reuse` fetched them."""

    def __init__(self, merchant_id: str, provider: str, keys: Mapping[str, tuple[bytes, bytes]]) -> None:
        self._merchant_id = merchant_id
        self._provider = provider
        self._keys = keys

    def seal(self, field: str, account_id: str, plaintext: str) -> SealedField:
        """Seal `plaintext` as the `access` or `refresh` field of an account."""
        plain, wrapped = self._keys[field]
        nonce = os.urandom(_NONCE_BYTES)
        place = _Place(self._merchant_id, self._provider, field)
        sealed = AESGCM(plain).encrypt(nonce, plaintext.encode(), place.additional_data(account_id))
        return SealedField(_FORMAT + nonce + sealed, _FORMAT + wrapped)


class EnvelopeSealer:
    """Seals with fresh data keys; opens with keys that are remembered for at most five minutes.

    Args:
        keys: makes and unwraps data keys.
        clock: epoch seconds.
    """

    def __init__(self, keys: DataKeys, clock: Clock) -> None:
        self._keys = keys
        self._known = _KnownKeys(clock)

    def prepare(self, merchant_id: str, provider: str) -> PreparedKeys:
        """Fetch two new data keys, side by side. Raises `Failure`: SEALING_UNAVAILABLE or KEY_DENIED."""
        contexts = [_Place(merchant_id, provider, field).context() for field in FIELDS]
        with ThreadPoolExecutor(max_workers=len(FIELDS)) as pool:
            pairs = list(pool.map(self._keys.generate, contexts))
        return PreparedKeys(merchant_id, provider, dict(zip(FIELDS, pairs, strict=True)))

    def reuse(self, key: Key, access: SealedField, refresh: SealedField) -> PreparedKeys:
        """The data keys that a connection has already, unwrapped side by side.

        What is sealed with them names the same wrapped keys. A key that is remembered costs no call,
        and both are remembered afterwards, so that `open` costs none.

        Raises:
            Failure: as `open`; the first reason met, that of `access` before that of `refresh`.
        """
        places = [_Place(key.merchant_id, key.provider, field) for field in FIELDS]
        wrapped = [_wrapped(sealed.wrapped_key) for sealed in (access, refresh)]
        with ThreadPoolExecutor(max_workers=len(FIELDS)) as pool:
            plain = list(pool.map(self._key, wrapped, places))
        pairs = zip(plain, wrapped, strict=True)
        return PreparedKeys(key.merchant_id, key.provider, dict(zip(FIELDS, pairs, strict=True)))

    def open(self, sealed: SealedField, merchant_id: str, provider: str, account_id: str, field: str) -> str:
        """Open a sealed field.

        Raises:
            Failure: SEALING_UNAVAILABLE when KMS cannot be asked, KEY_DENIED when it says no,
                TOKEN_UNREADABLE when the field was altered, moved here from elsewhere, or its key is gone.
        """
        place = _Place(merchant_id, provider, field)
        nonce, ciphertext = _unpack(sealed.ciphertext)
        key = self._key(_wrapped(sealed.wrapped_key), place)
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, place.additional_data(account_id)).decode()
        except (InvalidTag, ValueError):
            raise Failure(Reason.TOKEN_UNREADABLE, "the sealed field does not open here") from None

    def _key(self, wrapped: bytes, place: _Place) -> bytes:
        key = self._known.get((wrapped, place))
        if key is None:
            key = self._keys.unwrap(wrapped, place.context())
            if len(key) != _KEY_BYTES:
                raise Failure(Reason.TOKEN_UNREADABLE, "the data key has another length")
            self._known.put((wrapped, place), key)
        return key


class _KnownKeys:
    """Unwrapped data keys, limited in time and number; the least recently used goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: OrderedDict[tuple[bytes, _Place], tuple[float, bytes]] = OrderedDict()
        self._lock = Lock()

    def get(self, name: tuple[bytes, _Place]) -> bytes | None:
        with self._lock:
            since, key = self._keys.get(name, (0.0, b""))
            # A clock that was set back must not lengthen a key's life.
            if not key or not 0 <= self._clock() - since < KEY_SECONDS:
                self._keys.pop(name, None)
                return None
            self._keys.move_to_end(name)
            return key

    def put(self, name: tuple[bytes, _Place], key: bytes) -> None:
        with self._lock:
            self._keys[name] = (self._clock(), key)
            self._keys.move_to_end(name)
            while len(self._keys) > MAX_KEYS:
                self._keys.popitem(last=False)


def _unpack(ciphertext: bytes) -> tuple[bytes, bytes]:
    """(nonce, AES-GCM output) of a sealed ciphertext."""
    if ciphertext[:1] != _FORMAT or len(ciphertext) < 1 + _NONCE_BYTES + _TAG_BYTES:
        raise Failure(Reason.TOKEN_UNREADABLE, "the sealed field has an unknown format")
    return ciphertext[1 : 1 + _NONCE_BYTES], ciphertext[1 + _NONCE_BYTES :]


def _wrapped(wrapped_key: bytes) -> bytes:
    """What KMS wrapped. A length that KMS would refuse unread is refused here."""
    if wrapped_key[:1] != _FORMAT or not 1 < len(wrapped_key) <= 1 + _MAX_WRAPPED_BYTES:
        raise Failure(Reason.TOKEN_UNREADABLE, "the wrapped key has an unknown format")
    return wrapped_key[1:]
