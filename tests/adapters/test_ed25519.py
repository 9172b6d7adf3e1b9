"""Signatures of links, against the vectors of RFC 8032 section 7.1."""

import subprocess
import sys

import pytest

from mooring.adapters.ed25519 import verify

PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
MESSAGE = bytes.fromhex("72")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
ORDER = 2**252 + 27742317777372353535851937790883648493


def test_a_genuine_signature_is_genuine() -> None:
    assert verify(PUBLIC, SIGNATURE, MESSAGE)


@pytest.mark.parametrize("at", range(64))
def test_any_flipped_byte_is_noticed(at: int) -> None:
    flipped = SIGNATURE[:at] + bytes([SIGNATURE[at] ^ 1]) + SIGNATURE[at + 1 :]
    assert not verify(PUBLIC, flipped, MESSAGE)


@pytest.mark.parametrize("message", [b"", b"\x73", MESSAGE * 2])
def test_another_message_is_noticed(message: bytes) -> None:
    assert not verify(PUBLIC, SIGNATURE, message)


def test_a_second_spelling_of_a_signature_is_refused() -> None:
    scalar = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    assert not verify(PUBLIC, SIGNATURE[:32] + scalar.to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_and_signatures_of_other_lengths_are_not_genuine(length: int) -> None:
    assert not verify(b"\x01" * length, SIGNATURE, MESSAGE)
    assert not verify(PUBLIC, b"\x01" * length, MESSAGE)


def test_it_loads_no_aws_and_no_http_library() -> None:
    script = "import sys, mooring.adapters.ed25519; print([m for m in sys.modules if m.split('.')[0] in "
    script += "('boto3', 'botocore', 'requests', 'urllib3', 'pydantic')])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
