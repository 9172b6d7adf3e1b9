"""Sealing tokens for somebody else: compact JWE (RFC 7516), which JOSE libraries of any language open.

Keys are PEM (SubjectPublicKeyInfo, PKCS #8) or JWK (RFC 7517). Elliptic curves and X25519 agree on a key
with ECDH-ES+A256KW, RSA wraps one with RSA-OAEP-256 (RFC 7518 4); the content is under A256GCM. A JWE to a
public key proves nothing about who made it: whoever imports a file has to know where it comes from.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from mooring_cli.errors import UsageError

CONTENT = "A256GCM"
_AGREE, _WRAP = "ECDH-ES+A256KW", "RSA-OAEP-256"
_LEAST_RSA_BITS = 2_048
_NOT_FOR_KEYS = ("Ed25519", "Ed448")
_HOW = "docs/leaving.md#a-key-for-the-receiver"


class NotOpened(Exception):  # noqa: N818 - an answer
    """A JWE that this key does not open. The text is fixed, and never what stood in it."""


class Receiver:
    """A public key to which tokens are sealed.

    Args:
        key: the key.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self.algorithm = _algorithm(key)
        self.thumbprint = key.thumbprint()
        """The key's name in the header of each JWE (RFC 7638)."""

    def seal(self, content: Mapping[str, Any]) -> str:
        """A compact JWE of a JSON object."""
        header = {"alg": self.algorithm, "enc": CONTENT, "kid": self.thumbprint, "cty": "json"}
        plain = json.dumps(content, separators=(",", ":")).encode()
        return jwe.encrypt_compact(header, plain, self._key, algorithms=[self.algorithm, CONTENT])


class Opener:
    """The private key that opens what was sealed to its public half.

    Args:
        key: the key.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._algorithm = _algorithm(key)
        self.thumbprint = key.thumbprint()
        """That of its public half."""

    def open(self, sealed: str) -> dict[str, Any]:
        """The JSON object in a compact JWE. Raises `NotOpened`."""
        try:
            opened = jwe.decrypt_compact(sealed, self._key, algorithms=[self._algorithm, CONTENT])
            found = json.loads(opened.plaintext or b"")
        except (JoseError, ValueError, KeyError, TypeError):
            raise NotOpened("its tokens do not open with this key") from None
        if not isinstance(found, dict):
            raise NotOpened("its tokens are no JSON object")
        return found


def receiver_from(path: Path) -> Receiver:
    """The receiver whose public key is in a file. Raises UsageError, also for a private key."""
    key = _read(path)
    if key.is_private:
        raise UsageError(
            f"{path} is a private key, which belongs to the receiver alone. Give --to its public half: {_HOW}"
        )
    return Receiver(key)


def opener_from(path: Path) -> Opener:
    """What opens tokens with the private key in a file. Raises UsageError."""
    key = _read(path)
    if not key.is_private:
        raise UsageError(f"{path} is a public key. Give --key the private one")
    return Opener(key)


def _read(path: Path) -> Key:
    try:
        content = path.read_bytes()
    except OSError:
        raise UsageError(f"{path} cannot be read") from None
    key = _imported(content)
    if key is None or not _usable(key):
        raise UsageError(
            f"{path} is no key that can be used: an unencrypted PEM or JWK of an elliptic curve, X25519, or "
            f"RSA with {_LEAST_RSA_BITS} bits or more. {_HOW}"
        )
    return key


def _imported(content: bytes) -> Key | None:
    with warnings.catch_warnings():
        # It warns when a PEM file is to say by itself of which kind it is, which is what is wanted here.
        warnings.simplefilter("ignore", SecurityWarning)
        try:
            return import_key(json.loads(content) if content.lstrip().startswith(b"{") else content)
        except (JoseError, ValueError, TypeError, KeyError):
            return None


def _usable(key: Key) -> bool:
    if isinstance(key, RSAKey):
        return int(key.raw_value.key_size) >= _LEAST_RSA_BITS
    if isinstance(key, OKPKey):
        return key.curve_name not in _NOT_FOR_KEYS
    return isinstance(key, ECKey)


def _algorithm(key: Key) -> str:
    return _WRAP if isinstance(key, RSAKey) else _AGREE
