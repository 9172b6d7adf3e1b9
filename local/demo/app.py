"""The demo product's pages: one page, one poll, one route that signs a link."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from local.demo import words
from local.demo.links import LinkSigner
from local.demo.listing import ConnectionsApi, Listing, Row

Providers = Sequence[tuple[str, str]]

_HERE = Path(__file__).parent
_CONNECTED = frozenset({"active", "needs_reconnect"})
# Each poll is a Lambda invocation; its own agent lets the stack keep quiet about them.
_PAGE_AGENT, _POLL_AGENT = "brightcart-demo", "brightcart-demo-poll"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def create_app(merchant: str, providers: Providers, signer: LinkSigner, api: ConnectionsApi) -> Flask:
    """The demo's WSGI app.

    Args:
        merchant: the merchant shown unless `?merchant=` names another.
        providers: (id, name) of each provider to offer.
        signer: signs links.
        api: lists connections.
    """
    app = Flask(__name__, template_folder=str(_HERE / "templates"), static_folder=str(_HERE / "static"))
    names = dict(providers)

    def page() -> str:
        who = _merchant(merchant)
        view = page_view(api.list(who, _PAGE_AGENT), providers, time.time())
        result = words.banner(request.args, names)
        return render_template("page.html", merchant=who, usual=merchant, banner=result, **view)

    def poll() -> Response:
        view = page_view(api.list(_merchant(merchant), _POLL_AGENT), providers, time.time())
        return jsonify({"trouble": view["trouble"], "connections": view["connections"]})

    def connect(provider: str) -> Response:
        if provider not in names:
            abort(404, "There is no such provider here.")
        who = _merchant(merchant)
        home = f"http://127.0.0.1:{request.environ['SERVER_PORT']}/"
        return_to = home if who == merchant else f"{home}?merchant={who}"
        return _to_mooring(lambda: signer.authorize_url(provider, who, return_to))

    app.add_url_rule("/", "page", page)
    app.add_url_rule("/connections.json", "poll", poll)
    app.add_url_rule("/connect/<provider>", "connect", connect)
    app.register_error_handler(HTTPException, _error_page)
    app.before_request(_loopback_names_only)
    app.after_request(_guard)
    return app


def page_view(listing: Listing, providers: Providers, now: float) -> dict[str, Any]:
    """What the page shows: cards, connections, and the trouble with listing them, if any."""
    names = dict(providers)
    return {
        "cards": [_card(provider, name, listing) for provider, name in providers],
        "connections": [_connection(row, names, now) for row in listing.rows],
        "connected": len({row.provider for row in listing.rows if row.status == "active"} & set(names)),
        "trouble": listing.trouble,
        "more": listing.more,
    }


def _card(provider: str, name: str, listing: Listing) -> dict[str, Any]:
    statuses = [row.status for row in listing.rows if row.provider == provider]
    state = next((status for status in ("needs_reconnect", "active", *statuses) if status in statuses), None)
    return {
        "provider": provider,
        "name": name,
        "trait": words.trait(provider),
        "state": state or "none",
        "state_words": "Not connected" if state is None else words.status_words(state),
        "count": statuses.count("active"),
        "verb": "Reconnect" if _CONNECTED & set(statuses) else "Connect",
    }


def _connection(row: Row, names: dict[str, str], now: float) -> dict[str, Any]:
    return {
        **row._asdict(),
        "name": names.get(row.provider, row.provider),
        "status_words": words.status_words(row.status),
        "expires": words.expiry_words(row.expires_at, now),
        "connected": words.ago_words(row.connected_at, now),
        "connected_iso": datetime.fromtimestamp(row.connected_at, UTC).isoformat(timespec="seconds"),
    }


def _merchant(usual: str) -> str:
    named = request.args.get("merchant", usual)
    if not words.MERCHANT.fullmatch(named):
        abort(400, "A merchant id has 1 to 128 letters, digits, dots, underscores, colons or hyphens.")
    return named


def _to_mooring(url: Callable[[], str]) -> Response:
    try:
        return Response("", HTTPStatus.SEE_OTHER, {"Location": url()})
    except (OSError, ValueError):
        abort(503, "The key that signs links cannot be read. Start the local stack again.")


def _error_page(error: HTTPException) -> tuple[str, int]:
    status = error.code or 500
    text = error.description or "Something went wrong."
    return render_template("error.html", status=status, text=text), status


def _loopback_names_only() -> None:
    # Another site could otherwise point its own host name at 127.0.0.1 and act as the merchant.
    if request.host.partition(":")[0] not in {"127.0.0.1", "localhost"}:
        abort(421)


def _guard(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Mooring compares the origin in Referer with the allowed return addresses, so it has to be sent.
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    return response
