"""A simulated provider's own settings page, where a merchant sees who has access and takes it back."""

from datetime import datetime
from typing import Any

from flask import Flask, Response, request

from local.simulators.site import Answer, Site
from local.simulators.strict import Refused, exact, form_pairs, is_foreign_form

ADMIN = "/admin"
"""Path of the page, at every simulated provider."""

_SHOWN_DELIVERIES = 8
_FIRST_OF_2XX, _AFTER_2XX = 200, 300
_KINDS = {
    "first": "Sent",
    "retry": "Tried again",
    "duplicate": "Sent a second time",
    "redelivery": "Sent again by hand",
}


def mount_admin(app: Flask, site: Site) -> None:
    """Add the page, and `/`, which leads to it."""

    def admin() -> Response:
        return site.page("admin.html", **_content(site))

    def live() -> Response:
        return site.page("admin_live.html", **_content(site))

    def disconnect() -> Answer:
        account = _account(site)
        site.disconnect(account)
        return "disconnected", _to_admin()

    # Looking at the page, which looks again by itself, would only fill the call log.
    app.add_url_rule("/", "start", _to_admin)
    app.add_url_rule(ADMIN, "admin", admin)
    app.add_url_rule(f"{ADMIN}/live", "admin_live", live)
    app.add_url_rule(
        f"{ADMIN}/disconnect", "disconnect", site.view("disconnect", disconnect), methods=["POST"]
    )


def _content(site: Site) -> dict[str, Any]:
    accounts = [
        {"id": account, "label": label, "connected": site.grants.holds(account)}
        for account, label in site.accounts().items()
    ]
    latest = site.notices.deliveries()[-_SHOWN_DELIVERIES:]
    names = site.accounts()
    deliveries = [
        {
            "at": datetime.fromtimestamp(one.at).astimezone().strftime("%H:%M:%S"),
            "account": names.get(one.account, one.account),
            "what": _KINDS[one.kind],
            "answer": "no answer" if one.status is None else str(one.status),
            "taken": one.status is not None and _FIRST_OF_2XX <= one.status < _AFTER_2XX,
        }
        for one in reversed(latest)
    ]
    return {"accounts": accounts, "deliveries": deliveries, "admin": ADMIN}


def _account(site: Site) -> str:
    if is_foreign_form(request):
        raise Refused("foreign_form", "The form was sent from another site.")
    account = exact(form_pairs(request), ("account",))["account"]
    if account not in site.accounts():
        raise Refused("unknown_account", "There is no such account here.")
    if not site.grants.holds(account):
        raise Refused("not_connected", "This account is not connected.")
    return account


def _to_admin() -> Response:
    return Response("", 303, {"Location": ADMIN})
