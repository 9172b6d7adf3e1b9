"""The four seed providers, simulated: real HTTP servers on 127.0.0.1, strict, with consent pages.

They check our side of each protocol. What a provider does not document (error bodies above all) is
a guess here, and each module says so; a green run proves nothing about the real provider there.
"""

import time
from pathlib import Path

from flask import Flask, Response, abort, request
from jinja2 import FileSystemLoader

from local.simulators.admin import mount_admin
from local.simulators.controls import mount_controls
from local.simulators.grants import Clock
from local.simulators.notifyvisitors import NotifyVisitors
from local.simulators.server import LoopbackServer
from local.simulators.site import SimulatorConfig, Site
from local.simulators.whatconverts import WhatConverts
from local.simulators.xeno import Xeno
from local.simulators.yotpo import Yotpo

__all__ = ["KNOWN", "Simulator", "SimulatorConfig", "start_simulator"]

_SITES: dict[str, type[Site]] = {site.id: site for site in (NotifyVisitors, Yotpo, Xeno, WhatConverts)}

KNOWN = frozenset(_SITES)
"""Ids of the providers that can be simulated."""

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_BODY_BYTES = 64_000


class Simulator:
    """A running simulated provider; `base_url` is its origin.

    Args:
        site: the provider.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._server = LoopbackServer(_app(site))
        self.base_url = self._server.url

    def stop(self) -> None:
        """Stop the server, every answer that is still dripping, and every notice on its way."""
        self._site.trouble.stopping.set()
        self._site.notices.stop()
        self._server.stop()


def start_simulator(provider_id: str, config: SimulatorConfig, *, clock: Clock = time.time) -> Simulator:
    """Start one simulated provider on a free port of 127.0.0.1.

    Args:
        provider_id: one of `KNOWN`.
        config: how Mooring is registered there.
        clock: returns epoch seconds; tests put their own in.

    Raises:
        ValueError: no such simulated provider.
    """
    if provider_id not in _SITES:
        raise ValueError(f"no simulated provider {provider_id!r}; there are: {', '.join(sorted(KNOWN))}")
    return Simulator(_SITES[provider_id](config, clock))


def _app(site: Site) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.jinja_loader = FileSystemLoader([site.templates, _TEMPLATES])
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    app.before_request(_loopback_names_only)
    app.after_request(_no_store)
    site.mount(app)
    mount_admin(app, site)
    mount_controls(app, site)
    return app


def _loopback_names_only() -> None:
    # A page elsewhere could otherwise point its own host name at 127.0.0.1 and read tokens here.
    if request.host.partition(":")[0] not in {"127.0.0.1", "localhost"}:
        abort(421)


def _no_store(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    return response
