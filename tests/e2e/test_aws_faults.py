"""AWS failing around the token call: before it nothing is spent, after it nothing is lost in silence."""

import json
import time
from base64 import b64decode
from typing import Any

from mooring.adapters.ssm import FAILED_SECONDS
from tests.e2e.running import RunningStack
from tests.e2e.story import Merchant, check_failure, reference, returned
from tests.e2e.upkeep import wait_for
from tests.faults.kill import kill

BURN = "DynamoDB_20120810.UpdateItem"
STORE = "DynamoDB_20120810.TransactWriteItems"
DATA_KEY = "TrentService.GenerateDataKey"
QUEUE = "AmazonSQS.SendMessage"
PARAMETER = "AmazonSSM.GetParameter"


def test_kms_down_before_the_token_call(stack: RunningStack, merchant: Merchant) -> None:
    back, calls = merchant.decide("xeno"), len(stack.simulator("xeno").calls())
    with stack.failing(DATA_KEY, status=500, code="KMSInternalException"):
        page = merchant.browser.follow(back)
    check_failure(stack, page, 503, "sealing_unavailable")
    assert len(stack.simulator("xeno").calls()) == calls
    assert merchant.rows() == []
    merchant.connect("xeno")


def test_dynamodb_down_before_the_token_call(stack: RunningStack, merchant: Merchant) -> None:
    back, calls = merchant.decide("xeno"), len(stack.simulator("xeno").calls())
    flows = stack.rows("flows")
    with stack.failing(BURN, status=500, code="InternalServerError"):
        page = merchant.browser.follow(back)
    check_failure(stack, page, 503, "storage_unavailable")
    assert "Try again" in page.text
    assert len(stack.simulator("xeno").calls()) == calls
    assert stack.rows("flows") == flows
    assert merchant.rows() == []
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    assert len(stack.simulator("xeno").calls()) == calls + 1


def test_dynamodb_down_after_the_token_call(stack: RunningStack, merchant: Merchant) -> None:
    back, calls = merchant.decide("whatconverts"), len(stack.simulator("whatconverts").calls())
    with stack.paused("queues/recovery"):
        with stack.failing(STORE, function="callback"):
            page = merchant.browser.follow(back)
        check_failure(stack, page, 202, "store_delayed")
        assert merchant.rows() == []
        assert len(stack.simulator("whatconverts").calls()) == calls + 1
        (message,) = [m for m in stack.messages() if merchant.name in m["Body"]]
        live = stack.simulator("whatconverts").tokens()[-1]
        check_sealed(message, merchant, live)
    # The worker stores it as soon as it may: there is nothing left to do for the merchant.
    found = wait_for(merchant.rows, "the connection")
    assert (found[0]["status"]["S"], found[0]["generation"]["N"]) == ("active", "1")
    assert stack.cli("token", merchant.name, "whatconverts") == live["access_token"] + "\n"
    assert len(stack.simulator("whatconverts").calls()) == calls + 1


def check_sealed(message: dict[str, Any], merchant: Merchant, live: dict[str, Any]) -> None:
    """The message on the recovery queue says whose tokens it holds, and holds them sealed."""
    body = json.loads(message["Body"])
    names = (body["merchant_id"], body["provider"], body["account_id"])
    assert names == (merchant.name, "whatconverts", "default")
    for field, token in (("access", "access_token"), ("refresh", "refresh_token")):
        ciphertext, wrapped = (b64decode(part) for part in body[field])
        assert len(wrapped) > 32, "a wrapped key is longer than a plain one"
        assert len(ciphertext) >= len(live[token])
        assert live[token].encode() not in ciphertext
        assert live[token] not in message["Body"]


def test_a_short_trouble_after_the_token_call_is_sat_out(stack: RunningStack, merchant: Merchant) -> None:
    back = merchant.decide("whatconverts")
    fault = {"target": STORE, "status": 400, "code": "ProvisionedThroughputExceededException", "times": 3}
    stack.control("POST", "faults", [fault])
    try:
        assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    finally:
        stack.control("DELETE", "faults")
    (row,) = merchant.rows()
    assert row["generation"]["N"] == "1"


def test_table_and_queue_down_after_the_token_call_is_an_alarm(
    stack: RunningStack, merchant: Merchant
) -> None:
    back = merchant.decide("whatconverts")
    with stack.failing(STORE, QUEUE):
        page = merchant.browser.follow(back)
    ref = check_failure(stack, page, 500, "token_lost")
    lines = stack.log_lines("callback")
    at = next(number for number, line in enumerate(lines) if line.get("ref") == ref)
    assert any("TokenLost" in line and "_aws" in line for line in lines[at : at + 2]), lines[at : at + 2]
    assert merchant.rows() == []
    live = stack.simulator("whatconverts").tokens()[-1]["access_token"]
    assert live not in (stack.stack_dir / "logs/callback.log").read_text()
    merchant.connect("whatconverts")


def test_the_parameter_store_down_when_a_secret_is_first_needed(
    stack: RunningStack, merchant: Merchant
) -> None:
    kill(stack, "callback")  # whoever finished a flow of this provider before has its secret in memory
    back = merchant.decide("acme-two")
    tried = len(stack.foreign.requests("/o/token/"))
    with stack.failing(PARAMETER, status=500, code="InternalServerError"):
        page = merchant.browser.follow(back)
    check_failure(stack, page, 503, "secret_unavailable")
    assert len(stack.foreign.requests("/o/token/")) == tried
    assert merchant.rows() == []
    time.sleep(FAILED_SECONDS)  # for so long nobody asks again
    merchant.connect("acme-two")
    # And now that it is known, the store may be down.
    with stack.failing(PARAMETER, status=500, code="InternalServerError"):
        merchant.connect("acme-two")


def test_the_reader_says_when_it_cannot_answer(stack: RunningStack, merchant: Merchant) -> None:
    merchant.connect("xeno")
    with stack.failing("DynamoDB_20120810.GetItem"):
        said = stack.cli("token", merchant.name, "xeno", "team-none", code=1)
    assert said.strip()
    with stack.failing("TrentService.Decrypt"):
        said = stack.cli("token", merchant.name, "xeno", code=1)
    assert said.strip()
    assert stack.cli("token", merchant.name, "xeno").strip()


def test_the_reference_is_the_same_everywhere(stack: RunningStack, merchant: Merchant) -> None:
    back = merchant.decide("xeno")
    with stack.failing(DATA_KEY, status=500, code="KMSInternalException"):
        page = merchant.browser.follow(back)
    ref = reference(page)
    assert page.text.count(ref) >= 2, "on the page, and on the way back to the product"
    assert stack.log_line("callback", ref)["provider"] == "xeno"
    assert f"status=failed&amp;reason=sealing_unavailable&amp;ref={ref}" in page.text
