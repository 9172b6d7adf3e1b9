"""The pages that merchants may meet: plain HTML without scripts, everything variable escaped."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.flow import clear_cookie, with_parameters
from mooring.core.visit import Result
from mooring.entry.http_api import HEADERS, Response
from mooring.entry.texts import TEXTS

_COLOUR = "#1f5eff"
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6472;--paper:#fff;--ground:#f3f5f8;--line:#dfe3ea}
@media(prefers-color-scheme:dark){:root{--ink:#eef1f6;--soft:#a5aebd;--paper:#1b212c;--ground:#12161d;--line:#313a49}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;
background:var(--ground);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:32rem;background:var(--paper);border:1px solid var(--line);
border-radius:14px;padding:2rem}
.product{margin:0 0 1.25rem;color:var(--soft);font-size:.9rem}
h1{margin:0 0 .75rem;font-size:1.45rem;line-height:1.25}
p{margin:0 0 .75rem}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}
.actions form{margin:0}
.button{display:inline-block;border:1px solid var(--line);border-radius:9px;padding:.65rem 1.1rem;
font:inherit;font-weight:600;background:transparent;color:inherit;text-decoration:none;cursor:pointer}
.main{background:#1f5eff;border-color:#1f5eff;color:#fff}
.button:focus-visible{outline:3px solid #8fb0ff;outline-offset:2px}
.ref{margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.85rem}
code{font-family:ui-monospace,SFMono-Regular,Menlo,monospace}
"""
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main data-page="{name}"><p class="product">{product}</p><h1>{title}</h1>
{body}
</main></body></html>
"""
_ASKING = {
    "forced_link": (
        "Connect {provider}?",
        "Another website sent you here to connect {provider} to {product}.",
        "Go on only if you asked for this yourself. You choose the account at {provider} in the next step.",
        "Connect {provider}",
    ),
    "confirm_return": (
        "Finish connecting {provider}?",
        "You seem to come back from {provider}, but your browser does not say which page sent you.",
        "Go on only if you have just given your consent at {provider} yourself.",
        "Finish connecting {provider}",
    ),
}


class Branding(NamedTuple):
    """How the product shows itself: its name, where merchants find help, and the colour of buttons."""

    product: str
    support_url: str | None = None
    colour: str | None = None


class Pages:
    """Renders failures and questions for one product."""

    def __init__(self, branding: Branding, provider_names: Mapping[str, str]) -> None:
        self._branding = branding
        self._names = provider_names
        self._style = _STYLE.replace(_COLOUR, branding.colour or _COLOUR)
        self._style_hash = b64encode(sha256(self._style.encode()).digest()).decode("ascii")

    def failure(self, failure: Failure, ref: str, provider: str | None) -> Response:
        """The page of a failure: what happened, what to do next, and the reference id."""
        text = TEXTS[failure.reason]
        fill = {
            "product": self._branding.product,
            "provider": self._names.get(provider or "", "The provider"),
        }
        body = _paragraph(text.happened.format(**fill)) + _paragraph(text.next.format(**fill))
        actions = '<a class="button main" href="">Try again</a>' if text.retry else ""
        if failure.return_to is not None and failure.reason is not Reason.FLOW_IN_PROGRESS:
            actions += self._way_back(failure, failure.return_to, ref, first=not text.retry)
        body += f'<div class="actions">{actions}</div>' if actions else ""
        body += self._reference(failure.reason, ref)
        response = self._page(failure.reason.value, text.title.format(**fill), body, failure.status)
        if failure.reason is Reason.FLOW_IN_PROGRESS:
            response["headers"]["refresh"] = "2"
        response["cookies"] = [clear_cookie(name) for name in failure.clear_cookies]
        return response

    def question(self, result: Result) -> Response:
        """A page that goes on only by a POST of its own to the same address."""
        title, happened, advice, button = _ASKING[str(result.page)]
        fill = {"product": self._branding.product, "provider": result.provider_name}
        body = _paragraph(happened.format(**fill)) + _paragraph(advice.format(**fill))
        label = escape(button.format(**fill))
        form = f'<form method="post"><button class="button main">{label}</button></form>'
        body += f'<div class="actions">{form}</div>'
        response = self._page(str(result.page), title.format(**fill), body, 200, form=True)
        # `no-referrer` would turn the Origin header of our own POST into "null" (Fetch standard).
        response["headers"]["referrer-policy"] = "same-origin"
        return response

    def _way_back(self, failure: Failure, return_to: str, ref: str, first: bool) -> str:
        address = with_parameters(return_to, {"status": "failed", "reason": failure.reason.value, "ref": ref})
        kind = "button main" if first else "button"
        return f'<a class="{kind}" href="{escape(address)}">Back to {escape(self._branding.product)}</a>'

    def _reference(self, reason: Reason, ref: str) -> str:
        support = self._branding.support_url
        help_link = f' · <a href="{escape(support)}">Get help</a>' if support else ""
        marks = f"<code>{escape(ref)}</code> · <code>{reason.value}</code>"
        return f'<p class="ref">Reference {marks}{help_link}</p>'

    def _page(self, name: str, title: str, body: str, status: int, form: bool = False) -> Response:
        html = _FRAME.format(
            name=name,
            title=escape(title),
            style=self._style,
            product=escape(self._branding.product),
            body=body,
        )
        # Chromium applies form-action to redirects too, and a question's answer leads to other sites.
        action = "" if form else " form-action 'none';"
        policy = (
            f"default-src 'none'; style-src 'sha256-{self._style_hash}';{action} "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        headers = {
            **HEADERS,
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": policy,
            "x-frame-options": "DENY",
        }
        return {"statusCode": status, "headers": headers, "cookies": [], "body": html}


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>\n"
