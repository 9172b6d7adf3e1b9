"""The pages: a text for every reason, all input escaped, nothing from elsewhere, always a way on."""

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.flow import clear_cookie
from mooring.core.visit import Result
from mooring.entry.http_api import Response
from mooring.entry.pages import Branding, Pages
from mooring.entry.texts import TEXTS

REF = "0123456789"
EVIL = "<script>alert('1')</script>\"&{x}{0}%s"
PLAIN = Pages(Branding("Shopfront"), {"acme": "Acme"})
HOSTILE = Pages(Branding(EVIL, f"https://help.example/?q={EVIL}"), {"acme": EVIL})
RETURN_TO = "https://app.example.com/a?x=1&y=2#f"


class Skeleton(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(body)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def text_of(response: Response) -> str:
    return unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", response["body"], flags=re.DOTALL))


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_says_what_happened_and_what_to_do_next(reason: Reason) -> None:
    text = TEXTS[reason]
    assert all((text.title, text.happened, text.next))
    response = PLAIN.failure(Failure(reason), REF, "acme")
    shown = text_of(response)
    for part in (text.title, text.happened, text.next):
        assert part.format(product="Shopfront", provider="Acme") in shown
    assert "{" not in shown
    assert response["statusCode"] == Failure(reason).status
    assert (
        f"<code>{REF}</code>" in response["body"],
        f"<code>{reason.value}</code>" in response["body"],
    ) == (True, True)


@pytest.mark.parametrize("reason", list(Reason))
def test_hostile_names_are_only_text(reason: Reason) -> None:
    failure = Failure(reason, "detail").returning(RETURN_TO, "m-1")
    response = HOSTILE.failure(failure, REF, "acme")
    tags = Skeleton(response["body"])
    assert {tag for tag, _ in tags.tags} <= {
        "html", "head", "meta", "title", "style", "body", "main", "p", "h1", "div", "a", "code",
    }  # fmt: skip
    assert "<script" not in response["body"]
    assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)
    assert "detail" not in text_of(response)


@pytest.mark.parametrize("page", ["forced_link", "confirm_return"])
def test_a_question_names_product_and_provider_and_posts_to_its_own_address(page: str) -> None:
    response = PLAIN.question(Result("asked", "acme", "Acme", "m-1", page=page))
    tags = Skeleton(response["body"])
    assert (response["statusCode"], response["cookies"]) == (200, [])
    assert tags.named("form") == [{"method": "post"}]
    assert tags.named("input") == []
    assert "Shopfront" in text_of(response)
    assert "Acme" in text_of(response)
    assert response["headers"]["referrer-policy"] == "same-origin"
    hostile = HOSTILE.question(Result("asked", "acme", EVIL, "m-1", page=page))
    assert "<script" not in hostile["body"]
    assert len(Skeleton(hostile["body"]).named("form")) == 1


def policy(response: Response) -> dict[str, str]:
    parts = response["headers"]["content-security-policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def test_the_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    response = PLAIN.failure(Failure(Reason.INTERNAL), REF, None)
    match = re.search(r"<style>(.*?)</style>", response["body"], re.DOTALL)
    assert match is not None
    digest = b64encode(sha256(match.group(1).encode()).digest()).decode()
    assert policy(response) == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert response["headers"]["content-type"] == "text/html; charset=utf-8"
    assert response["headers"]["x-frame-options"] == "DENY"


def test_a_question_may_be_answered_by_a_form_and_stays_as_strict_otherwise() -> None:
    allowed = policy(PLAIN.question(Result("asked", "acme", "Acme", "m-1", page="forced_link")))
    assert "form-action" not in allowed
    assert (allowed["default-src"], allowed["frame-ancestors"]) == ("'none'", "'none'")


def test_nothing_is_loaded_from_anywhere() -> None:
    for response in (
        PLAIN.failure(Failure(Reason.INTERNAL).returning(RETURN_TO, "m-1"), REF, "acme"),
        PLAIN.question(Result("asked", "acme", "Acme", "m-1", page="forced_link")),
    ):
        tags = Skeleton(response["body"])
        assert not any(tag in ("script", "img", "link", "iframe", "object") for tag, _ in tags.tags)
        assert "url(" not in response["body"]
        assert "@import" not in response["body"]


def links(response: Response) -> list[str | None]:
    return [attributes["href"] for attributes in Skeleton(response["body"]).named("a")]


def test_the_way_back_knows_the_reason_and_keeps_the_products_own_address() -> None:
    response = PLAIN.failure(Failure(Reason.CODE_MISSING).returning(RETURN_TO, "m-1"), REF, "acme")
    assert links(response) == [
        f"https://app.example.com/a?x=1&y=2&status=failed&reason=code_missing&ref={REF}#f"
    ]
    assert "Back to Shopfront" in text_of(response)


def test_without_a_verified_address_there_is_no_way_back() -> None:
    assert links(PLAIN.failure(Failure(Reason.LINK_FORGED), REF, "acme")) == []


@pytest.mark.parametrize("reason", [reason for reason in Reason if TEXTS[reason].retry])
def test_what_may_work_in_a_moment_offers_the_same_address_again(reason: Reason) -> None:
    assert links(PLAIN.failure(Failure(reason).returning(RETURN_TO, "m-1"), REF, "acme"))[0] == ""


def test_a_flow_in_progress_tries_again_by_itself() -> None:
    assert PLAIN.failure(Failure(Reason.FLOW_IN_PROGRESS), REF, "acme")["headers"]["refresh"] == "2"
    assert "refresh" not in PLAIN.failure(Failure(Reason.FLOW_USED), REF, "acme")["headers"]


def test_cookies_of_no_use_are_cleared() -> None:
    response = PLAIN.failure(Failure(Reason.FLOW_EXPIRED).clearing("__Host-a", "__Host-b"), REF, "acme")
    assert response["cookies"] == [clear_cookie("__Host-a"), clear_cookie("__Host-b")]


def test_help_is_offered_where_it_is_configured() -> None:
    helpful = Pages(Branding("Shopfront", "https://help.example/?a=1&b=2"), {})
    assert links(helpful.failure(Failure(Reason.INTERNAL), REF, None)) == ["https://help.example/?a=1&b=2"]


@pytest.mark.parametrize("provider", [None, "unknown", EVIL])
def test_an_unknown_provider_is_not_named(provider: str | None) -> None:
    shown = text_of(PLAIN.failure(Failure(Reason.PROVIDER_TIMEOUT), REF, provider))
    assert "The provider did not answer" in shown
    assert "unknown" not in shown


def test_buttons_have_the_products_colour_and_the_policy_still_matches() -> None:
    pages = Pages(Branding("Shopfront", colour="#123abc"), {"acme": "Acme"})
    response = pages.failure(Failure(Reason.INTERNAL), REF, "acme")
    style = response["body"].partition("<style>")[2].partition("</style>")[0]
    assert "background:#123abc" in style
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in response["headers"]["content-security-policy"]
