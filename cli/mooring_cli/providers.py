"""`mooring providers`: what each descriptor says, as a table, or one of them in full."""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mooring.providers.compiled import provider
from mooring.providers.compiler import ConfigurationError, Project, load_project
from mooring.providers.project import Enabled
from mooring_cli.describe import facts
from mooring_cli.errors import CommandError
from mooring_cli.output import show_json, show_table
from mooring_cli.project import find_project

_COLUMNS = ("provider", "enabled", "token life", "refresh", "also", "unverified")
"""As much as fits into 100 columns; one provider alone is shown in full."""
_ROTATION = {"always": "rotates", "sometimes": "may rotate", "never": "same token"}


def run(options: argparse.Namespace) -> None:
    """Print all providers, or the one that was asked for. Raises CommandError."""
    place = find_project(options, Path.cwd())
    try:
        project = load_project(config=place.config, catalog=place.catalog, local=place.local)
    except ConfigurationError as error:
        raise CommandError("\n".join(f"error: {problem}" for problem in error.problems)) from None
    known = {name: _facts(project, name) for name in sorted(project.descriptors)}
    if options.provider is None:
        _show_all(known, options.json)
    elif options.provider in known:
        _show_one(known[options.provider], options.json)
    else:
        raise CommandError(f"There is no provider of that name. There are: {', '.join(known)}")


def _facts(project: Project, name: str) -> dict[str, Any]:
    descriptor = project.descriptors[name]
    enabled = project.config.providers.get(name)
    return facts(provider(descriptor, enabled or Enabled(client_id="-")), descriptor, enabled is not None)


def _show_all(known: Mapping[str, Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        show_json({"providers": list(known.values())})
    else:
        show_table(_COLUMNS, [_row(each) for each in known.values()])


def _show_one(each: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(each)
    else:
        show_table(("fact", "value"), list(_lines(each, "")))


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    refresh = each["refresh"]
    return (
        each["id"],
        "yes" if each["enabled"] else "no",
        re.sub(r"as \S+ says", "as told", each["lifetime"]),
        _ROTATION.get(refresh["rotation"], refresh["rotation"]) if refresh else "no",
        ", ".join(_also(each)) or "nothing",
        str(len(each["unverified"])),
    )


def _also(each: Mapping[str, Any]) -> list[str]:
    found = ["revoke"] if each["revoke"] else []
    if each["uninstall"]:
        # An event proves itself; a hint has to be asked about.
        found.append("uninstall hint" if each["uninstall"]["proof"] == "none" else "uninstall event")
    return [*found, "probe"] if each["probe"] else found


def _lines(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, entry in value.items():
        name = f"{prefix}{key}"
        if isinstance(entry, dict) and entry:
            yield from _lines(entry, f"{name} / ")
        elif isinstance(entry, list) and entry and isinstance(entry[0], dict):
            yield from ((name, f"{one['title']}: {one['at']}") for one in entry)
        else:
            yield name, _text(entry)


def _text(entry: Any) -> str:
    if isinstance(entry, bool):
        return "yes" if entry else "no"
    if isinstance(entry, list):
        return ", ".join(map(str, entry)) or "none"
    return "none" if entry is None or entry == {} else str(entry)
