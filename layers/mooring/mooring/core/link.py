"""The link: a JWT with which a product lets one merchant start a flow (RFC 7519, EdDSA per RFC 8037).

What a link does not promise: it is not single use. Up to ten flows can be started from one while
it lives, each with its own state, each state exchanged at most once.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name, is_provider_id, within_origins

MAX_LINK_BYTES = 1_000
MAX_LIFETIME_SECONDS = 3_600
CLOCK_SKEW_SECONDS = 60
FLOWS_PER_LINK = 10
USES = ("connect", "manage")

SignatureCheck = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, message) -> whether the signature is genuine."""


class Link(NamedTuple):
    """The verified claims of a link. Times are epoch seconds."""

    token: str
    merchant_id: str
    use: str
    provider: str
    return_to: str
    jti: str
    issued_at: int
    expires_at: int
    scopes: tuple[str, ...] | None
    account_id: str | None
    confirm: bool

    def __repr__(self) -> str:
        return f"Link(merchant_id={self.merchant_id!r}, use={self.use!r}, provider={self.provider!r})"


class LinkPolicy(NamedTuple):
    """What a link is checked against: this deployment's base URL, keys and origins."""

    audience: str
    keys: Mapping[str, bytes]
    return_to_origins: tuple[str, ...]
    check: SignatureCheck


def verify_link(token: str | None, policy: LinkPolicy, now: float, grace: int = 0) -> Link:
    """Verify a link and read its claims.

    Args:
        token: the compact JWT as it stood in the URL or cookie, or None.
        policy: keys, audience and origins of this deployment.
        now: epoch seconds.
        grace: seconds past `exp` that are still allowed (a flow may outlive its link).

    Raises:
        Failure: with a LINK_ reason, or RETURN_TO_NOT_ALLOWED.
    """
    if not token:
        raise Failure(Reason.LINK_MISSING)
    if len(token) > MAX_LINK_BYTES:
        raise Failure(Reason.LINK_TOO_LONG)
    if not token.isascii():
        raise Failure(Reason.LINK_MALFORMED)
    claims = _open(token, policy)
    link = _read(token, claims)
    if claims.get("aud") != policy.audience:
        raise Failure(Reason.LINK_AUDIENCE)
    if link.issued_at > now + CLOCK_SKEW_SECONDS or link.expires_at - link.issued_at > MAX_LIFETIME_SECONDS:
        raise Failure(Reason.LINK_MALFORMED, "iat lies in the future, or exp more than an hour after iat")
    if now >= link.expires_at + grace:
        raise Failure(Reason.LINK_EXPIRED)
    if not within_origins(link.return_to, policy.return_to_origins):
        raise Failure(Reason.RETURN_TO_NOT_ALLOWED)
    return link


def _open(token: str, policy: LinkPolicy) -> dict[str, Any]:
    """The claims, once the signature is genuine. Nothing in them is read before that."""
    head, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    header = _json_object(head)
    if header.get("alg") != "EdDSA" or "crit" in header:
        raise Failure(Reason.LINK_ALGORITHM)
    key = policy.keys.get(str(header.get("kid")))
    if key is None:
        raise Failure(Reason.LINK_KEY_UNKNOWN)
    if not policy.check(key, _decode(signature), f"{head}.{body}".encode("ascii")):
        raise Failure(Reason.LINK_FORGED)
    return _json_object(body)


def _read(token: str, claims: dict[str, Any]) -> Link:
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    texts = {name: claims.get(name) for name in ("sub", "use", "jti", "return_to")}
    if type(issued_at) is not int or type(expires_at) is not int or expires_at <= issued_at:
        raise Failure(Reason.LINK_MALFORMED, "iat and exp must be whole epoch seconds, exp after iat")
    if any(not isinstance(text, str) or not text for text in texts.values()):
        raise Failure(Reason.LINK_MALFORMED, "sub, use, jti and return_to must be non-empty strings")
    if not is_name(str(texts["sub"])) or not is_name(str(texts["jti"])):
        raise Failure(Reason.LINK_MALFORMED, "sub or jti has characters outside A-Z a-z 0-9 . _ : -")
    return Link(
        token=token,
        merchant_id=str(texts["sub"]),
        use=_use(str(texts["use"])),
        provider=_provider(claims),
        return_to=str(texts["return_to"]),
        jti=str(texts["jti"]),
        issued_at=issued_at,
        expires_at=expires_at,
        scopes=_scopes(claims.get("scopes")),
        account_id=_account(claims.get("account_id")),
        confirm=_confirm(claims.get("confirm", False)),
    )


def _use(use: str) -> str:
    if use not in USES:
        raise Failure(Reason.LINK_USE)
    return use


def _provider(claims: dict[str, Any]) -> str:
    provider = claims.get("provider", "")
    if claims.get("use") == "manage" and provider == "":
        return ""
    if not isinstance(provider, str) or not is_provider_id(provider):
        raise Failure(Reason.LINK_MALFORMED, "provider must name the one provider to connect")
    return provider


def _scopes(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(scope, str) and scope for scope in value)
    ):
        raise Failure(Reason.LINK_MALFORMED, "scopes must be a non-empty list of strings")
    return tuple(value)


def _account(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not is_name(value):
        raise Failure(Reason.LINK_MALFORMED, "account_id must be a name")
    return value


def _confirm(value: object) -> bool:
    if not isinstance(value, bool):
        raise Failure(Reason.LINK_MALFORMED, "confirm must be true or false")
    return value


def _json_object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part))
    except (ValueError, RecursionError):
        raise Failure(Reason.LINK_MALFORMED) from None
    if not isinstance(value, dict):
        raise Failure(Reason.LINK_MALFORMED)
    return value


def _decode(part: str) -> bytes:
    """base64url without padding (RFC 7515 2); any other spelling of the same bytes is refused."""
    try:
        raw = part.encode("ascii")
        decoded = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError:
        raise Failure(Reason.LINK_MALFORMED) from None
    if urlsafe_b64encode(decoded).rstrip(b"=") != raw:
        raise Failure(Reason.LINK_MALFORMED)
    return decoded
