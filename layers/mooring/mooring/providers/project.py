"""The operator's settings: the model of `mooring.yaml`. No secret stands in it."""

from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from mooring.providers.checked import Line, Pattern, ProviderId, Scope, Url, Word
from mooring.providers.code_flow import Origin, Part

_KEY_BYTES = 32
# The fixed head of every Ed25519 public key in SubjectPublicKeyInfo form (RFC 8410 4).
_SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")


def public_key(text: str) -> str:
    """An Ed25519 public key as base64url of its 32 bytes, from that form or from PEM.

    Raises:
        ValueError: when it is something else, a private key above all.
    """
    if "PRIVATE KEY" in text:
        raise ValueError("is a private key: keep it in the product's backend, and put its public key here")
    raw = _from_pem(text) if "-----BEGIN" in text else _from_base64url(text)
    if len(raw) != _KEY_BYTES:
        raise ValueError("must be an Ed25519 public key: PEM, or base64url of its 32 bytes")
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _from_pem(text: str) -> bytes:
    lines = [line.strip() for line in text.strip().splitlines()]
    try:
        der = b64decode("".join(lines[1:-1]), validate=True)
    except ValueError:
        return b""
    return der.removeprefix(_SPKI_HEAD) if der.startswith(_SPKI_HEAD) else b""


def _from_base64url(text: str) -> bytes:
    stripped = text.strip().rstrip("=")
    try:
        raw = urlsafe_b64decode(stripped + "=" * (-len(stripped) % 4))
    except ValueError:
        return b""
    same = urlsafe_b64encode(raw).rstrip(b"=").decode("ascii") == stripped
    return raw if same else b""


class Enabled(Part):
    """An enabled provider: what it knows us by."""

    client_id: Word
    """The client id that the provider gave you. The secret goes into the parameter store, not here."""
    scopes: tuple[Scope, ...] | None = None
    """Scopes to ask for; default: the descriptor's."""
    refresh: Literal["eager", "on_read"] = "eager"
    """`on_read`: renewed when somebody reads the token; on schedule only so that the grant stays alive."""


class LinkKey(Part):
    """A public key of the product, against which links are verified."""

    kid: Annotated[
        str, Pattern(r"[A-Za-z0-9._:-]{1,128}", "must be a key id: 1 to 128 of A-Z a-z 0-9 . _ : -")
    ]
    """The `kid` in the header of the product's links."""
    public_key: Annotated[str, AfterValidator(public_key)]
    """Ed25519: PEM, or base64url of its 32 bytes. The private key stays in the product's backend."""


class Branding(Part):
    """How our own pages present themselves."""

    product: Annotated[Line, Field(max_length=60)]
    """Name of your product."""
    support_url: Annotated[str, Url()] | None = None
    """Where a merchant finds help."""
    colour: Annotated[str, Pattern(r"#[0-9a-fA-F]{6}", "must be a colour such as #2f6f4e")] | None = None
    """Colour of buttons."""

    @field_validator("colour", "support_url", mode="before")
    @classmethod
    def _not_empty(cls, value: object) -> object:
        # YAML takes an unquoted #2f6f4e for a comment, and leaves nothing.
        if value is None:
            raise ValueError('is empty; put it in quotes (a colour: "#2f6f4e"), or leave the whole line out')
        return value


class ProjectConfig(Part):
    """`mooring.yaml`."""

    branding: Branding
    """Name, support address and colour on our pages."""
    return_to_origins: tuple[Origin, ...] = ()
    """Exact origins to which a link may lead back; while it is empty, every link is refused."""
    link_keys: tuple[LinkKey, ...] = ()
    """Public keys that links are verified against; while it is empty, every link is refused."""
    origin_secret_hashes: tuple[
        Annotated[str, Pattern(r"[0-9a-f]{64}", "must be a SHA-256: 64 lower-case hex digits")],
        ...,
    ] = ()
    """SHA-256 of the `X-Origin-Secret` header that your CDN adds; who comes around it is refused."""
    providers: Mapping[ProviderId, Enabled]
    """The enabled providers by id; each needs a descriptor in the catalog."""
