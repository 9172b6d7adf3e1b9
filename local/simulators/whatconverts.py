"""Simulated WhatConverts: access tokens that expire, with a refresh token.

The only description is a third-party tutorial; the vendor documents HTTP Basic alone. So everything
here that the tutorial does not show (refusals, lifetimes, rotation, the echo of `state`) is a guess, and
what a refresh does can be changed while it runs.
"""

from typing import ClassVar

from flask import request

from local.simulators.grants import UNNAMED_ACCOUNT, Grant
from local.simulators.misbehave import Sample
from local.simulators.refreshing import Issued, RefreshingSite
from local.simulators.site import Answer, Look, Paths, ok
from local.simulators.strict import JSON, Pairs, Refused, bearer, body_pairs, exact, query_pairs

SCOPE = "read_leads"

_REQUEST = ("response_type", "client_id", "redirect_uri", "scope")
_CLIENT = ("grant_type", "client_id", "client_secret")


class WhatConverts(RefreshingSite):
    """Paths and parameters as the tutorial has them."""

    id: ClassVar[str] = "whatconverts"
    name: ClassVar[str] = "WhatConverts"
    paths: ClassVar[Paths] = Paths("/oauth/authorize", "/oauth/authorize", "/oauth/token", "/api/v1/leads")
    look: ClassVar[Look] = Look("#c2410c", "#f5f6f7")

    def authorize(self) -> Answer:
        """Ask for consent to read leads."""
        asked = exact(query_pairs(request), _REQUEST, ("state",))
        self._check(asked)
        return "shown", self.page("whatconverts.html", asked=asked, action=self.paths.consent)

    def consent(self) -> Answer:
        """Back to the redirect URI with `code`, and `state` where one came."""
        form = self.consent_form(_REQUEST, ("state",))
        self._check(form)
        uri, code = form["redirect_uri"], ""
        if form["decision"] == "approve":
            code = self.grants.issue_code(Grant(UNNAMED_ACCOUNT, form["scope"], uri))
        return self.send_back(form["decision"], uri, {"code": code}, form.get("state"))

    def token(self) -> Answer:
        """Exchange a code, or a refresh token."""
        pairs = body_pairs(request, JSON)
        grant_type = dict(pairs).get("grant_type")
        if grant_type == "authorization_code":
            return "issued", ok(self._exchange(pairs))
        if grant_type == "refresh_token":
            return "refreshed", ok(self._refresh(pairs))
        raise Refused("unsupported_grant_type", "authorization_code or refresh_token")

    def api(self) -> Answer:
        """The leads, for a token that has not expired."""
        if self.grants.find(bearer(request)) is None:
            raise Refused("unauthorized", "unknown or expired access token")
        return "ok", ok(_leads())

    def sample(self, endpoint: str) -> Sample:
        """See `Site.sample`."""
        error = {"error": "invalid_grant"}
        if endpoint == "token":
            return Sample(
                _answer(Issued("simulated", UNNAMED_ACCOUNT, SCOPE, "simulated-refresh", 3600)),
                ("access_token",),
                error,
            )
        return Sample(_leads(), ("leads",), error)

    def _check(self, asked: dict[str, str]) -> None:
        self.check_client(asked["client_id"], asked["redirect_uri"])
        if asked["response_type"] != "code":
            raise Refused("unsupported_response_type", "The response type is code.")
        if asked["scope"] != SCOPE:
            raise Refused("invalid_scope", f"The scope is {SCOPE}.")

    def _exchange(self, pairs: Pairs) -> dict[str, object]:
        body = exact(pairs, (*_CLIENT, "code", "redirect_uri"))
        self.check_secret(body["client_secret"], body["client_id"])
        grant = self.redeem(body["code"], body["redirect_uri"])
        return _answer(self.issue(grant.account, grant.scope))

    def _refresh(self, pairs: Pairs) -> dict[str, object]:
        body = exact(pairs, (*_CLIENT, "refresh_token"))
        self.check_secret(body["client_secret"], body["client_id"])
        return _answer(self.renew(body["refresh_token"]))


def _answer(issued: Issued) -> dict[str, object]:
    named = {"refresh_token": issued.refresh_token} if issued.refresh_token else {}
    return {
        "access_token": issued.access_token,
        **named,
        "expires_in": issued.seconds,
        "token_type": "bearer",
    }


def _leads() -> dict[str, object]:
    return {"total_leads": 1, "leads": [{"lead_id": 1, "lead_type": "Phone Call"}]}
