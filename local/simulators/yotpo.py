"""Simulated Yotpo: an install page whose request sits in the URL fragment, one live token per store.

Documented: install link, callback parameters, token parameters, "once per merchant", no expiry; that
*Disconnect* deletes the token and sends an uninstall event in real time; the event's headers. From public
integrations: the token URL and its JSON body, the event's topic. Not documented, so a guess: refusals, the
`/info` resource, which stands for any resource below a store, the event's body, and how it is repeated.
"""

import json
import secrets
import uuid
from hashlib import sha256
from typing import ClassVar

from flask import request

from local.simulators.grants import Grant, Token
from local.simulators.misbehave import Sample
from local.simulators.notices import Notice
from local.simulators.site import Answer, Look, Paths, Site, ok
from local.simulators.strict import JSON, Refused, body_pairs, exact, query_pairs


def _app_key(store: str) -> str:
    return sha256(store.encode()).hexdigest()[:40]


STORES: dict[str, str] = {
    _app_key(store): store for store in ("Brightcart US", "Brightcart Europe", "Brightcart Outlet")
}
"""Public store ids (`app_key`, 40 letters and digits) and the names that the install page shows."""

TOPIC = "integrations.applications.disconnected.v3"
"""The event type of an uninstall."""

_TOKEN = ("grant_type", "client_id", "client_secret", "redirect_uri", "code")


class Yotpo(Site):
    """Paths and parameters as the provider's "Authenticating with OAuth 2.0" page has them."""

    id: ClassVar[str] = "yotpo"
    name: ClassVar[str] = "Yotpo"
    paths: ClassVar[Paths] = Paths("/app/", "/app/", "/v2/oauth2/token", "/v2/<app_key>/info")
    look: ClassVar[Look] = Look("#2f5bea", "#f4f6fb", "Disconnect", "Stores")

    def authorize(self) -> Answer:
        """The install page; application id and state are in the fragment, which only its script sees."""
        exact(query_pairs(request), ())
        return "shown", self.page(
            "yotpo.html", stores=STORES, chosen=self._missed_store(), action=self.paths.consent
        )

    def consent(self) -> Answer:
        """Back to the registered redirect URI with `code`, `app_key` and `state`."""
        form = self.consent_form(("application_id",), ("state", "app_key"))
        self.check_client(form["application_id"])
        app_key = form.get("app_key", next(iter(STORES)))
        if app_key not in STORES:
            raise Refused("unknown_store", "There is no such store in this account.")
        uri, granted = self.config.redirect_uri, {}
        if form["decision"] == "approve":
            granted = {"code": self.grants.issue_code(Grant(app_key, None, uri)), "app_key": app_key}
        return self.send_back(form["decision"], uri, granted, form.get("state"))

    def token(self) -> Answer:
        """Exchange a code; the store's earlier token dies."""
        body = exact(body_pairs(request, JSON), _TOKEN)
        self.check_secret(body["client_secret"], body["client_id"])
        if body["grant_type"] != "authorization_code":
            raise Refused("unsupported_grant_type", "only authorization_code")
        grant = self.redeem(body["code"], body["redirect_uri"])
        token = Token(secrets.token_urlsafe(30), grant.account, grant.scope)
        self.grants.add(token, only_one_per_account=True)
        return "issued", ok({"access_token": token.access_token, "token_type": "bearer"})

    def api(self) -> Answer:
        """What the store is, for that store's live token in `X-Yotpo-Token` or `access_token`."""
        app_key = (request.view_args or {}).get("app_key", "")
        sent = request.headers.get("X-Yotpo-Token") or request.args.get("access_token", "")
        token = self.grants.find(sent)
        if token is None or token.account != app_key:
            raise Refused("unauthorized", "not the live token of this store")
        return "ok", ok(_info(app_key))

    def accounts(self) -> dict[str, str]:
        """Every store of the merchant, connected or not."""
        return STORES

    def notice(self, account: str) -> Notice:
        """The uninstall event: no signature, no time, and the store in its body alone."""
        headers = {
            "Content-Type": "application/json",
            "X-Yotpo-Webhooks-Tenant-Type": "application",
            "X-Yotpo-Webhooks-Tenant-Id": self.config.client_id,
            "X-Yotpo-Webhooks-Event-Type": TOPIC,
            "WebhookMessageId": str(uuid.uuid4()),
            "webhookmessageidpertarget": str(uuid.uuid4()),
        }
        body = json.dumps({"app_key": account, "application_id": self.config.client_id}).encode()
        return Notice(headers["WebhookMessageId"], account, headers, body)

    def _missed_store(self) -> str:
        """The store that the page has chosen at first: one that was disconnected, or else the first."""
        known = self.grants.accounts()
        missed = (key for key in STORES if key in known and not self.grants.holds(key))
        return next(missed, next(iter(STORES)))

    def sample(self, endpoint: str) -> Sample:
        """See `Site.sample`."""
        error = {"error": "invalid_grant"}
        if endpoint == "token":
            return Sample({"access_token": "simulated", "token_type": "bearer"}, ("access_token",), error)
        return Sample(_info(next(iter(STORES))), ("app_key",), error)


def _info(app_key: str) -> dict[str, object]:
    return {"app_key": app_key, "name": STORES[app_key]}
