"""What the simulated providers share: one request wrapper, consent form reading, pages, refusals.

A provider is a subclass of `Site` with four handlers. A handler returns an outcome word for the call
log together with the response, or raises `Refused`. What a merchant takes back there (`disconnect`) is
gone at once, and the provider tells us where it is one that does.
"""

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, jsonify, render_template, request

from local.simulators.behaviour import EVERY_SITE, Behaviour
from local.simulators.calls import CallLog
from local.simulators.grants import UNNAMED_ACCOUNT, Clock, CodeRefused, Grant, GrantStore
from local.simulators.misbehave import WORKING, Misbehaviour, Sample
from local.simulators.notices import Notice, NoticeSender
from local.simulators.strict import Refused, exact, form_pairs, is_foreign_form, seen_names

LOGIN = "olivia@brightcart.example"
"""The login that every consent page has filled in."""

Answer = tuple[str, Response]
"""Outcome word and response."""


@dataclass(frozen=True)
class SimulatorConfig:
    """How Mooring is registered at a simulated provider.

    Args:
        client_id: as registered.
        client_secret: as registered.
        redirect_uri: the one redirect URI that is registered.
        access_token_seconds: life of an access token, at the provider whose tokens expire.
        rotate_refresh_tokens: whether a refresh answers with a new refresh token and kills the old one.
        deliver_to: our base URL, where a provider that tells of uninstalls sends them; None: it cannot.
    """

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    access_token_seconds: int = 3600
    rotate_refresh_tokens: bool = False
    deliver_to: str | None = None


@dataclass(frozen=True)
class Look:
    """A provider's colours, its word for taking access back, and what it calls accounts."""

    accent: str
    page: str
    remove: str = "Take access back"
    accounts: str = "Accounts"


@dataclass(frozen=True)
class Paths:
    """URL rules of a provider: where consent is asked, where its form goes, token call, API call.

    `revoke` is that of its revocation endpoint (RFC 7009), where it has one.
    """

    authorize: str
    consent: str
    token: str
    api: str
    revoke: str | None = None


