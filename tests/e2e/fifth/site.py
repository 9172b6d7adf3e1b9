"""The fifth provider's authorization server: refresh tokens that rotate, revocation, signed events."""

from pathlib import Path
from typing import ClassVar

from flask import Response, request

from local.simulators.behaviour import REVOKING
from local.simulators.grants import Clock, Grant
from local.simulators.misbehave import Sample
from local.simulators.notices import Notice
from local.simulators.refreshing import Issued, RefreshingSite
from local.simulators.site import Answer, Look, Paths, SimulatorConfig, ok
from local.simulators.strict import FORM, Pairs, Refused, bearer, body_pairs, exact, query_pairs
from tests.e2e.fifth.events import EVENT_ID, PROVIDER, Encoding, body_of, signed

SCOPES = frozenset({"orders", "stock"})
_REQUEST = ("response_type", "client_id", "redirect_uri", "scope", "state")
_CLIENT = ("grant_type", "client_id", "client_secret")


class Quayside(RefreshingSite):
    """Any name can be a shop: the consent form has one filled in, and takes another.

    Args:
        config: how Mooring is registered.
        webhook_secret: what events are signed with.
        encoding: how a signature is written.
        clock: returns epoch seconds.
    """

    id: ClassVar[str] = PROVIDER
    name: ClassVar[str] = "Quayside"
    paths: ClassVar[Paths] = Paths(
        "/oauth/authorize", "/oauth/authorize", "/oauth/token", "/api/shop", "/oauth/revoke"
    )
    look: ClassVar[Look] = Look("#0e7490", "#f1f7f9", "Remove app", "Shops")
    settable: ClassVar[frozenset[str]] = REVOKING
    templates: ClassVar[Path] = Path(__file__).parent / "templates"

    def __init__(
        self, config: SimulatorConfig, webhook_secret: str, encoding: Encoding, clock: Clock
    ) -> None:
        super().__init__(config, clock)
        self._webhook_secret = webhook_secret
        self._encoding = encoding
        self.shop = "shop-1"

    def authorize(self) -> Answer:
        """Ask for consent."""
        asked = exact(query_pairs(request), _REQUEST)
        self._check(asked)
        return "shown", self.page("quayside.html", asked=asked, shop=self.shop, action=self.paths.consent)

    def consent(self) -> Answer:
        """Back to the redirect URI with `code` and `state`."""
        form = self.consent_form(_REQUEST, ("shop",))
        self._check(form)
        uri, code = form["redirect_uri"], ""
        if form["decision"] == "approve":
            code = self.grants.issue_code(Grant(form.get("shop") or self.shop, form["scope"], uri))
        return self.send_back(form["decision"], uri, {"code": code}, form["state"])

    def token(self) -> Answer:
        """Exchange a code, or a refresh token."""
        pairs = body_pairs(request, FORM)
        grant_type = dict(pairs).get("grant_type")
        if grant_type == "authorization_code":
            return "issued", ok(_answer(self._exchange(pairs)))
        if grant_type == "refresh_token":
            body = exact(pairs, (*_CLIENT, "refresh_token"))
            self.check_secret(body["client_secret"], body["client_id"])
            return "refreshed", ok(_answer(self.renew(body["refresh_token"])))
        raise Refused("unsupported_grant_type", "authorization_code or refresh_token")

    def api(self) -> Answer:
        """Whose token it is, while it lives."""
        token = self.grants.find(bearer(request))
        if token is None:
            raise Refused("unauthorized", "unknown or expired access token")
        return "ok", ok({"shop": {"id": token.account}})

    def revoke(self) -> Answer:
        """End what a token stands for; 200 with nothing in it also for one that is none (RFC 7009 2.2)."""
        body = exact(body_pairs(request, FORM), ("client_id", "client_secret", "token"), ("token_type_hint",))
        self.check_secret(body["client_secret"], body["client_id"])
        self.end_by(body["token"])
        return "revoked", Response("", 200)

    def sample(self, endpoint: str) -> Sample:
        """See `Site.sample`."""
        error = {"error": "invalid_grant"}
        if endpoint == "token":
            issued = Issued("simulated", self.shop, "orders", "simulated-refresh", 3600)
            return Sample(_answer(issued), ("access_token",), error)
        if endpoint == "revoke":
            return Sample({"revoked": True}, ("revoked",), {"error": "server_error"})
        return Sample({"shop": {"id": self.shop}}, ("shop", "id"), error)

    def notice(self, account: str) -> Notice:
        """A signed event of now."""
        event = signed(body_of(account, int(self.clock())), self._webhook_secret, encoding=self._encoding)
        return Notice(event.headers[EVENT_ID], account, event.headers, event.body)

    def _check(self, asked: dict[str, str]) -> None:
        self.check_client(asked["client_id"], asked["redirect_uri"])
        if asked["response_type"] != "code":
            raise Refused("unsupported_response_type", "The response type is code.")
        if not set(asked["scope"].split(" ")) <= SCOPES:
            raise Refused("invalid_scope", "There is no such scope.")

    def _exchange(self, pairs: Pairs) -> Issued:
        body = exact(pairs, (*_CLIENT, "code", "redirect_uri"))
        self.check_secret(body["client_secret"], body["client_id"])
        grant = self.redeem(body["code"], body["redirect_uri"])
        return self.issue(grant.account, grant.scope)


def _answer(issued: Issued) -> dict[str, object]:
    named = {"refresh_token": issued.refresh_token} if issued.refresh_token else {}
    return {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.seconds,
        "scope": issued.scope,
        "shop": {"id": issued.account},
        **named,
    }
