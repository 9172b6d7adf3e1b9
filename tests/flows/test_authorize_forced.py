"""A link followed from somebody else's page asks first; the answer comes from our own page."""

import pytest

from mooring.core.errors import Reason
from tests.core.signing import APP, BASE_URL, signed
from tests.flows.world import Browser, World, refusal

EVIL = "https://evil.example/page"


@pytest.mark.parametrize(
    ("site", "referer", "asked"),
    [
        (None, None, False),
        (None, EVIL, True),
        ("none", None, False),
        ("same-origin", f"{BASE_URL}/authorize/acme", False),
        ("cross-site", f"{APP}/", False),
        ("cross-site", f"{APP}/settings?tab=1", False),
        ("same-site", f"{APP}/", False),
        ("cross-site", None, True),
        ("cross-site", "", True),
        ("cross-site", EVIL, True),
        ("same-site", None, True),
        ("same-site", "https://blog.example.com/", True),
        ("cross-site", f"{APP}.evil.example/", True),
        ("cross-site", "https://app.example.com@evil.example/", True),
        ("cross-site", "http://app.example.com/", True),
        ("cross-site", "https://APP.example.com/", True),
        ("cross-site", "about:blank", True),
    ],
)
def test_who_is_asked_first(
    world: World, browser: Browser, site: str | None, referer: str | None, asked: bool
) -> None:
    headers = {"sec-fetch-site": site, "referer": referer}
    result = world.authorize(browser, signed(), headers={k: v for k, v in headers.items() if v is not None})
    assert result.outcome == ("asked" if asked else "redirected")
    assert result.page == ("forced_link" if asked else None)
    assert bool(browser.jar) is not asked
    assert world.untouched()


def test_the_question_names_the_provider_and_sets_nothing(world: World, browser: Browser) -> None:
    result = world.authorize(browser, signed(), headers={"sec-fetch-site": "cross-site"})
    assert (result.provider_name, result.location, result.cookies) == ("Acme", None, ())


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": BASE_URL}])
def test_the_answer_of_our_own_page_goes_on(world: World, browser: Browser, headers: dict[str, str]) -> None:
    result = world.authorize(browser, signed(), method="POST", headers=headers)
    assert result.outcome == "redirected"
    assert len(browser.jar) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": f"{BASE_URL}.evil.example"},
        {"sec-fetch-site": "cross-site", "origin": BASE_URL},
        {"sec-fetch-site": "same-site", "referer": f"{APP}/"},
    ],
)
def test_an_answer_from_elsewhere_does_not(world: World, browser: Browser, headers: dict[str, str]) -> None:
    failure = refusal(lambda: world.authorize(browser, signed(), method="POST", headers=headers))
    assert (failure.reason, failure.status) == (Reason.CROSS_SITE, 403)
    assert not browser.jar
    assert world.untouched()


def test_a_forged_link_is_refused_before_anything_is_asked(world: World, browser: Browser) -> None:
    failure = refusal(lambda: world.authorize(browser, "x.y.z", headers={"sec-fetch-site": "cross-site"}))
    assert failure.reason is Reason.LINK_MALFORMED
