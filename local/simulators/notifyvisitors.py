"""Simulated NotifyVisitors: no state, a slash added to the redirect URI, the secret alone as credentials.

Documented: authorize and token parameters, the token answer, the shape of the sample token, the bearer
header. Not documented, so a guess: how refusals look, which body encodings the token call takes.
"""

import secrets
from typing import ClassVar

import jwt
from flask import Response, request

from local.simulators.grants import UNNAMED_ACCOUNT, Grant, Token
from local.simulators.misbehave import Sample
from local.simulators.site import Answer, Look, Paths, Site, ok
from local.simulators.strict import FORM, JSON, Refused, bearer, body_pairs, exact, query_pairs

_AUTHORIZE = "/api/oauth/authorize"
_TOKEN = "/api/oauth/access_token"  # noqa: S105 - a path
_REQUEST = ("app_client_id", "app_redirect_uri")


class NotifyVisitors(Site):
    """Paths and parameters as the provider's "OAuth flow for your app" page has them."""

    id: ClassVar[str] = "notifyvisitors"
    name: ClassVar[str] = "NotifyVisitors"
    paths: ClassVar[Paths] = Paths(
        _AUTHORIZE, _AUTHORIZE, "/api/oauth/access_token", "/api/v1/<path:resource>"
    )
    look: ClassVar[Look] = Look("#1565c0", "#e9eef5")

    def authorize(self) -> Answer:
        """Ask for consent; any parameter besides the two is refused, to keep our requests honest."""
        asked = exact(query_pairs(request), _REQUEST)
        self.check_client(asked["app_client_id"], asked["app_redirect_uri"])
        return "shown", self.page("notifyvisitors.html", asked=asked, action=self.paths.consent)

    def consent(self) -> Answer:
        """Back to the redirect URI with a slash added, as in the provider's example, and `code` alone."""
        form = self.consent_form(_REQUEST)
        uri = form["app_redirect_uri"]
        self.check_client(form["app_client_id"], uri)
        # The token call carries no redirect URI, so the code is bound to none.
        code = self.grants.issue_code(Grant(UNNAMED_ACCOUNT, None, None)) if _approved(form) else ""
        return self.send_back(form["decision"], f"{uri.rstrip('/')}/", {"code": code}, state=None)

    def token(self) -> Answer:
        """Exchange a code for a permanent token."""
        body = exact(body_pairs(request, FORM, JSON), ("auth_code", "app_client_secret"))
        self.check_secret(body["app_client_secret"])
        grant = self.redeem(body["auth_code"], None)
        token = Token(self._token_text(body["auth_code"]), grant.account, grant.scope)
        self.grants.add(token)
        return "issued", ok(_answer(token.access_token))

    def api(self) -> Answer:
        """Any resource, for a live token."""
        if self.grants.find(bearer(request)) is None:
            raise Refused("unauthorized", "unknown access token")
        return "ok", ok({"status": "success", "data": []})

    def sample(self, endpoint: str) -> Sample:
        """See `Site.sample`."""
        error = {"status": "error", "message": "Something is wrong with the request."}
        if endpoint == "token":
            return Sample(_answer("simulated"), ("App_access_token",), error)
        return Sample({"status": "success", "data": []}, ("data",), error)

    def token_refusal(self, refused: Refused) -> Response:
        """Undocumented; 200 with `status: error` is the counterpart of the documented `status: success`."""
        return ok({"status": "error", "message": refused.message})

    def _token_text(self, code: str) -> str:
        """Like the sample token: a JWT that carries the client secret in the clear."""
        claims = {
            "auth_code": code,
            "client_secret": self.config.client_secret,
            "timestamp": int(self.clock()),
        }
        return jwt.encode(claims, secrets.token_bytes(32), algorithm="HS256")


def _approved(form: dict[str, str]) -> bool:
    return form["decision"] == "approve"


def _answer(token: str) -> dict[str, str]:
    return {"status": "success", "message": "Access token generated.", "App_access_token": token}
