"""The recovery queue's messages: what is in them, and what `parse` refuses."""

import json
from typing import Any

import pytest

from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.adapters.sqs import message, parse
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedTokens
from tests.contract.aws_server import AwsServer
from tests.contract.samples import BARE, EVERYTHING, a_link, a_state, exchange
from tests.fakes.clock import FakeClock

CANARY = "canary-token-40ae"


def body(**changes: Any) -> str:
    link = a_link()
    return json.dumps({**json.loads(message(exchange(link), link, a_state())), **changes})


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
    assert parse(text).new.tokens == tokens


@pytest.mark.parametrize("tokens", [EVERYTHING, BARE])
def test_a_message_comes_back_as_it_went(tokens: SealedTokens) -> None:
    link, state = a_link(), a_state()
    new = exchange(link, tokens=tokens, confirmation="c-1")
    found = parse(message(new, link, state))
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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '"text"',
        body(schema=2),
        body(kind="refreshed"),
        body(access=["!", "!"]),
        body(access=["YQ=="]),
        body(access=None),
        body(link=None),
        body(link={}),
        body(scopes=1),
    ],
    ids=range(13),
)
def test_another_shape_is_refused(text: str) -> None:
    with pytest.raises(Failure) as caught:
        parse(text)
    assert caught.value.reason is Reason.INTERNAL
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
