"""Links signed as a product signs them: with PyJWT, which knows nothing of how Mooring reads them."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mooring.adapters.ed25519 import verify
from mooring.core.link import LinkPolicy

NOW = 1_800_000_000
BASE_URL = "https://connect.example.com"
APP = "https://app.example.com"
RETURN_TO = f"{APP}/settings"
KID = "key-1"
KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
ABSENT = object()


def policy(origins: tuple[str, ...] = (APP,), audience: str = BASE_URL) -> LinkPolicy:
    """What this deployment checks links against."""
    return LinkPolicy(audience, {KID: KEY.public_key().public_bytes_raw()}, origins, verify)


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good link, with changes; ABSENT takes a claim out."""
    good = {
        "aud": BASE_URL,
        "sub": "m-1",
        "use": "connect",
        "provider": "acme",
        "return_to": RETURN_TO,
        "iat": NOW,
        "exp": NOW + 600,
        "jti": "jti-1",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ABSENT}


def signed(
    key: Ed25519PrivateKey = KEY, kid: str = KID, headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    """A link with these claims, signed by PyJWT."""
    return jwt.encode(claims(**changes), key, algorithm="EdDSA", headers={"kid": kid, **(headers or {})})


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def crafted(header: object, body: object, key: Ed25519PrivateKey = KEY) -> str:
    """A genuine signature over parts that no JWT library would write; bytes go in as they are."""
    head, rest = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, body))
    message = f"{b64(head)}.{b64(rest)}"
    return f"{message}.{b64(key.sign(message.encode()))}"
