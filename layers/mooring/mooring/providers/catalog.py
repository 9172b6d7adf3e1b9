"""The compiled settings and providers, read when they are first asked for.

Runs in every cold start: standard library and core only, and no file that is not needed.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.names import is_provider_id
from mooring.core.provider import Provider, provider_from_compiled


class ProjectSettings(NamedTuple):
    """The operator's settings: `link_keys` maps kid to a raw Ed25519 public key (32 bytes)."""

    return_to_origins: tuple[str, ...]
    link_keys: Mapping[str, bytes]
    origin_secret_hashes: tuple[str, ...]
    product: str
    support_url: str | None
    colour: str | None
    providers: Mapping[str, str]


class Catalog:
    """What `mooring.providers.compiler` wrote into one folder.

    Args:
        folder: path of the folder with `settings.json` and `providers/`.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._settings: ProjectSettings | None = None
        self._providers: dict[str, Provider] = {}

    def settings(self) -> ProjectSettings:
        """The project's settings, read once.

        Raises:
            Failure: INTERNAL when nothing was compiled into the folder.
        """
        if self._settings is None:
            self._settings = _settings(self._read("settings"))
        return self._settings

    def get(self, provider_id: str) -> Provider:
        """One enabled provider, read once.

        No file name is ever made from input: an id that is not among the enabled ones stops here.

        Raises:
            Failure: PROVIDER_UNKNOWN; INTERNAL when the compiled file is missing or broken.
        """
        known = self._providers.get(provider_id)
        if known is not None:
            return known
        if not is_provider_id(provider_id) or provider_id not in self.settings().providers:
            raise Failure(Reason.PROVIDER_UNKNOWN)
        provider = provider_from_compiled(self._read(f"providers/{provider_id}"))
        self._providers[provider_id] = provider
        return provider

    def _read(self, name: str) -> Any:
        try:
            with open(f"{self._folder}/{name}.json", "rb") as file:  # noqa: PTH123 - pathlib costs start-up time
                return json.loads(file.read())
        except (OSError, ValueError):
            raise Failure(
                Reason.INTERNAL, f"compiled {name}.json is missing or broken: build again"
            ) from None


def _settings(data: Mapping[str, Any]) -> ProjectSettings:
    branding = data["branding"]
    return ProjectSettings(
        return_to_origins=tuple(data["return_to_origins"]),
        link_keys={kid: urlsafe_b64decode(f"{key}=") for kid, key in data["link_keys"].items()},
        origin_secret_hashes=tuple(data["origin_secret_hashes"]),
        product=branding["product"],
        support_url=branding["support_url"],
        colour=branding["colour"],
        providers=data["providers"],
    )
