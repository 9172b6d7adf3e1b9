"""Small settings files for the tests of this room."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from mooring.providers.compiler import ConfigurationError, LocalCompile, Project, load_project

MINIMAL: dict[str, Any] = {
    "id": "acme",
    "name": "Acme",
    "sources": [{"title": "OAuth at Acme", "url": "https://docs.acme.example/oauth", "read": "2026-11-22"}],
    "authorize": {"url": "https://acme.example/oauth/authorize"},
    "token": {"url": "https://api.acme.example/oauth/token"},
}
"""A descriptor that says no more than it must."""

CONFIG: dict[str, Any] = {
    "branding": {"product": "Brightcart"},
    "return_to_origins": ["https://app.brightcart.example"],
    "link_keys": [{"kid": "k-1", "public_key": "A" * 43}],
    "providers": {"acme": {"client_id": "acme-client"}},
}


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` at dotted names; a change to `...` removes what stands there."""
    result: dict[str, Any] = deepcopy(dict(base))
    for path, value in changes.items():
        *parents, name = path.split(".")
        part = result
        for parent in parents:
            part = part.setdefault(parent, {})
        if value is ...:
            del part[name]
        else:
            part[name] = value
    return result


class Settings:
    """A project in a folder: `mooring.yaml`, and a catalog with one descriptor, `acme`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "mooring.yaml"
        self.catalog = folder / "catalog"
        self.catalog.mkdir()
        self.write_config({})
        self.write_descriptor({})

    def write_config(self, changes: Mapping[str, Any]) -> None:
        """Write `mooring.yaml`."""
        self.config.write_text(yaml.safe_dump(changed(CONFIG, changes), sort_keys=False))

    def write_descriptor(self, changes: Mapping[str, Any], name: str = "acme") -> None:
        """Write `catalog/<name>.yaml`."""
        path = self.catalog / f"{name}.yaml"
        path.write_text(yaml.safe_dump(changed({**MINIMAL, "id": name}, changes), sort_keys=False))

    def load(self, local: LocalCompile | None = None) -> Project:
        """Load it all."""
        return load_project(config=self.config, catalog=self.catalog, local=local)

    def problems(self, local: LocalCompile | None = None) -> dict[str, str]:
        """What is wrong, by path; empty when nothing is."""
        try:
            self.load(local)
        except ConfigurationError as error:
            return {problem.path: problem.text for problem in error.problems}
        return {}
