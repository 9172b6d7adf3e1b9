"""A merchant's browser without scripts: cookies, referrers and fetch metadata as Chromium sends them.

It follows nothing by itself, so that a test sees each step. Cookies are kept per host name, not per port,
as browsers do; Secure cookies work on loopback, as in Chromium; the rules of the `__Host-` prefix hold.
"""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

_TIMEOUT_SECONDS = 40
_FORM = "application/x-www-form-urlencoded"
Headers = Mapping[str, str]


@dataclass
class Form:
    """A form of a page: target, method, fields with their values; `buttons` are not yet among them."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def set(self, name: str, value: str) -> None:
        """Fill in a field."""
        assert name in dict(self.fields), f"the form has no field {name}: {self.fields}"
        self.fields = [(n, value if n == name else v) for n, v in self.fields]

    def uncheck(self, name: str, value: str) -> None:
        """Take the tick off a box."""
        self.fields.remove((name, value))


@dataclass(frozen=True)
class Page:
    """An answer. `initiator` is the page whose click or form led here, with what it lets be known of it."""

    url: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    initiator: "Initiator"

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def location(self) -> str:
        """Where a redirect leads, absolute."""
        assert self.header("location"), f"{self.status} is no redirect: {self.text[:400]}"
        return urljoin(self.url, self.header("location"))

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the redirect's target."""
        return parse_qs(urlsplit(self.location).query, keep_blank_values=True)

    def header(self, name: str) -> str:
        """The last value of a header, or an empty text."""
        values = self.all(name)
        return values[-1] if values else ""

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def form(self) -> Form:
        """The only form of the page."""
        reader = _FormReader()
        reader.feed(self.text)
        assert len(reader.forms) == 1, f"{len(reader.forms)} forms: {self.text[:400]}"
        return reader.forms[0]


@dataclass(frozen=True)
class Initiator:
    """Where a navigation comes from: nowhere (typed), or a page with its referrer policy."""

    url: str = ""
    policy: str = "strict-origin-when-cross-origin"

    def referer(self, target: str) -> str:
        """The Referer header, or an empty text (Referrer Policy, section 8.3)."""
        same = _origin(self.url) == _origin(target)
        if not self.url or self.policy == "no-referrer" or (self.policy == "same-origin" and not same):
            return ""
        return self.url.partition("#")[0] if same else f"{_origin(self.url)}/"


TYPED = Initiator()


class Visitor:
    """One browser profile.

    Args:
        seen: every answer is appended here.
        fetch_metadata: whether this browser sends `Sec-Fetch-*` headers.
    """

    def __init__(self, seen: list[Page] | None = None, *, fetch_metadata: bool = True) -> None:
        self.seen = seen if seen is not None else []
        self.cookies: dict[str, dict[str, str]] = {}
        self._fetch_metadata = fetch_metadata

    def open(self, url: str, initiator: Initiator = TYPED, **headers: str) -> Page:
        """Open an address: typed into the address bar, or a link on the page `initiator`."""
        return self.request("GET", url, initiator=initiator, headers=headers)

    def follow(self, page: Page) -> Page:
        """Go where a redirect leads; the page that led to the redirect stays the initiator."""
        return self.request("GET", page.location, initiator=page.initiator, chain=page.url)

    def submit(self, page: Page, button: str | None = None, form: Form | None = None) -> Page:
        """Send the page's form by the button with this value, or by the only one."""
        form = form or page.form()
        pressed = [pair for pair in form.buttons if button is None or pair[1] == button]
        assert len(pressed) == 1 or not form.buttons, f"no button {button}: {form.buttons}"
        pairs = [*form.fields, *(pair for pair in pressed[:1] if pair[0])]
        policy = page.header("referrer-policy") or "strict-origin-when-cross-origin"
        initiator = Initiator(page.url, policy)
        # An empty action is the page's own address, query included.
        target = urljoin(page.url, form.action) if form.action else page.url.partition("#")[0]
        origin = "null" if policy == "no-referrer" else _origin(page.url)
        headers = {"Origin": origin, "Content-Type": _FORM}
        return self.request(
            form.method, target, initiator=initiator, headers=headers, body=urlencode(pairs).encode()
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        initiator: Initiator = TYPED,
        headers: Headers | None = None,
        body: bytes | None = None,
        chain: str = "",
    ) -> Page:
        """One request, byte for byte as `url` has it."""
        sent = {**self._context(url, initiator, chain), **(headers or {})}
        page = Page(*_exchange(method, url, sent, body), initiator)
        self._keep(page)
        self.seen.append(page)
        return page

    def jar(self, url: str) -> dict[str, str]:
        """The cookies of a host, by name; changing it changes the profile."""
        return self.cookies.setdefault(str(urlsplit(url).hostname), {})

    def _context(self, url: str, initiator: Initiator, chain: str) -> dict[str, str]:
        headers = {"Accept": "text/html", "User-Agent": "Visitor"}
        if jar := self.jar(url):
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if referer := initiator.referer(url):
            headers["Referer"] = referer
        if self._fetch_metadata:
            headers |= {
                "Sec-Fetch-Site": _site(initiator.url, chain, url),
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
            }
        return headers

    def _keep(self, page: Page) -> None:
        jar = self.jar(page.url)
        for line in page.all("set-cookie"):
            pair, *rest = line.split(";")
            name, _, value = pair.strip().partition("=")
            attributes = {part.strip().partition("=")[0].lower(): part.partition("=")[2] for part in rest}
            if name.startswith("__Host-"):
                assert "secure" in attributes, line
                assert "domain" not in attributes, line
                assert attributes.get("path") == "/", line
            if attributes.get("max-age") == "0":
                jar.pop(name, None)
            else:
                jar[name] = value


