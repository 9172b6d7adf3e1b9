"""What the benchmark and the end-to-end tests of `authorize` share: keys, links and the click on one."""

import json
import time
from base64 import urlsafe_b64encode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BASE_URL = "http://127.0.0.1:8000"
RETURN_TO = "http://127.0.0.1:8001"
KID = "bench"


def public_key_text(key: Ed25519PrivateKey) -> str:
    """The raw public key in base64url without padding, as mooring.yaml names it."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def link(key: Ed25519PrivateKey, provider: str) -> str:
    """A link that lives for five minutes, as a product would sign it."""
    now = int(time.time())
    claims = {
        "aud": BASE_URL,
        "sub": "m-1",
        "return_to": f"{RETURN_TO}/",
        "iat": now,
        "exp": now + 300,
        "jti": f"click-{now}",
        "use": "connect",
        "provider": provider,
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": KID})


def event(provider: str, query: str) -> bytes:
    """The HTTP API event of a request to `/authorize/{provider}`."""
    path = f"/authorize/{provider}"
    http = {"method": "GET", "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"}
    document = {
        "version": "2.0",
        "routeKey": "GET /authorize/{provider}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "127.0.0.1:8000", "sec-fetch-site": "none"},
        "requestContext": {"http": http, "requestId": "click", "stage": "$default"},
        "pathParameters": {"provider": provider},
        "isBase64Encoded": False,
    }
    return json.dumps(document).encode()
