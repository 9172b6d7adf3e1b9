"""The demo product, running against a fake Mooring."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.demo import Demo, DemoConfig, start_demo
from tests.demo.fake_mooring import FakeMooring

PROVIDERS = [
    ("notifyvisitors", "NotifyVisitors"),
    ("yotpo", "Yotpo"),
    ("xeno", "Xeno"),
    ("whatconverts", "WhatConverts"),
    ("acme", "Acme <CRM>"),
]


@pytest.fixture
def mooring() -> Iterator[FakeMooring]:
    """Mooring's list call, faked on a socket."""
    fake = FakeMooring()
    yield fake
    fake.stop()


@pytest.fixture
def key() -> Ed25519PrivateKey:
    """The product's key."""
    return Ed25519PrivateKey.generate()


@pytest.fixture
def key_path(key: Ed25519PrivateKey, tmp_path: Path) -> Path:
    """The file that the product keeps its key in."""
    path = tmp_path / "link_key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def demo(mooring: FakeMooring, key_path: Path) -> Iterator[Demo]:
    """The demo product."""
    running = start_demo(
        DemoConfig(mooring.base_url, key_path, "local-1", "eu-west-1", ("AKIDLOCAL", "dummy"), PROVIDERS)
    )
    yield running
    running.stop()
