"""Signatures of links: Ed25519 (RFC 8032), checked by OpenSSL.

Imported on the cold path of `authorize`, so nothing here may load an AWS or HTTP library.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` (64 bytes) is genuine for `message` under `public_key` (raw, 32 bytes).

    A key or signature of another length is simply not genuine; nothing is raised.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
