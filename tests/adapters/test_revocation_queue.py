"""The queue of revocations: what its messages hold, and what `parse` refuses."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.kms import Kms
from mooring.adapters.revocation_queue import MAX_BYTES, message, parse
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.errors import Failure, Reason
from mooring.core.revocation import Revocation
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key
from tests.contract.aws_server import AwsServer
from tests.contract.revocations_battery import BARE_REVOCATION, REVOCATION
from tests.fakes.clock import FakeClock

CANARY = "canary-token-51bf"
LEFT_OUT = "@left out"
OLD = (
    '{"schema":1,"kind":"revocation","merchant_id":"m-7","provider":"prov-a","account_id":"shop-1","generation":2,'
    '"access":["AWE=","AWs="],"refresh":["AXI=","AXc="],"details":{"app_key":"k-1"}}'
)
"""A message byte for byte as the first release wrote it."""


def body(**changes: Any) -> str:
    data = {**json.loads(message(REVOCATION)), **changes}
    return json.dumps({name: value for name, value in data.items() if value is not LEFT_OUT})


def test_a_message_holds_ciphertext_only(aws: AwsServer, token_key: str) -> None:
    keys = EnvelopeSealer(Kms(aws.kms(), token_key), FakeClock()).prepare("m-1", "prov-a")
    revocation = REVOCATION._replace(
        access=keys.seal("access", "shop-1", CANARY), refresh=keys.seal("refresh", "shop-1", CANARY)
    )
    assert CANARY not in message(revocation)
    assert parse(message(revocation)) == revocation


def test_the_shape_is_fixed() -> None:
    names = "schema kind merchant_id provider account_id generation access refresh details"
    assert list(json.loads(message(REVOCATION))) == names.split()
    assert json.loads(message(BARE_REVOCATION))["refresh"] is None


def test_a_message_of_the_first_release_is_read() -> None:
    access, refresh = SealedField(b"\x01a", b"\x01k"), SealedField(b"\x01r", b"\x01w")
    key = Key("m-7", "prov-a", "shop-1")
    assert parse(OLD) == Revocation(key, 2, access, refresh, (("app_key", "k-1"),))


def test_what_a_later_release_adds_is_passed_over() -> None:
    assert parse(body(more={"x": 1})) == REVOCATION


names = st.from_regex(r"[A-Za-z0-9_:-]{1,128}", fullmatch=True)
fields = st.builds(SealedField, st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=60))
revocations = st.builds(
    Revocation,
    key=st.builds(Key, names, st.from_regex(r"[a-z][a-z0-9-]{1,31}", fullmatch=True), names),
    generation=st.integers(0, 2**40),
    access=fields,
    refresh=st.none() | fields,
    details=st.dictionaries(st.text(), st.text()).map(lambda found: tuple(found.items())),
)


@given(revocations)
def test_whatever_was_asked_is_what_is_read(revocation: Revocation) -> None:
    assert parse(message(revocation)) == revocation


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": "1"},
        {"schema": LEFT_OUT},
        {"kind": "connected"},
        {"kind": LEFT_OUT},
        {"merchant_id": "m 1"},
        {"provider": "Prov"},
        {"account_id": LEFT_OUT},
        {"generation": -1},
        {"generation": True},
        {"generation": None},
        {"access": None},
        {"access": ["AWE="]},
        {"access": ["AWE=", "AWs=", "AWs="]},
        {"access": ["AWE=", "not base64"]},
        {"access": "AWE="},
        {"refresh": LEFT_OUT},
        {"refresh": [1, 2]},
        {"details": LEFT_OUT},
        {"details": {"a": 1}},
        {"details": []},
    ],
    ids=str,
)
def test_what_is_not_understood_exactly_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Failure) as caught:
        parse(body(**changes))
    assert caught.value.reason is Reason.MESSAGE_MALFORMED


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', "9" * 5_000, " " * (MAX_BYTES + 1)])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(Failure) as caught:
        parse(text)
    assert caught.value.reason is Reason.MESSAGE_MALFORMED
    assert len(str(caught.value)) < 100
