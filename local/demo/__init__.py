"""Brightcart, a made-up product that uses Mooring: what a newcomer sees first, and an example to copy.

It signs links (`links`), lists and ends connections (`listing`), hears what becomes of them (`events`) and
shows all on one page. It never asks for a token. It has no login: whoever opens it acts as the merchant
that the page names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.demo.app import create_app
from local.demo.events import Inbox, Receive
from local.demo.links import LinkSigner
from local.demo.listing import ConnectionsApi
from local.simulators.server import LoopbackServer

__all__ = ["Demo", "DemoConfig", "start_demo"]


@dataclass(frozen=True)
class DemoConfig:
    """What the demo product has to know.

    Args:
        base_url: Mooring's base URL, without a slash at the end.
        link_key_path: PEM file (PKCS8) with the Ed25519 key that signs links; read at each signing.
        kid: the key's id in Mooring's settings.
        region: AWS region that its calls are signed for.
        credentials: access key id and secret access key that sign its calls.
        providers: (id, name) of each provider to offer, in order.
        merchant: the merchant that the page shows unless `?merchant=` names another.
        port: TCP port on 127.0.0.1; 0 takes a free one.
    """

    base_url: str
    link_key_path: Path | str
    kid: str
    region: str
    credentials: tuple[str, str] = field(repr=False)
    providers: Sequence[tuple[str, str]]
    merchant: str = "m-1"
    port: int = 0


class Demo:
    """The running demo product; `url` is its origin, without a slash at the end."""

    def __init__(self, server: LoopbackServer, inbox: Inbox) -> None:
        self._server = server
        self._inbox = inbox
        self.url = server.url

    def listen(self, receive: Receive) -> None:
        """Show the events that `receive` gives; until then the page shows none."""
        self._inbox.listen(receive)

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.stop()


def start_demo(config: DemoConfig) -> Demo:
    """Start the demo product on 127.0.0.1.

    Raises:
        OSError: the port is taken.
    """
    signer = LinkSigner(config.base_url, Path(config.link_key_path), config.kid)
    connections = ConnectionsApi(config.base_url, config.region, config.credentials)
    inbox = Inbox()
    app = create_app(config.merchant, config.providers, signer, connections, inbox)
    return Demo(LoopbackServer(app, config.port), inbox)
