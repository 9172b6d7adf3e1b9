"""Signing links: all that a product has to do to let a merchant connect an account."""

import secrets
import time
from pathlib import Path

import jwt

LINK_SECONDS = 300
"""Life of a link in seconds. A link is followed at once, so minutes are plenty; Mooring allows an hour."""


class LinkSigner:
    """Signs links with the product's private key.

    Args:
        base_url: Mooring's base URL, the audience of every link.
        key_path: PEM file (PKCS8) with an Ed25519 private key.
        kid: the id under which Mooring knows the public key.
    """

    def __init__(self, base_url: str, key_path: Path, kid: str) -> None:
        self._base_url = base_url
        self._key_path = key_path
        self._kid = kid

    def authorize_url(
        self, provider: str, merchant: str, return_to: str, account_id: str | None = None
    ) -> str:
        """The address that starts a flow: connect `merchant` at `provider`, then come back to `return_to`.

        Args:
            provider: a provider id.
            merchant: a merchant id.
            return_to: where the merchant's browser ends up.
            account_id: the one account that may be connected, when an ended connection is to be mended.

        Raises:
            OSError: the key file cannot be read.
            ValueError: it holds no such key.
        """
        now = int(time.time())
        claims = {
            "aud": self._base_url,
            "sub": merchant,
            "use": "connect",
            "provider": provider,
            "return_to": return_to,
            "iat": now,
            "exp": now + LINK_SECONDS,
            "jti": secrets.token_urlsafe(16),
            **({"account_id": account_id} if account_id else {}),
        }
        key = self._key_path.read_bytes()
        try:
            link = jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": self._kid})
        except jwt.PyJWTError:
            raise ValueError("the link key's file holds no Ed25519 private key") from None
        return f"{self._base_url}/authorize/{provider}?link={link}"
