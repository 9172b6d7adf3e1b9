"""Whatever arrives twice: the code is exchanged at most once, and every answer is harmless."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.running import PROVIDERS, RunningStack
from tests.e2e.story import Merchant, check_failure, returned
from tests.e2e.visitor import Visitor


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reloaded_callback_shows_the_same_success(
    stack: RunningStack, merchant: Merchant, provider: str
) -> None:
    calls = len(stack.simulator(provider).calls())
    back = merchant.decide(provider)
    before = dict(merchant.browser.jar(stack.base_url))
    first = returned(merchant.browser.follow(back))
    again = returned(merchant.browser.follow(back))
    # And a browser that lost the answer, so that its cookie still says that the flow is open.
    merchant.browser.jar(stack.base_url).update(before)
    once_more = returned(merchant.browser.follow(back))
    assert first["connection"] == again["connection"] == once_more["connection"]
    assert [found["status"] for found in (first, again, once_more)] == [["connected"]] * 3
    assert len({found["ref"][0] for found in (first, again, once_more)}) == 3
    assert len(stack.simulator(provider).calls()) == calls + 1
    (row,) = merchant.rows()
    assert (row["generation"]["N"], row["version"]["N"]) == ("1", "1")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_five_callbacks_at_once_make_one_token_call(
    stack: RunningStack, merchant: Merchant, provider: str
) -> None:
    calls = len(stack.simulator(provider).calls())
    back = merchant.decide(provider)
    cookies = dict(merchant.browser.jar(stack.base_url))
    visitors = [Visitor(merchant.seen) for _ in range(5)]
    for visitor in visitors:
        visitor.jar(stack.base_url).update(cookies)
    with ThreadPoolExecutor(5) as pool:
        pages = list(pool.map(lambda visitor: visitor.follow(back), visitors))
    answers = [(page.status, page.text[-400:]) for page in pages]
    assert {page.status for page in pages} <= {303, 409}, answers
    assert 303 in {page.status for page in pages}
    for page in pages:
        if page.status == 409:
            check_failure(stack, page, 409, "flow_in_progress")
            assert page.header("refresh") == "2"
    assert len(stack.simulator(provider).calls()) == calls + 1
    (row,) = merchant.rows()
    assert (row["generation"]["N"], row["version"]["N"]) == ("1", "1")
    assert returned(visitors[-1].follow(back))["status"] == ["connected"]


def test_ten_flows_of_one_link_may_come_back_and_no_more(stack: RunningStack, merchant: Merchant) -> None:
    url = stack.link("whatconverts", merchant.name)
    backs = []
    for _ in range(11):
        tab = merchant.other_browser()
        backs.append((tab, tab.consent("whatconverts", tab.browser.open(url))))
    with ThreadPoolExecutor(2) as pool:
        pages = list(pool.map(lambda found: found[0].browser.follow(found[1]), backs[:10]))
    assert [page.status for page in pages] == [303] * 10
    calls = len(stack.simulator("whatconverts").calls())
    tab, back = backs[10]
    check_failure(stack, tab.browser.follow(back), 403, "link_exhausted")
    assert len(stack.simulator("whatconverts").calls()) == calls
    (row,) = merchant.rows()
    assert row["generation"]["N"] == "10"


@pytest.mark.parametrize("provider", ["yotpo", "notifyvisitors"])
def test_a_failed_flow_stays_failed(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    back = merchant.decide(provider)
    cookies = dict(merchant.browser.jar(stack.base_url))
    stack.simulator(provider).misbehave("invalid_grant")
    check_failure(stack, merchant.browser.follow(back), 400, "grant_refused")
    calls = len(stack.simulator(provider).calls())
    check_failure(stack, merchant.browser.follow(back), 400, "state_unknown")
    # The page took the cookie away; a browser that kept it gets no further.
    merchant.browser.jar(stack.base_url).update(cookies)
    check_failure(stack, merchant.browser.follow(back), 400, "flow_used")
    assert len(stack.simulator(provider).calls()) == calls
    assert merchant.rows() == []
