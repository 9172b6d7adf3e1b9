"""`mooring link`: one line, which Mooring itself would accept."""

import json
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mooring.core.link import Link, LinkPolicy, verify_link
from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import FakeStack

PRODUCT = "https://app.brightcart.example"
BASIC = ("link", "--provider", "acme", "--merchant", "m-1", "--return-to", f"{PRODUCT}/done?x=1")


def genuine(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def verified(url: str, stack: FakeStack) -> Link:
    keys = {"local-1": stack.key.public_key().public_bytes_raw()}
    policy = LinkPolicy(stack.base_url, keys, (PRODUCT,), genuine)
    return verify_link(parse_qs(urlsplit(url).query)["link"][0], policy, time.time())


def test_prints_one_line_that_mooring_accepts(mooring: Command, stack: FakeStack) -> None:
    answer = mooring(*BASIC)
    assert (answer.code, answer.err, answer.out.count("\n")) == (0, "", 1)
    assert answer.out.startswith(f"{stack.base_url}/authorize/acme?link=")
    link = verified(answer.out.strip(), stack)
    assert (link.merchant_id, link.provider, link.use) == ("m-1", "acme", "connect")
    assert (link.return_to, link.scopes, link.account_id, link.confirm) == (
        f"{PRODUCT}/done?x=1",
        None,
        None,
        False,
    )
    assert link.expires_at - link.issued_at == 600


def test_every_wish_is_a_claim(mooring: Command, stack: FakeStack) -> None:
    wishes = ("--scopes", "read,write", "--account", "shop-7", "--confirm", "--ttl", "60")
    link = verified(mooring(*BASIC, *wishes).out.strip(), stack)
    assert (link.scopes, link.account_id, link.confirm) == (("read", "write"), "shop-7", True)
    assert link.expires_at - link.issued_at == 60


def test_json(mooring: Command, stack: FakeStack) -> None:
    answer = mooring(*BASIC, "--json")
    content = json.loads(answer.out)
    assert content["expires_at"] == verified(content["url"], stack).expires_at
    assert answer.out.count("\n") == 1


def test_no_two_links_are_the_same(mooring: Command, stack: FakeStack) -> None:
    links = {verified(mooring(*BASIC).out.strip(), stack).jti for _ in range(3)}
    assert len(links) == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--provider", "Acme!"), "--provider must be a provider id"),
        (("--merchant", "m 1"), "--merchant and --account must be"),
        (("--account", ""), "--merchant and --account must be"),
        (("--ttl", "0"), "--ttl must be 1 to 3600 seconds"),
        (("--ttl", "3601"), "--ttl must be 1 to 3600 seconds"),
        (("--ttl", "soon"), "invalid int value"),
        (("--scopes", ","), "--scopes must name at least one scope"),
        (("--return-to", f"{PRODUCT}/{'a' * 800}"), "of 1000: shorten --return-to or --scopes"),
    ],
)
def test_what_no_link_may_have(
    arguments: tuple[str, str], text: str, mooring: Command, stack: FakeStack
) -> None:
    answer = mooring(*BASIC, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert text in answer.err
    assert stack.asked == []


@pytest.mark.parametrize("content", [None, b"", b"not a key"])
def test_unusable_key(content: bytes | None, mooring: Command, stack: FakeStack) -> None:
    path = stack.stack_dir / "link_key.pem"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    answer = mooring(*BASIC)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"The key {path} cannot be used. Restart the local stack: make run\n"


def test_works_from_a_folder_below_and_from_elsewhere(
    mooring: Command, stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert mooring(*BASIC).code == 0
    monkeypatch.chdir("/")
    assert mooring(*BASIC).code == 1
    assert mooring(*BASIC, "--stack-dir", str(stack.stack_dir)).code == 0


def test_a_provider_that_is_not_enabled(mooring: Command, stack: FakeStack) -> None:
    stack.enables("acme", "other")
    assert mooring(*BASIC).code == 0
    answer = mooring(*BASIC, "--provider", "akme")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(
        "akme is not enabled in the running stack. Enabled: acme, other. To enable it"
    )
