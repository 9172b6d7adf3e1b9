"""The recovery queue: what its messages hold, what `parse` refuses, and when they come again."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.kms import Kms
from mooring.adapters.recovery_queue import SqsRecoveryQueue, message, parse, refreshed_message
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField, SealedTokens
from mooring.core.upkeep import FreshTokens, Key, Recovered, Refreshed, Seen
from tests.contract.aws_server import AwsServer
from tests.contract.recovery_battery import NOTHING_NEW, REFRESHED
from tests.contract.samples import BARE, EVERYTHING, a_link, a_state, exchange
from tests.fakes.clock import FakeClock

CANARY = "canary-token-40ae"
LEFT_OUT = "@left out"

OLD = (
    '{"schema":1,"kind":"connected","merchant_id":"m-7","provider":"prov-a","account_id":"shop-1",'
    '"account_verified":true,"access":["AWE=","AWs="],"refresh":["AXI=","AXc="],"scopes":["read"],'
    '"expires_at":1800003600,"refresh_expires_at":null,"details":{"app_key":"k-1"},'
    '"connected_at":1800000002,"burned_at":1800000000,"due_at":1800002700,"confirmation_hash":null,'
    '"state_hash":"a-hash","link":{"jti":"jti-7","use":"connect","issued_at":1799999940,'
    '"expires_at":1800000240}}'
)
"""A message byte for byte as the first release wrote it."""


def body(**changes: Any) -> str:
    link = a_link()
    return changed(message(exchange(link), link, a_state()), changes)


def refreshed_body(**changes: Any) -> str:
    return changed(refreshed_message(REFRESHED), changes)


def changed(text: str, changes: dict[str, Any]) -> str:
    data = {**json.loads(text), **changes}
    return json.dumps({name: value for name, value in data.items() if value is not LEFT_OUT})


def recovered(text: str) -> Recovered:
    found = parse(text)
    assert isinstance(found, Recovered)
    return found


def test_a_message_holds_ciphertext_only(aws: AwsServer, token_key: str) -> None:
    link = a_link()
    keys = EnvelopeSealer(Kms(aws.kms(), token_key), FakeClock()).prepare(link.merchant_id, "prov-a")
    tokens = SealedTokens(
        access=keys.seal("access", "shop-1", CANARY),
        refresh=keys.seal("refresh", "shop-1", CANARY),
        scopes=(),
        expires_at=None,
        refresh_expires_at=None,
        details={},
    )
    text = message(exchange(link, tokens=tokens), link, a_state())
    assert CANARY not in text
    assert link.token not in text
    assert link.return_to not in text
    assert recovered(text).new.tokens == tokens


@pytest.mark.parametrize("tokens", [EVERYTHING, BARE])
def test_a_message_comes_back_as_it_went(tokens: SealedTokens) -> None:
    link, state = a_link(), a_state()
    new = exchange(link, tokens=tokens, confirmation="c-1")
    found = recovered(message(new, link, state))
    assert (found.new, found.state_hash) == (new, state)
    assert found.link == link._replace(token="", provider="prov-a", return_to="", confirm=True)


def test_the_shape_is_fixed() -> None:
    assert set(json.loads(body())) == {
        "schema",
        "kind",
        "merchant_id",
        "provider",
        "account_id",
        "account_verified",
        "access",
        "refresh",
        "scopes",
        "expires_at",
        "refresh_expires_at",
        "details",
        "connected_at",
        "burned_at",
        "due_at",
        "confirmation_hash",
        "state_hash",
        "link",
    }


def test_the_shape_of_a_refreshed_token_set_is_fixed() -> None:
    assert set(json.loads(refreshed_body())) == {
        "schema",
        "kind",
        "merchant_id",
        "provider",
        "account_id",
        "generation",
        "version",
        "attempt_id",
        "access",
        "refresh",
        "scopes",
        "expires_at",
        "refresh_expires_at",
        "details",
        "issued_at",
        "due_at",
        "previous_until",
        "expiring_at",
    }


def test_a_message_of_the_first_release_is_read() -> None:
    found = recovered(OLD)
    assert found.new.tokens == SealedTokens(
        access=SealedField(b"\x01a", b"\x01k"),
        refresh=SealedField(b"\x01r", b"\x01w"),
        scopes=("read",),
        expires_at=1_800_003_600,
        refresh_expires_at=None,
        details={"app_key": "k-1"},
    )
    assert (found.link.jti, found.link.merchant_id, found.state_hash) == ("jti-7", "m-7", "a-hash")


def test_a_refreshed_message_holds_ciphertext_only(aws: AwsServer, token_key: str) -> None:
    keys = EnvelopeSealer(Kms(aws.kms(), token_key), FakeClock()).prepare("m-1", "prov-a")
    fresh = REFRESHED.fresh._replace(
        access=keys.seal("access", "shop-1", CANARY), refresh=keys.seal("refresh", "shop-1", CANARY)
    )
    refreshed = REFRESHED._replace(fresh=fresh)
    text = refreshed_message(refreshed)
    assert CANARY not in text
    assert parse(text) == refreshed


def test_what_a_later_release_adds_is_passed_over() -> None:
    assert parse(refreshed_body(more={"x": 1})) == REFRESHED
    assert recovered(body(more=[1])).new.tokens == EVERYTHING


def test_a_message_shows_nothing_of_what_it_holds() -> None:
    shown = repr(parse(body()))
    assert "ciphertext" not in shown
    assert "key of" not in shown


times = st.integers(0, 2**40)
names = st.from_regex(r"[A-Za-z0-9_:-]{1,128}", fullmatch=True)
fields = st.builds(SealedField, st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=60))
refreshes = st.builds(
    Refreshed,
    key=st.builds(Key, names, st.from_regex(r"[a-z][a-z0-9-]{1,31}", fullmatch=True), names),
    seen=st.builds(Seen, times, times),
    attempt_id=st.text(min_size=1),
    fresh=st.builds(
        FreshTokens,
        access=fields,
        refresh=st.none() | fields,
        scopes=st.none() | st.lists(st.text()).map(tuple),
        expires_at=st.none() | times,
        refresh_expires_at=st.none() | times,
        details=st.dictionaries(st.text(), st.text()),
        issued_at=times,
        due_at=st.none() | times,
        previous_until=st.none() | times,
        expiring_at=st.none() | times,
    ),
)


@given(refreshes)
def test_every_refreshed_token_set_comes_back_as_it_went(refreshed: Refreshed) -> None:
    assert parse(refreshed_message(refreshed)) == refreshed


def refused(text: str) -> bool:
    with pytest.raises(Failure) as caught:
        parse(text)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.reason is Reason.MESSAGE_MALFORMED


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '"text"', "[" * 100_000, "{" + " " * 262_144 + "}"])
def test_what_is_no_message_is_refused(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize("make", [body, refreshed_body])
@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": "1"},
        {"schema": True},
        {"schema": LEFT_OUT},
        {"kind": "revoked"},
        {"kind": None},
        {"merchant_id": "a b"},
        {"merchant_id": 5},
        {"provider": "Prov"},
        {"account_id": ".."},
        {"account_id": LEFT_OUT},
        {"access": ["!", "!"]},
        {"access": ["YQ=="]},
        {"access": ["YQ==", "YQ==", "YQ=="]},
        {"access": None},
        {"access": "YQ=="},
        {"refresh": [1, 2]},
        {"refresh": LEFT_OUT},
        {"scopes": 1},
        {"scopes": [1]},
        {"expires_at": "soon"},
        {"expires_at": -1},
        {"expires_at": 1.5},
        {"expires_at": 2**60},
        {"expires_at": LEFT_OUT},
        {"due_at": True},
        {"details": {"a": 1}},
        {"details": None},
    ],
    ids=str,
)
def test_another_shape_is_refused(make: Callable[..., str], changes: dict[str, Any]) -> None:
    assert refused(make(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"link": None},
        {"link": {}},
        {"account_verified": 1},
        {"state_hash": None},
        {"confirmation_hash": 7},
        {"scopes": None},
        {"burned_at": None},
        {"kind": "refreshed"},
    ],
    ids=str,
)
def test_another_shape_of_an_exchange_is_refused(changes: dict[str, Any]) -> None:
    assert refused(body(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": None},
        {"version": -1},
        {"version": "17"},
        {"attempt_id": None},
        {"issued_at": None},
        {"kind": "connected"},
    ],
    ids=str,
)
def test_another_shape_of_a_refreshed_token_set_is_refused(changes: dict[str, Any]) -> None:
    assert refused(refreshed_body(**changes))


def test_a_refreshed_token_set_of_an_earlier_release_is_read() -> None:
    """It knew nothing of the end of a grant, and its messages wait for up to fourteen days."""
    assert parse(refreshed_body(expiring_at=LEFT_OUT)) == REFRESHED
    assert REFRESHED.fresh.expiring_at is None
    found = parse(refreshed_body(expiring_at=1_800_000_900))
    assert isinstance(found, Refreshed)
    assert found.fresh.expiring_at == 1_800_000_900


@pytest.mark.parametrize("wrong", ["soon", -1, True, 1.5])
def test_an_end_that_is_no_time_is_refused(wrong: object) -> None:
    assert refused(refreshed_body(expiring_at=wrong))


def test_nothing_new_is_told_from_nothing() -> None:
    found = parse(refreshed_message(NOTHING_NEW))
    assert isinstance(found, Refreshed)
    assert (found.fresh.refresh, found.fresh.scopes) == (None, None)
    emptied = NOTHING_NEW._replace(fresh=NOTHING_NEW.fresh._replace(scopes=()))
    assert parse(refreshed_message(emptied)) == emptied


# -- coming again --------------------------------------------------------------------------------------------


def test_a_message_comes_again_long_before_its_visibility_timeout_has_passed(aws: AwsServer) -> None:
    sqs = aws.sqs()
    url = sqs.create_queue(QueueName="again", Attributes={"VisibilityTimeout": "180"})["QueueUrl"]
    queue = SqsRecoveryQueue(sqs, url)
    queue.put_refreshed(REFRESHED)
    (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
    queue.again_in(first["ReceiptHandle"], 1)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    deadline = time.monotonic() + 10
    while not (found := sqs.receive_message(QueueUrl=url).get("Messages", [])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert parse(found[0]["Body"]) == REFRESHED


def test_a_receipt_that_is_of_no_use_any_more_is_a_failure(aws: AwsServer) -> None:
    url = aws.sqs().create_queue(QueueName="used-up")["QueueUrl"]
    with pytest.raises(Failure) as caught:
        SqsRecoveryQueue(aws.sqs(), url).again_soon("no receipt")
    assert str(caught.value) == "storage_unavailable: ReceiptHandleIsInvalid"
    assert caught.value.__suppress_context__
