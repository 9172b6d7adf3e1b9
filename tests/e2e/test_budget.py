"""What one warm callback costs, counted where the calls arrive."""

from collections import Counter

import pytest

from tests.e2e.running import PROVIDERS, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep

GET, DECRYPT = "DynamoDB_20120810.GetItem", "TrentService.Decrypt"

BUDGET = {
    "DynamoDB_20120810.UpdateItem": 1,
    "TrentService.GenerateDataKey": 2,
    "DynamoDB_20120810.TransactWriteItems": 1,
}
IDENTITY_CALLS = {"yotpo": 1, "xeno": 1}


@pytest.mark.parametrize("provider", [*PROVIDERS, "acme"])
def test_a_warm_callback(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    merchant.connect(provider)
    back = merchant.decide(provider)
    simulator = None if provider == "acme" else stack.simulator(provider)
    exchanges = len(simulator.calls()) if simulator else len(stack.foreign.requests("/o/token/"))
    identity = len(simulator.calls("api")) if simulator else 0
    stack.control("DELETE", "calls")
    page = merchant.browser.follow(back)
    calls = stack.control("GET", "calls?function=callback")
    assert page.status == 303
    assert Counter(calls) == BUDGET
    assert calls[-1] == "DynamoDB_20120810.TransactWriteItems"
    if simulator:
        assert len(simulator.calls()) == exchanges + 1
        assert len(simulator.calls("api")) == identity + IDENTITY_CALLS.get(provider, 0)
    else:
        assert len(stack.foreign.requests("/o/token/")) == exchanges + 1


def test_a_flood_of_starts_and_of_strangers_writes_nothing(stack: RunningStack, merchant: Merchant) -> None:
    merchant.start("yotpo")
    stack.control("DELETE", "calls")
    for _ in range(10):
        merchant.other_browser().start("yotpo")
        page = merchant.other_browser().browser.open(f"{stack.base_url}/callback/yotpo?code=a&state=b")
        assert page.status == 400
    assert stack.calls("authorize") == stack.calls("callback") == Counter()


def test_a_token_read(stack: RunningStack, merchant: Merchant) -> None:
    merchant.connect("whatconverts")
    service, key = Service(stack), Upkeep.of(merchant, "whatconverts").key
    seen = []
    # Several processes may take turns; each opens the data key once, and then never again.
    for _ in range(20):
        stack.control("DELETE", "calls")
        assert service.token(key).ok
        seen.append(stack.calls("connections"))
    assert all(made[GET] == 1 and made[DECRYPT] <= 1 and set(made) <= {GET, DECRYPT} for made in seen), seen
    assert seen[-1] == {GET: 1}, "warm and unchanged"
