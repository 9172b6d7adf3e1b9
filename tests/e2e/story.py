"""What a merchant does, step by step, and what every failure has in common."""

import re
import secrets
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.e2e.running import FIFTH, RETURN_TO, RunningStack
from tests.e2e.visitor import Page, Visitor

_REFERENCE = re.compile(r'<p class="ref">Reference <code>([0-9a-f]{10})</code> · <code>([a-z_]+)</code>')


class Merchant:
    """A merchant of the product with one browser.

    Args:
        stack: the running stack.
        seen: every answer that the browser gets is appended here.
        name: the merchant's id; a fresh one by default.
    """

    def __init__(self, stack: RunningStack, seen: list[Page], name: str | None = None) -> None:
        self.stack = stack
        self.seen = seen
        self.name = name or f"m-{secrets.token_hex(6)}"
        self.browser = Visitor(seen)

    def other_browser(self) -> "Merchant":
        """The same merchant at another machine."""
        return Merchant(self.stack, self.seen, self.name)

    def start(self, provider: str, **claims: Any) -> Page:
        """Follow a link of the product: the redirect to the provider."""
        page = self.browser.open(self.stack.link(provider, self.name, **claims))
        assert page.status == 302, page.text
        return page

    def decide(
        self, provider: str, decision: str = "approve", *, store: str | None = None, **claims: Any
    ) -> Page:
        """Start, and answer the provider's question: the redirect back to us. `store` is the account."""
        return self.consent(provider, self.start(provider, **claims), decision, store=store)

    def consent(
        self, provider: str, start: Page, decision: str = "approve", *, store: str | None = None
    ) -> Page:
        """Follow the redirect to the provider and answer its question: the redirect back to us."""
        page = self.browser.follow(start)
        if provider.startswith("acme"):
            return self._decide_at_foreign(page, decision)
        form = page.form()
        if provider == "yotpo":
            # What the page's script does: the request is in the fragment.
            path, _, query = urlsplit(page.url).fragment.partition("?")
            form.set("application_id", unquote(path.rpartition("/")[2]))
            form.set("state", parse_qs(query)["state"][0])
            if store:
                form.set("app_key", store)
        if provider == FIFTH and store:
            form.set("shop", store)
        back = self.browser.submit(page, decision, form)
        assert back.status == 302, back.text
        return back

    def connect(self, provider: str, *, store: str | None = None, **claims: Any) -> Page:
        """The whole story: the redirect back to the product."""
        page = self.browser.follow(self.decide(provider, store=store, **claims))
        assert page.status == 303, page.text
        assert page.query["status"] == ["connected"]
        return page

    def rows(self) -> list[dict[str, Any]]:
        """This merchant's connections as they are stored."""
        return self.stack.connections_of(self.name)

    def _decide_at_foreign(self, page: Page, decision: str) -> Page:
        if page.status == 302:  # not signed in yet
            login = self.browser.follow(page)
            form = login.form()
            for name, value in self.stack.foreign.login.items():
                form.set(name, value)
            page = self.browser.follow(self.browser.submit(login, form=form))
        back = self.browser.submit(page, "Authorize" if decision == "approve" else "Cancel")
        assert back.status == 302, back.text
        return back


def check_failure(
    stack: RunningStack, page: Page, status: int, reason: str, function: str = "callback"
) -> str:
    """A failure page: its status, its reason, and a reference that is also in the log, which it returns."""
    assert page.status == status, f"{page.status} instead of {status}: {page.text[:3000]}"
    found = _REFERENCE.search(page.text)
    assert found, page.text
    assert found[2] == reason
    line = stack.log_line(function, found[1])
    assert (line["outcome"], line["reason"], line["service"]) == ("failed", reason, function)
    assert line["level"] == "WARNING"
    return found[1]


def returned(page: Page) -> dict[str, list[str]]:
    """The return parameters of a redirect to the product, which kept its own address to the letter."""
    assert page.status == 303, page.text
    address, _, fragment = RETURN_TO.partition("#")
    assert page.header("location").startswith(f"{address}&")
    assert page.header("location").endswith(f"#{fragment}")
    found = page.query
    assert found.pop("tab") == ["apps"]
    return found


def reference(page: Page) -> str:
    """The reference id on a failure page."""
    found = _REFERENCE.search(page.text)
    assert found, page.text
    return found[1]