class Site(ABC):
    """One simulated provider.

    Args:
        config: the registration to check requests against.
        clock: returns epoch seconds.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    paths: ClassVar[Paths]
    look: ClassVar[Look]
    settable: ClassVar[frozenset[str]] = EVERY_SITE
    """Names of the options that have a meaning here."""
    templates: ClassVar[Path] = Path(__file__).parent / "templates"
    """Folder of its consent page; what is shared lies beside this file."""

    def __init__(self, config: SimulatorConfig, clock: Clock = time.time) -> None:
        self.config = config
        self.clock = clock
        self.grants = GrantStore(clock)
        self.calls = CallLog(clock)
        self.trouble = Misbehaviour()
        self.reset_behaviour()
        to = f"{config.deliver_to}/uninstall/{self.id}" if config.deliver_to else None
        self.notices = NoticeSender(to, clock)

    @abstractmethod
    def authorize(self) -> Answer:
        """Answer the browser's first request with the consent page."""

    @abstractmethod
    def consent(self) -> Answer:
        """Read the consent form and send the browser back."""

    @abstractmethod
    def token(self) -> Answer:
        """Answer a token call."""

    @abstractmethod
    def api(self) -> Answer:
        """Answer an API call; refuses with `unauthorized`."""

    def revoke(self) -> Answer:
        """Answer a call of the revocation endpoint; only where `paths` names one."""
        raise NotImplementedError

    @abstractmethod
    def sample(self, endpoint: str) -> Sample:
        """What misbehaviour of `token`, `api` or `revoke` distorts."""

    def accounts(self) -> dict[str, str]:
        """The accounts that its admin page lists, with what each is called there."""
        known = self.grants.accounts()
        return {account: "Your account" if account == UNNAMED_ACCOUNT else account for account in known}

    def notice(self, account: str) -> Notice | None:
        """What it sends us when this account takes access back; None where it says nothing."""
        del account
        return None

    def disconnect(self, account: str) -> Notice | None:
        """A merchant takes back what an account granted: tokens end now, the notice follows by itself."""
        self.grants.end(account)
        notice = self.notice(account)
        if notice is not None:
            self.notices.send(notice)
        return notice

    def reset_behaviour(self) -> None:
        """Behave again as it was started."""
        rotation = "always" if self.config.rotate_refresh_tokens else "never"
        self.behaviour = Behaviour(self.config.access_token_seconds, rotation)

    def token_refusal(self, refused: Refused) -> Response:
        """The answer to a refused token call; undocumented at the provider, so RFC 6749 5.2's shape."""
        body = {"error": refused.reason, "error_description": refused.message}
        return _with_status(jsonify(body), 401 if refused.reason == "invalid_client" else 400)

    def mount(self, app: Flask) -> None:
        """Add the provider's routes to the app."""
        rules: list[tuple[str, str, str, Callable[[], Answer]]] = [
            ("authorize", "GET", self.paths.authorize, self.authorize),
            ("consent", "POST", self.paths.consent, self.consent),
            ("token", "POST", self.paths.token, self.token),
            ("api", "GET", self.paths.api, self.api),
        ]
        if self.paths.revoke:
            rules.append(("revoke", "POST", self.paths.revoke, self.revoke))
        for endpoint, method, rule, handler in rules:
            app.add_url_rule(rule, endpoint, self.view(endpoint, handler), methods=[method])

    def view(self, endpoint: str, handler: Callable[[], Answer]) -> Callable[..., Response]:
        """A view of an endpoint's handler: misbehaves as planned, and leaves a line in the call log."""

        def view(**_: str) -> Response:
            began_at, mode = self.clock(), self.trouble.take(endpoint)
            if mode is not None and mode not in WORKING:
                outcome, response = mode, self.trouble.perform(mode, self.sample(endpoint))
            else:
                outcome, response = self._attempt(endpoint, handler)
            if mode in WORKING:
                response = self.trouble.distort(mode, response)
            self.calls.add(endpoint, request.method, outcome, seen_names(request), began_at)
            return response

        return view

    def _attempt(self, endpoint: str, handler: Callable[[], Answer]) -> Answer:
        slow = self.behaviour if endpoint == "token" else Behaviour()
        self.trouble.stopping.wait(slow.delay_before_seconds)
        try:
            answer = handler()
        except Refused as refused:
            answer = refused.outcome, self._refusal(endpoint, refused)
        self.trouble.stopping.wait(slow.delay_after_seconds)
        return answer

    def _refusal(self, endpoint: str, refused: Refused) -> Response:
        if endpoint in ("token", "revoke"):
            return self.token_refusal(refused)
        if endpoint == "api":
            body = {"error": refused.reason, "message": refused.message}
            return _with_status(jsonify(body), 401 if refused.reason == "unauthorized" else 400)
        return self.page("refused.html", 400, message=refused.message)

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """A page under a policy that lets nothing but its own style and script run, and fetch from here.

        `form-action` stays open on purpose: browsers apply it to redirects after a form as well.
        """
        nonce = secrets.token_urlsafe(16)
        html = render_template(template, nonce=nonce, site=self, login=LOGIN, **values)
        response = Response(html, status)
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response

    def consent_form(
        self, required: Iterable[str], optional: Iterable[str] = (), several: str | None = None
    ) -> dict[str, str]:
        """The consent form's values, `decision` included.

        Args:
            required: names that must have a value; `decision` always must.
            optional: names that may be there; `login` always may.
            several: a name that may come more than once; it is left out of the result.

        Raises:
            Refused: unexpected, missing or repeated fields, another decision, another site's form.
        """
        if is_foreign_form(request):
            raise Refused("foreign_form", "The form was sent from another site.")
        pairs = [pair for pair in form_pairs(request) if pair[0] != several]
        values = exact(pairs, {"decision", *required}, {"login", *optional})
        if values["decision"] not in {"approve", "deny"}:
            raise Refused("invalid_request", "decision is approve or deny")
        return values

    def check_client(self, client_id: str, redirect_uri: str | None = None) -> None:
        """Raise `Refused` unless client and (where given) redirect URI are the registered ones."""
        if client_id != self.config.client_id:
            raise Refused("unknown_client", "There is no application with this client id.")
        if redirect_uri is not None and redirect_uri != self.config.redirect_uri:
            raise Refused("redirect_mismatch", "The redirect URI is not the one registered.")

    def check_secret(self, client_secret: str, client_id: str | None = None) -> None:
        """Raise `Refused` with `invalid_client` unless the token call's credentials are ours."""
        known_id = client_id is None or client_id == self.config.client_id
        if not known_id or client_secret != self.config.client_secret:
            raise Refused("invalid_client", "unknown client or wrong secret")

    def redeem(self, code: str, redirect_uri: str | None) -> Grant:
        """Use a code up; raises `Refused` with `invalid_grant` where the store refuses it."""
        try:
            return self.grants.redeem(code, redirect_uri)
        except CodeRefused as refused:
            raise Refused("invalid_grant", str(refused)) from None

    def send_back(self, decision: str, uri: str, granted: Mapping[str, str], state: str | None) -> Answer:
        """302 to the redirect URI: with `granted` after approval, with `error=access_denied` otherwise.

        `state` is echoed unless it is None or empty.
        """
        approved = decision == "approve"
        echoed = {"state": state} if state else {}
        parameters = {**(granted if approved else {"error": "access_denied"}), **echoed}
        location = f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode(parameters)}"
        return ("approved" if approved else "denied"), Response("", 302, {"Location": location})


def ok(body: Mapping[str, Any]) -> Response:
    """A 200 with a JSON body."""
    return jsonify(dict(body))


def _with_status(response: Response, status: int) -> Response:
    response.status_code = status
    return response
