"""The fifth provider, running: its server on a socket, its descriptor, its secrets, its events."""

import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from local.simulators import Simulator, SimulatorConfig
from local.simulators.grants import Clock
from tests.e2e.fifth.events import PROVIDER, Encoding, Event, body_of, send, signed
from tests.e2e.fifth.site import Quayside

CLIENT_ID = "quayside-client-1"
_DESCRIPTOR = Path(__file__).with_name("quayside.yaml")


class FifthProvider:
    """Quayside, in this process, on a free port of 127.0.0.1.

    Its test controls under /_sim/ are those of every simulated provider.

    Args:
        mooring_url: our base URL: where merchants return to and events are sent.
        encoding: how signatures are written.
        access_token_seconds: life of an access token.
        clock: returns epoch seconds.
    """

    def __init__(
        self,
        mooring_url: str,
        *,
        encoding: Encoding = "hex",
        access_token_seconds: int = 3600,
        clock: Clock = time.time,
    ) -> None:
        self.mooring_url = mooring_url
        self.encoding: Encoding = encoding
        self.secrets = {
            "client_secret": f"canary-{PROVIDER}-{secrets.token_hex(12)}",
            "webhook_secret": f"canary-{PROVIDER}-webhook-{secrets.token_hex(12)}",
        }
        self.former_secrets: list[str] = []
        config = SimulatorConfig(
            client_id=CLIENT_ID,
            client_secret=self.secrets["client_secret"],
            redirect_uri=f"{mooring_url}/callback/{PROVIDER}",
            access_token_seconds=access_token_seconds,
            rotate_refresh_tokens=True,
            deliver_to=mooring_url,
        )
        self.site = Quayside(config, self.secrets["webhook_secret"], encoding, clock)
        self._simulator = Simulator(self.site)
        self.base_url = self._simulator.base_url

    def descriptor(self) -> str:
        """The whole description, as an operator would write it."""
        text = _DESCRIPTOR.read_text()
        return text.replace("{base_url}", self.base_url).replace("{proof}", f"hmac_sha256_{self.encoding}")

    def take_client_secret(self, secret: str) -> None:
        """Take no other client secret than this one from now on."""
        self.former_secrets.append(self.secrets["client_secret"])
        self.secrets["client_secret"] = secret
        self.site.config = replace(self.site.config, client_secret=secret)

    def choose(self, shop: str) -> None:
        """Let the consent page have this shop filled in from now on."""
        self.site.shop = shop

    def event(
        self,
        shop: str,
        *,
        at: object = None,
        event_id: str | None = None,
        secret: str | None = None,
        **changes: Any,
    ) -> Event:
        """An uninstall event; genuine unless told otherwise.

        Args:
            shop: the account.
            at: its time in epoch seconds; now by default.
            event_id: a fresh one by default.
            secret: another one than the provider's.
            changes: see `body_of`.
        """
        return self.signed(body_of(shop, at, **changes), event_id=event_id, secret=secret)

    def signed(self, body: bytes, *, event_id: str | None = None, secret: str | None = None) -> Event:
        """An event of arbitrary bytes, signed as the provider would."""
        key = secret or self.secrets["webhook_secret"]
        return signed(body, key, event_id=event_id, encoding=self.encoding)

    def send(self, event: Event) -> int:
        """Post an event to Mooring once; the answer's status."""
        return send(self.mooring_url, event).status_code

    def stop(self) -> None:
        """Stop its server, and events on their way."""
        self._simulator.stop()
