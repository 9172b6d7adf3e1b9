"""Which addresses a descriptor may name, in production and on one machine."""

import pytest

from mooring.providers.compiler import LocalCompile
from tests.providers.samples import Settings

NEVER = {
    "relative": ("/oauth/token", "absolute URL"),
    "no scheme": ("acme.example/token", "absolute URL"),
    "other scheme": ("ftp://acme.example/token", "absolute URL"),
    "http": ("http://acme.example/token", "must begin with https://"),
    "user": ("https://user@acme.example/token", "user name or password"),
    "user and password": ("https://u:p@acme.example/token", "user name or password"),
    "disguised user": ("https://acme.example@evil.example/", "user name or password"),
    "space": ("https://acme.example/a b", "without spaces"),
    "backslash": ("https://acme.example\\@evil.example/", "without spaces"),
    "upper-case host": ("https://Acme.example/", "lower case"),
    "usual port": ("https://acme.example:443/", "leave it out"),
    "no port": ("https://acme.example:/", "lower case"),
    "port of six digits": ("https://acme.example:99999/", "lower case"),
    "single label": ("https://acme/", "public host"),
    "empty label": ("https://acme..example/", "public host"),
    "internal name": ("https://metadata.google.internal/", "public host"),
    "private address": ("https://10.0.0.1/", "public host"),
    "metadata address": ("https://169.254.169.254/latest", "public host"),
    "private IPv6": ("https://[fd00::1]/", "public host"),
    "unspecified address": ("https://0.0.0.0/", "public host"),
    "address as a number": ("https://2130706433/", "public host"),
    "short address": ("https://127.1/", "public host"),
    "hexadecimal address": ("https://0x7f.0.0.1/", "public host"),
    "mapped address": ("https://[::ffff:10.0.0.1]/", "public host"),
    "fragment": ("https://acme.example/token#x", "fragment"),
    "empty fragment": ("https://acme.example/token#", "fragment"),
    "placeholder": ("https://acme.example/{account_id}", "cannot have anything in braces"),
    "lone brace": ("https://acme.example/{", "cannot have anything in braces"),
    "placeholder in the host": ("https://{account_id}.acme.example/", "lower case"),
}
ONLY_LOCAL = ["http://127.0.0.1:9101/token", "http://localhost:9101/token", "https://[::1]:9101/token"]


@pytest.mark.parametrize("case", NEVER, ids=str)
@pytest.mark.parametrize("local", [None, LocalCompile()], ids=["production", "local"])
def test_refused_everywhere(case: str, local: LocalCompile | None, settings: Settings) -> None:
    url, text = NEVER[case]
    settings.write_descriptor({"token.url": url})
    assert text in settings.problems(local)["token.url"]


@pytest.mark.parametrize("url", ONLY_LOCAL)
def test_loopback_exists_only_locally(url: str, settings: Settings) -> None:
    settings.write_descriptor({"token.url": url})
    assert "only in what `make run` compiles" in settings.problems()["token.url"]
    assert settings.problems(LocalCompile()) == {}


@pytest.mark.parametrize(
    "url", ["https://acme.example", "https://acme.example:8443/a?b=c", "https://1.1.1.1/t"]
)
def test_public_https_is_taken(url: str, settings: Settings) -> None:
    settings.write_descriptor({"token.url": url})
    assert settings.problems() == {}


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://acme.example/authorize?a=b", "put fixed parameters under `extra`"),
        ("https://acme.example/{id}/authorize", "can only have {client_id} in braces"),
        ("https://{client_id}.acme.example/", "lower case"),
    ],
)
def test_authorization_url(url: str, text: str, settings: Settings) -> None:
    settings.write_descriptor({"authorize.url": url})
    assert text in settings.problems()["authorize.url"]


@pytest.mark.parametrize("url", ["https://acme.example/?id={account_id}", "https://acme.example/{client_id}"])
def test_account_stands_in_a_path_only(url: str, settings: Settings) -> None:
    settings.write_descriptor({"callback.account": "shop", "probe": {"url": url}})
    assert "can only have {account_id} in braces, and only in its path" in settings.problems()["probe.url"]


@pytest.mark.parametrize(
    "referer", ["https://acme.example/", "https://acme.example/path", "https://acme.example?x"]
)
def test_referers_are_exact_origins(referer: str, settings: Settings) -> None:
    settings.write_descriptor({"authorize.state": "none", "authorize.referers": [referer]})
    assert "must be an exact origin" in settings.problems()["authorize.referers[0]"]
