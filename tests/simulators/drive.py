"""Driving a simulated provider over HTTP, as Mooring and a merchant's browser would."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import requests

from local.simulators import Simulator

CLIENT_ID = "4USNMF8/9HCNTN6"
CLIENT_SECRET = "the-client-secret"
REDIRECT_URI = "http://127.0.0.1:8000/callback/somebody"
STATE = "st/ate+=&"

Fields = dict[str, str]


class Spec(NamedTuple):
    """How one provider is talked to correctly. `consent` is what its form sends besides `decision`."""

    authorize_path: str
    authorize: Fields
    consent_path: str
    consent: Fields
    token_path: str
    encoding: str
    token: Fields
    code_name: str
    api_path: str
    echoes_state: bool = True


_NV = {"app_client_id": CLIENT_ID, "app_redirect_uri": REDIRECT_URI}
_XENO = {
    "client_id": CLIENT_ID,
    "scope": "widgets faqs contacts conversations",
    "redirect_uri": REDIRECT_URI,
    "state": STATE,
}
_WC = {
    "response_type": "code",
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "scope": "read_leads",
    "state": STATE,
}
_CLIENT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": REDIRECT_URI}
_GRANT = {"grant_type": "authorization_code"}

SPECS: dict[str, Spec] = {
    "notifyvisitors": Spec(
        authorize_path="/api/oauth/authorize",
        authorize=_NV,
        consent_path="/api/oauth/authorize",
        consent=_NV,
        token_path="/api/oauth/access_token",
        encoding="form",
        token={"app_client_secret": CLIENT_SECRET},
        code_name="auth_code",
        api_path="/api/v1/campaigns",
        echoes_state=False,
    ),
    "yotpo": Spec(
        authorize_path="/app/",
        authorize={},
        consent_path="/app/",
        consent={"application_id": CLIENT_ID, "state": STATE},
        token_path="/v2/oauth2/token",
        encoding="json",
        token=_CLIENT | _GRANT,
        code_name="code",
        api_path="/v2/nobody/info",
    ),
    "xeno": Spec(
        authorize_path="/oauth/authorize",
        authorize=_XENO,
        consent_path="/oauth/authorize",
        consent=_XENO | {"granted": "widgets"},
        token_path="/oauth/token",
        encoding="form",
        token=_CLIENT,
        code_name="code",
        api_path="/api/me",
    ),
    "whatconverts": Spec(
        authorize_path="/oauth/authorize",
        authorize=_WC,
        consent_path="/oauth/authorize",
        consent=_WC,
        token_path="/oauth/token",
        encoding="json",
        token=_CLIENT | _GRANT,
        code_name="code",
        api_path="/api/v1/leads",
    ),
}


class Clock:
    """A clock that tests move by hand; `now` is in epoch seconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Driver:
    """Talks to one running simulator."""

    def __init__(self, provider: str, simulator: Simulator, clock: Clock) -> None:
        self.provider = provider
        self.spec = SPECS[provider]
        self.simulator = simulator
        self.base_url = simulator.base_url
        self.clock = clock

    def get(self, path: str, params: Any = None, **headers: str) -> requests.Response:
        """GET without following redirects."""
        url = self.base_url + path
        return requests.get(url, params=params, headers=headers, timeout=10, allow_redirects=False)

    def post(self, path: str, body: Any, encoding: str = "form", **headers: str) -> requests.Response:
        """POST a form or JSON without following redirects."""
        sent = {"json": body} if encoding == "json" else {"data": body}
        url = self.base_url + path
        return requests.post(url, headers=headers, timeout=10, allow_redirects=False, **sent)

    def authorize(self, params: Any = None) -> requests.Response:
        """The browser's first request."""
        return self.get(self.spec.authorize_path, self.spec.authorize if params is None else params)

    def decide(self, decision: str = "approve", **changes: Any) -> requests.Response:
        """Send the consent form; a change to None leaves the field out."""
        form = self.spec.consent | {"decision": decision} | changes
        sent = {name: value for name, value in form.items() if value is not None}
        return self.post(self.spec.consent_path, sent)

    def code(self, **changes: Any) -> str:
        """Approve and return the code."""
        return landing(self.decide(**changes))["code"]

    def token_body(self, code: str) -> Fields:
        """The correct token call for this code."""
        return self.spec.token | {self.spec.code_name: code}

    def token(self, body: Any, encoding: str | None = None, **headers: str) -> requests.Response:
        """A token call."""
        return self.post(self.spec.token_path, body, encoding or self.spec.encoding, **headers)

    def connect(self, **changes: Any) -> dict[str, Any]:
        """The whole story; returns the token answer."""
        answer: dict[str, Any] = self.token(self.token_body(self.code(**changes))).json()
        return answer

    def refused(self, answer: requests.Response) -> bool:
        """Whether a token call was refused as this provider refuses."""
        if self.provider == "notifyvisitors":
            return answer.status_code == 200 and answer.json()["status"] == "error"
        return answer.status_code in {400, 401} and bool(answer.json()["error"])

    def calls(self) -> list[dict[str, Any]]:
        """What the simulator says it saw."""
        seen: list[dict[str, Any]] = self.get("/_sim/calls").json()
        return seen

    def last_call(self) -> tuple[str, str]:
        """Endpoint and outcome of the latest call."""
        call = self.calls()[-1]
        return call["endpoint"], call["outcome"]

    def live_tokens(self) -> list[dict[str, Any]]:
        """The tokens that are alive."""
        tokens: list[dict[str, Any]] = self.get("/_sim/tokens").json()
        return tokens

    def misbehave(self, endpoint: str, mode: str, times: int = 1) -> None:
        """Plan a misbehaviour."""
        wish = {"endpoint": endpoint, "mode": mode, "times": times}
        assert self.post("/_sim/misbehave", wish, "json").status_code == 200


Start = Callable[..., Driver]
"""Starts a simulator: `start(provider, **config)`."""


def landing(answer: requests.Response) -> Fields:
    """Query parameters of the redirect that ends a consent."""
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query, strict_parsing=True))


def without(fields: Mapping[str, str], name: str) -> Fields:
    """The fields without one of them."""
    return {key: value for key, value in fields.items() if key != name}
