"""Where the project's settings lie, and reading them as `make build` or as `make run` would."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import mooring.providers
from mooring.core.provider import Provider
from mooring.providers.compiled import provider
from mooring.providers.compiler import LocalCompile, load_project
from mooring.providers.problems import ConfigurationError
from mooring.providers.yamlfile import read_yaml
from mooring_cli.errors import CommandError

CONFIG = "mooring.yaml"


class Enabled(NamedTuple):
    """The ids of the providers that a settings file enables, and that file as people know it."""

    ids: frozenset[str]
    file: str


class Place(NamedTuple):
    """The operator's file, the catalog, and how to compile them (None: for production)."""

    config: Path
    catalog: Path
    local: LocalCompile | None


def find_project(options: argparse.Namespace, start: Path) -> Place:
    """Where to read from.

    MOORING_PROVIDERS_DIR and MOORING_CONFIG, which exist only locally, imply `--local`.

    Raises:
        CommandError: when there is no settings file.
    """
    config = options.config or _upward(start)
    return Place(config, options.catalog or _catalog(), _local(options.local))


def enabled_providers(start: Path) -> Enabled | None:
    """What the project here or in a folder above enables; None without a project, or with a broken one."""
    try:
        found = read_yaml(_upward(start))
    except (CommandError, ConfigurationError):
        return None
    providers = found.data.get("providers")
    return Enabled(frozenset(providers), found.file) if isinstance(providers, dict) else None


def known_providers(start: Path) -> Mapping[str, Provider]:
    """What the project here or in a folder above says of its providers; nothing if `check` refuses it."""
    try:
        project = load_project(config=_upward(start), catalog=_catalog())
    except (CommandError, ConfigurationError):
        return {}
    enabled = project.config.providers
    return {name: provider(project.descriptors[name], settings) for name, settings in enabled.items()}


def _catalog() -> Path:
    return Path(mooring.providers.__path__[0]) / "catalog"


def _upward(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            return folder / CONFIG
    raise CommandError(
        f"There is no {CONFIG} here or in a folder above. Go to the project, or name it with --config"
    )


def _local(wanted: bool) -> LocalCompile | None:
    extra, overlay = (os.environ.get(name) for name in ("MOORING_PROVIDERS_DIR", "MOORING_CONFIG"))
    if not (wanted or extra or overlay):
        return None
    return LocalCompile(
        extra_catalog=Path(extra) if extra else None, config_overlay=Path(overlay) if overlay else None
    )
