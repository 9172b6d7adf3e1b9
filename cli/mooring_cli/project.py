"""Where the project's settings lie, and reading them as `make build` or as `make run` would."""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import mooring.providers
from mooring.providers.compiler import LocalCompile
from mooring_cli.errors import CommandError

CONFIG = "mooring.yaml"


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
    catalog = options.catalog or Path(mooring.providers.__path__[0]) / "catalog"
    return Place(config, catalog, _local(options.local))


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
