"""The three simulated providers of a soak, and what each of them remembers of its calls."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from flask import request

from local.simulators import Simulator, SimulatorConfig
from local.simulators.refreshing import Issued
from local.simulators.site import Answer
from local.simulators.strict import Refused
from tests.e2e.fifth.site import Quayside
from tests.faults.proxy import FaultProxy
from tests.soak.plan import CALM_SECONDS, TOKEN_SECONDS, Kind

CLIENT_ID = "soak-client-1"
SCOPE = "orders"
TOKEN_PATH, API_PATH = Quayside.paths.token, Quayside.paths.api
_DESCRIPTOR = """\
id: {kind.id}
name: Soak ({kind.title})
sources:
  - title: RFC 6749
    url: https://www.rfc-editor.org/rfc/rfc6749
    read: 2026-11-22
scopes:
  available: [orders, stock]
  default: [orders]
authorize:
  url: {base_url}{authorize}
token:
  url: {base_url}{token}
response:
  refresh_token: refresh_token
  account: shop.id
refresh:
  rotation: {rotation}
{grace}
api:
  base: {base_url}/api/
"""


class TokenCall(NamedTuple):
    """One refresh at a provider: from its arrival to its answer (monotonic seconds), and what came of it."""

    account: str
    began: float
    ended: float
    outcome: str


class Ledger:
    """Everything that one provider ever issued, to whom, and every token call; safe for many threads."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        """Every token, access and refresh."""
        self._owners: dict[str, str] = {}
        self._calls: list[TokenCall] = []
        self._lock = threading.Lock()

    def issued(self, issued: Issued) -> None:
        """Remember what was issued."""
        with self._lock:
            self.texts.add(issued.access_token)
            if issued.refresh_token:
                self.texts.add(issued.refresh_token)
                self._owners[issued.refresh_token] = issued.account

    def owner(self, refresh_token: str) -> str:
        """The account that a refresh token was ever issued to, or nothing."""
        with self._lock:
            return self._owners.get(refresh_token, "")

    def note(self, call: TokenCall) -> None:
        """Remember a call."""
        with self._lock:
            self._calls.append(call)

    @property
    def calls(self) -> list[TokenCall]:
        """Every call so far."""
        with self._lock:
            return list(self._calls)


def overlapping(calls: Iterable[TokenCall]) -> list[tuple[TokenCall, TokenCall]]:
    """Pairs of calls for one account of which the second began before the first was answered."""
    found = []
    under_way: dict[str, TokenCall] = {}
    for call in sorted(calls, key=lambda call: call.began):
        earlier = under_way.get(call.account)
        if earlier is not None and call.began < earlier.ended:
            found.append((earlier, call))
        if earlier is None or call.ended > earlier.ended:
            under_way[call.account] = call
    return found


def outcomes(calls: Iterable[TokenCall]) -> Counter[str]:
    """How often which came out."""
    return Counter(call.outcome for call in calls)


class SoakSite(Quayside):
    """An authorization server that may take its time, and keeps a ledger.

    Args:
        kind: what it does with refresh tokens.
        config: how Mooring is registered.
        slow: says for how many seconds the present call is held back, when its work is done.
    """

    def __init__(self, kind: Kind, config: SimulatorConfig, slow: Callable[[], float]) -> None:
        self.back = 0.0
        """What is issued now was issued so many seconds ago; for seeding."""
        self.ledger = Ledger()
        self._slow = slow
        super().__init__(config, secrets.token_hex(12), "hex", lambda: time.time() - self.back)
        self.behaviour = self.behaviour.changed({"grace_seconds": kind.grace_seconds}, self.settable)

    def calm(self) -> None:
        """Issue tokens that live for an hour from now on."""
        self.behaviour = self.behaviour.changed({"access_token_seconds": CALM_SECONDS}, self.settable)

    def token(self) -> Answer:
        """Exchange a refresh token, and remember it."""
        began, account = time.monotonic(), self.ledger.owner(request.form.get("refresh_token", ""))
        outcome = "failed"
        try:
            outcome, response = super().token()
            self.trouble.stopping.wait(self._slow())
        except Refused as refused:
            outcome = refused.outcome
            raise
        finally:
            self.ledger.note(TokenCall(account, began, time.monotonic(), outcome))
        return outcome, response

    def issue(self, account: str, scope: str | None) -> Issued:
        """The first token set."""
        return self._noted(super().issue(account, scope))

    def renew(self, refresh_token: str) -> Issued:
        """The next token set."""
        return self._noted(super().renew(refresh_token))

    def _noted(self, issued: Issued) -> Issued:
        self.ledger.issued(issued)
        return issued


class SoakProvider:
    """One of the three, running on a socket of its own behind a proxy of its own.

    Args:
        kind: which.
        mooring_url: our base URL.
        slow: see `SoakSite`.
    """

    def __init__(self, kind: Kind, mooring_url: str, slow: Callable[[], float]) -> None:
        self.kind = kind
        self.secret = f"canary-{kind.id}-{secrets.token_hex(12)}"
        config = SimulatorConfig(
            client_id=CLIENT_ID,
            client_secret=self.secret,
            redirect_uri=f"{mooring_url}/callback/{kind.id}",
            access_token_seconds=TOKEN_SECONDS,
            rotate_refresh_tokens=kind.rotates,
        )
        self.site = SoakSite(kind, config, slow)
        self._simulator = Simulator(self.site)
        self.proxy = FaultProxy(self._simulator.base_url)
        self.api_url = f"{self._simulator.base_url}{API_PATH}"
        """Where services use their tokens; no fault stands in between."""

    def descriptor(self) -> str:
        """Its description, with the proxy's address for its own."""
        grace = f"  grace_seconds: {self.kind.grace_seconds}" if self.kind.grace_seconds else ""
        return _DESCRIPTOR.format(
            kind=self.kind,
            base_url=self.proxy.url,
            authorize=Quayside.paths.authorize,
            token=TOKEN_PATH,
            rotation="always" if self.kind.rotates else "never",
            grace=grace,
        )

    def current_refresh_tokens(self) -> dict[str, str]:
        """The refresh token of each account that is not merely kept alive by a grace."""
        shown = self.site.grants.refreshable(self.site.behaviour.rules)
        return {str(one["account"]): str(one["refresh_token"]) for one in shown if one["until"] is None}

    def accepts(self, access_token: str) -> bool:
        """Whether its API would take an access token."""
        return self.site.grants.find(access_token) is not None

    def stop(self) -> None:
        """Stop its server and its proxy."""
        self.proxy.stop()
        self._simulator.stop()