def _exchange(
    method: str, url: str, headers: Headers, body: bytes | None
) -> tuple[str, int, list[tuple[str, str]], bytes]:
    parts = urlsplit(url)
    # Cut by hand: urlsplit would tidy up what a test sends on purpose.
    target = "/" + url.partition("://")[2].partition("/")[2].partition("#")[0]
    with _connection(str(parts.hostname), parts.port or 80) as connection:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return url, response.status, response.getheaders(), response.read()


class _Connection(http.client.HTTPConnection):
    """A connection that sends a request target as it is."""

    def _validate_path(self, url: str) -> None:
        assert " " not in url, url

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


@contextmanager
def _connection(host: str, port: int) -> Iterator[http.client.HTTPConnection]:
    connection = _Connection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _site(initiator: str, chain: str, target: str) -> str:
    """`Sec-Fetch-Site`: the farthest relation of the initiator to any address on the way."""
    if not initiator:
        return "none"
    relations = [_relation(initiator, url) for url in (chain, target) if url]
    return max(relations, key=("same-origin", "same-site", "cross-site").index)


def _relation(one: str, other: str) -> str:
    if _origin(one) == _origin(other):
        return "same-origin"
    return "same-site" if urlsplit(one).hostname == urlsplit(other).hostname else "cross-site"


class _FormReader(HTMLParser):
    """Collects forms: inputs, selects (their first or selected option) and buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select: str | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one element."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(found.get("action", ""), found.get("method", "get").upper()))
            self._inside = True
        elif self._inside:
            self._take(tag, found)

    def handle_endtag(self, tag: str) -> None:
        """Leave a form."""
        self._inside = self._inside and tag != "form"

    def _take(self, tag: str, found: dict[str, Any]) -> None:
        form, name, value = self.forms[-1], found.get("name", ""), found.get("value", "")
        kind = found.get("type", "submit" if tag == "button" else "text")
        if tag in ("button", "input") and kind == "submit":
            form.buttons.append((name, value))
        elif tag == "select":
            self._select = name
        elif tag == "option" and (self._select or "selected" in found):
            form.fields.append((self._select or form.fields.pop()[0], value))
            self._select = None
        elif tag == "input" and _is_sent(kind, found):
            form.fields.append((name, value))


def _is_sent(kind: str, found: dict[str, Any]) -> bool:
    ticked = kind not in ("checkbox", "radio") or "checked" in found
    return ticked and bool(found.get("name")) and "disabled" not in found
