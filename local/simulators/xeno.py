"""Simulated Xeno: near RFC 6749, tokens that do not expire, and a merchant who may grant less than asked.

An uninstall shows in the token no longer working: there is no webhook.

Documented: authorize and token parameters, scopes, the token answer. From a public client library:
`/api/me` and `team.uid`. Not documented, so a guess: refusals, and that the token call is a form.
"""

import secrets
from hashlib import sha256
from typing import ClassVar

from flask import request

from local.simulators.grants import Grant, Token
from local.simulators.misbehave import Sample
from local.simulators.site import LOGIN, Answer, Look, Paths, Site, ok
from local.simulators.strict import FORM, Refused, bearer, body_pairs, exact, query_pairs

SCOPES: dict[str, str] = {
    "widgets": "See and change the brands that the messenger appears under",
    "faqs": "See and change help articles",
    "contacts": "See and change people and their details",
    "conversations": "Read and answer conversations",
}
"""The provider's scopes, with what the consent page says about each."""

_OPTIONAL = ("redirect_uri", "state", "response_type")
_GRANTED = "granted"


class Xeno(Site):
    """Paths and parameters as the provider's "OAuth 2" page has them."""

    id: ClassVar[str] = "xeno"
    name: ClassVar[str] = "Xeno"
    paths: ClassVar[Paths] = Paths("/oauth/authorize", "/oauth/authorize", "/oauth/token", "/api/me")
    look: ClassVar[Look] = Look("#5b3df5", "#f6f4ff", "Uninstall app")

    def authorize(self) -> Answer:
        """Ask for consent, one box per scope; `response_type=code` is tolerated."""
        asked = exact(query_pairs(request), ("client_id", "scope"), _OPTIONAL)
        scopes = self._check(asked)
        shown = {name: SCOPES[name] for name in scopes}
        return "shown", self.page("xeno.html", asked=asked, scopes=shown, action=self.paths.consent)

    def consent(self) -> Answer:
        """Back to the redirect URI with `code` and `state`; what was ticked becomes the scope."""
        form = self.consent_form(("client_id", "scope"), _OPTIONAL, several=_GRANTED)
        scopes, uri = self._check(form), form.get("redirect_uri")
        code = ""
        if form["decision"] == "approve":
            grant = Grant(_team(form.get("login", LOGIN)), _ticked(scopes), uri)
            code = self.grants.issue_code(grant)
        return self.send_back(
            form["decision"], uri or self.config.redirect_uri, {"code": code}, form.get("state")
        )

    def token(self) -> Answer:
        """Exchange a code; `redirect_uri` must be repeated when it was sent; `grant_type` is tolerated."""
        required = ("client_id", "client_secret", "code")
        body = exact(body_pairs(request, FORM), required, ("redirect_uri", "grant_type"))
        self.check_secret(body["client_secret"], body["client_id"])
        if body.get("grant_type", "authorization_code") != "authorization_code":
            raise Refused("unsupported_grant_type", "only authorization_code")
        grant = self.redeem(body["code"], body.get("redirect_uri"))
        token = Token(secrets.token_hex(32), grant.account, grant.scope)
        self.grants.add(token)
        return "issued", ok({"access_token": token.access_token, "scope": token.scope})

    def api(self) -> Answer:
        """Who the token belongs to."""
        token = self.grants.find(bearer(request))
        if token is None:
            raise Refused("unauthorized", "unknown access token")
        return "ok", ok(_me(token.account))

    def sample(self, endpoint: str) -> Sample:
        """See `Site.sample`."""
        error = {"error": "invalid_grant"}
        if endpoint == "token":
            return Sample({"access_token": "simulated", "scope": "widgets"}, ("access_token",), error)
        return Sample(_me("team-simulated"), ("team", "uid"), error)

    def _check(self, asked: dict[str, str]) -> list[str]:
        self.check_client(asked["client_id"], asked.get("redirect_uri"))
        if asked.get("response_type", "code") != "code":
            raise Refused("unsupported_response_type", "The response type is code.")
        scopes = asked["scope"].split(" ")
        if len(set(scopes)) != len(scopes) or not set(scopes) <= set(SCOPES):
            raise Refused("invalid_scope", "The scope is not a space-separated list of known scopes.")
        return scopes


def _ticked(scopes: list[str]) -> str:
    ticked = request.form.getlist(_GRANTED)
    if not ticked or not set(ticked) <= set(scopes):
        raise Refused("invalid_scope", "Tick at least one of the permissions that were asked for.")
    return " ".join(scope for scope in scopes if scope in ticked)


def _team(login: str) -> str:
    return f"team-{sha256(login.encode()).hexdigest()[:12]}"


def _me(team: str) -> dict[str, object]:
    return {"uid": f"user-of-{team}", "team": {"uid": team}}
