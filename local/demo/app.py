"""The demo product's pages: one page, one poll, one route that signs a link, one that disconnects."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from local.demo import words
from local.demo.events import Inbox, Said
from local.demo.links import LinkSigner
from local.demo.listing import ConnectionsApi, Listing, Row
from local.simulators.strict import is_foreign_form

Providers = Sequence[tuple[str, str]]

_HERE = Path(__file__).parent
_CONNECTED = frozenset({"active", "needs_reconnect"})
_UNNAMED_ACCOUNT = "default"
_EVENTS_SHOWN = 5
# What a row's button does; a status that is not here has none.
_ACTIONS = {
    "active": "disconnect",
    "needs_reconnect": "connect",
    "uninstalled": "connect",
    "disconnected": "connect",
}
# Each poll is a Lambda invocation; its own agent lets the stack keep quiet about them.
_PAGE_AGENT, _POLL_AGENT = "brightcart-demo", "brightcart-demo-poll"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def create_app(
    merchant: str, providers: Providers, signer: LinkSigner, api: ConnectionsApi, inbox: Inbox
) -> Flask:
    """The demo's WSGI app.

    Args:
        merchant: the merchant shown unless `?merchant=` names another.
        providers: (id, name) of each provider to offer.
        signer: signs links.
        api: lists connections.
        inbox: the events that have come.
    """
    app = Flask(__name__, template_folder=str(_HERE / "templates"), static_folder=str(_HERE / "static"))
    names = dict(providers)

    def page() -> str:
        who = _merchant(merchant)
        said = inbox.of(who, _EVENTS_SHOWN)
        view = page_view(api.list(who, _PAGE_AGENT), said, providers, time.time())
        result = words.banner(request.args, names)
        return render_template("page.html", merchant=who, usual=merchant, banner=result, **view)

    def poll() -> Response:
        listing, now = api.list(_merchant(merchant), _POLL_AGENT), time.time()
        # Nothing that changes by the second: the page is fetched anew whenever this differs.
        rows = [
            {**row._asdict(), "connected": words.ago_words(row.connected_at, now)} for row in listing.rows
        ]
        said = [
            {"id": each.event_id, "when": words.ago_words(each.at, now)}
            for each in inbox.of(_merchant(merchant), _EVENTS_SHOWN)
        ]
        return jsonify({"trouble": listing.trouble, "connections": rows, "events": said})

    def connect(provider: str) -> Response:
        _known(provider, names)
        who, account = _merchant(merchant), _account(request.args.get("account", _UNNAMED_ACCOUNT))
        expected = None if account == _UNNAMED_ACCOUNT else account
        return _to_mooring(lambda: signer.authorize_url(provider, who, _home(who, merchant), expected))

    def disconnect(provider: str, account: str) -> Response:
        if is_foreign_form(request):
            abort(403, "This was sent from another site.")
        _known(provider, names)
        who = _merchant(merchant)
        done = api.disconnect(who, provider, _account(account), _PAGE_AGENT)
        result = {
            "status": "disconnected" if done else "not_disconnected",
            "connection": f"{provider}#{account}",
        }
        home = _home(who, merchant)
        return Response("", 303, {"Location": f"{home}{'&' if '?' in home else '?'}{urlencode(result)}"})

    app.add_url_rule("/", "page", page)
    app.add_url_rule("/connections.json", "poll", poll)
    app.add_url_rule("/connect/<provider>", "connect", connect)
    app.add_url_rule("/disconnect/<provider>/<account>", "disconnect", disconnect, methods=["POST"])
    app.register_error_handler(HTTPException, _error_page)
    app.before_request(_loopback_names_only)
    app.after_request(_guard)
    return app


def page_view(listing: Listing, said: Sequence[Said], providers: Providers, now: float) -> dict[str, Any]:
    """What the page shows: cards, connections, events, and the trouble with listing them, if any."""
    names = dict(providers)
    rows = [[r.provider, r.account_id, r.status, r.version] for r in listing.rows]
    return {
        "cards": [_card(provider, name, listing) for provider, name in providers],
        "connections": [_connection(row, names, now) for row in listing.rows],
        "connected": len({row.provider for row in listing.rows if row.status == "active"} & set(names)),
        "trouble": listing.trouble,
        "more": listing.more,
        # What the script compares with its first look, as something may change in between.
        "facts": [listing.trouble, rows, [each.event_id for each in said]],
        "events": [_event(each, names, now) for each in said],
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
    alive = row.status == "active"
    name = names.get(row.provider, row.provider)
    return {
        **row._asdict(),
        "name": name,
        "status_words": words.status_words(row.status),
        "why": words.why_words(row.status, row.last_error, name, row.revocation),
        "expires_at": row.expires_at if alive else None,
        "good_for": words.good_for_words(row.expires_at, now) if alive else "over",
        "connected": words.ago_words(row.connected_at, now),
        "connected_iso": datetime.fromtimestamp(row.connected_at, UTC).isoformat(timespec="seconds"),
        "action": _ACTIONS.get(row.status) if row.provider in names else None,
    }


def _event(said: Said, names: dict[str, str], now: float) -> dict[str, Any]:
    return {
        **said._asdict(),
        "name": names.get(said.provider, said.provider),
        "account": None if said.account_id == _UNNAMED_ACCOUNT else said.account_id,
        "does": words.reaction(said.kind),
        "when": words.ago_words(said.at, now),
    }


def _known(provider: str, names: dict[str, str]) -> None:
    if provider not in names:
        abort(404, "There is no such provider here.")


def _home(who: str, usual: str) -> str:
    """The page's own address, where the merchant comes back to."""
    home = f"http://127.0.0.1:{request.environ['SERVER_PORT']}/"
    return home if who == usual else f"{home}?merchant={who}"


def _account(named: str) -> str:
    if not words.NAME.fullmatch(named):
        abort(400, "An account id has 1 to 128 letters, digits, dots, underscores, colons or hyphens.")
    return named


def _merchant(usual: str) -> str:
    named = request.args.get("merchant", usual)
    if not words.NAME.fullmatch(named):
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
