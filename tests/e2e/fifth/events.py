"""Uninstall events of the fifth provider, genuine and otherwise: made, signed and sent by whoever tests.

An event's time and account stand in its body, which the signature covers; its id stands in a header,
which it does not.
"""

import hmac
import json
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import requests

PROVIDER = "quayside"
KIND = "app.uninstalled"
EVENT_ID, SIGNATURE = "X-Quayside-Event-Id", "X-Quayside-Signature"

Encoding = Literal["hex", "base64"]


class Event(NamedTuple):
    """One event as it travels."""

    headers: Mapping[str, str]
    body: bytes

    def with_header(self, name: str, value: str | None) -> "Event":
        """The same with another value of a header, or without it."""
        kept = {known: text for known, text in self.headers.items() if known.lower() != name.lower()}
        return self._replace(headers=kept if value is None else {**kept, name: value})

    def with_body(self, body: bytes) -> "Event":
        """The same headers, signature included, over another body: a forgery."""
        return self._replace(body=body)


def sign(body: bytes, secret: str, encoding: Encoding = "hex") -> str:
    """HMAC-SHA256 over exactly these bytes, as the provider writes it."""
    digest = hmac.digest(secret.encode(), body, "sha256")
    return digest.hex() if encoding == "hex" else b64encode(digest).decode()


def body_of(shop: str, at: object = None, **changes: Any) -> bytes:
    """The body of an uninstall event.

    Args:
        shop: the account.
        at: the event's time in epoch seconds, or whatever shall stand there; now by default.
        changes: further fields, or other values; None takes a field out.
    """
    fields = {
        "type": KIND,
        "occurred_at": int(time.time()) if at is None else at,
        "shop": {"id": shop},
        **changes,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def signed(body: bytes, secret: str, *, event_id: str | None = None, encoding: Encoding = "hex") -> Event:
    """An event of arbitrary bytes with a genuine signature; a fresh id by default."""
    headers = {
        "Content-Type": "application/json",
        EVENT_ID: event_id or f"ev-{secrets.token_hex(8)}",
        SIGNATURE: sign(body, secret, encoding),
    }
    return Event(headers, body)


def send(mooring_url: str, event: Event, provider: str = PROVIDER) -> requests.Response:
    """Post an event to Mooring, once; the answer, whatever it is."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{mooring_url}/uninstall/{provider}",
            data=event.body,
            headers=dict(event.headers),
            timeout=30,
            allow_redirects=False,
        )
