"""`mooring.yaml`: keys, origins, and what it must agree on with the catalog."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mooring.providers.compiler import LocalCompile
from tests.providers.samples import Settings

KEY = Ed25519PrivateKey.generate()
RAW = KEY.public_key().public_bytes_raw()
BASE64URL = urlsafe_b64encode(RAW).rstrip(b"=").decode()
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    "text", [BASE64URL, f"{BASE64URL}=", PEM, f"  {PEM}\n"], ids=["raw", "padded", "pem", "spaced"]
)
def test_public_key_in_either_form(text: str, settings: Settings) -> None:
    settings.write_config({"link_keys": [{"kid": "k", "public_key": text}]})
    assert settings.load().config.link_keys[0].public_key == BASE64URL


def test_private_key_is_refused_without_repeating_it(settings: Settings) -> None:
    text = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    settings.write_config({"link_keys": [{"kid": "k", "public_key": text}]})
    problem = settings.problems()["link_keys[0].public_key"]
    assert problem.startswith("is a private key: keep it in the product's backend")
    assert text.splitlines()[1] not in problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 42,
        "A" * 44,
        "A" * 42 + "B",
        "A" * 42 + "!",
        "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
        generate_private_key(SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    ],
    ids=["empty", "short", "long", "non-canonical", "other letters", "broken PEM", "other kind of key"],
)
def test_other_keys_are_refused(text: str, settings: Settings) -> None:
    settings.write_config({"link_keys": [{"kid": "k", "public_key": text}]})
    assert "must be an Ed25519 public key" in settings.problems()["link_keys[0].public_key"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://APP.example.com",
        "http://app.example.com",
        "http://127.0.0.1:8001",
        "https://*.example.com",
        "https://app.example.com:443",
        "null",
    ],
)
def test_only_exact_https_origins(origin: str, settings: Settings) -> None:
    settings.write_config({"return_to_origins": [origin]})
    assert "return_to_origins[0]" in settings.problems()


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8001", "http://localhost:8001"])
def test_this_machine_is_an_origin_only_locally(origin: str, settings: Settings) -> None:
    settings.write_config({"return_to_origins": [origin]})
    assert settings.problems(LocalCompile()) == {}


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no branding": ({"branding": ...}, "branding", "is missing"),
    "colour by name": ({"branding.colour": "green"}, "branding.colour", "must be a colour such as"),
    "support over http": ({"branding.support_url": "http://a.example"}, "branding.support_url", "https://"),
    "provider without descriptor": (
        {"providers.akme": {"client_id": "x"}},
        "providers.akme",
        "there is no descriptor akme.yaml in the catalog; did you mean acme?",
    ),
    "provider id in upper case": (
        {"providers.Acme": {"client_id": "x"}},
        "providers.Acme",
        "must be a provider id",
    ),
    "client id with a space": (
        {"providers.acme.client_id": "a b"},
        "providers.acme.client_id",
        "printable ASCII",
    ),
    "client id as a number": (
        {"providers.acme.client_id": 12},
        "providers.acme.client_id",
        "put it in quotes",
    ),
    "secret in the file": (
        {"providers.acme.client_secret": "s"},
        "providers.acme.client_secret",
        "unknown key; did you mean client_id?",
    ),
    "scopes of a provider without": (
        {"providers.acme.scopes": ["read"]},
        "providers.acme.scopes[0]",
        "this provider has no scopes",
    ),
    "refresh policy of another kind": (
        {"providers.acme.refresh": "lazy"},
        "providers.acme.refresh",
        "must be one of 'eager', 'on_read'",
    ),
    "refresh policy where there is nothing to refresh": (
        {"providers.acme.refresh": "on_read"},
        "providers.acme.refresh",
        "this provider has no refresh tokens: remove it",
    ),
    "origin secret in the clear": (
        {"origin_secret_hashes": ["hush"]},
        "origin_secret_hashes[0]",
        "must be a SHA-256: 64 lower-case hex digits",
    ),
    "key twice": (
        {"link_keys": [{"kid": "k", "public_key": BASE64URL}, {"kid": "k", "public_key": BASE64URL}]},
        "link_keys[1]",
        "k stands there twice",
    ),
    "origin twice": (
        {"return_to_origins": ["https://a.example", "https://a.example"]},
        "return_to_origins[1]",
        "stands there twice",
    ),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_wrong_setting(case: str, settings: Settings) -> None:
    changes, path, text = WRONG[case]
    settings.write_config(changes)
    assert text in settings.problems()[path]


def test_misspelt_scope_is_found(settings: Settings) -> None:
    settings.write_descriptor({"scopes": {"available": ["contacts", "faqs"]}})
    settings.write_config({"providers.acme.scopes": ["faqs", "contact"]})
    assert settings.problems() == {
        "providers.acme.scopes[1]": "unknown scope contact; did you mean contacts?"
    }


def test_broken_descriptor_is_not_also_called_missing(settings: Settings) -> None:
    settings.write_descriptor({"name": 7})
    assert set(settings.problems()) == {"name"}


def test_an_unquoted_colour_is_a_comment_and_is_named(settings: Settings) -> None:
    written = settings.config.read_text(encoding="utf-8")
    lines = [line for line in written.splitlines() if "colour:" not in line]
    product = next(number for number, line in enumerate(lines) if "product:" in line)
    lines.insert(product, "  colour: #2f6f4e")
    settings.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "put it in quotes" in settings.problems()["branding.colour"]
