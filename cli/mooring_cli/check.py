"""`mooring check`: everything that is wrong or odd in the settings and in the descriptors."""

import argparse
from pathlib import Path

from mooring.providers.compiler import ConfigurationError, Project, load_project
from mooring_cli.errors import CommandError
from mooring_cli.output import say, show_json
from mooring_cli.project import Place, find_project


def run(options: argparse.Namespace) -> None:
    """Print warnings and a summary.

    Raises:
        CommandError: when something is wrong; its message has one line for each error.
    """
    place = find_project(options, Path.cwd())
    try:
        project = load_project(config=place.config, catalog=place.catalog, local=place.local)
    except ConfigurationError as error:
        if options.json:
            problems = [problem._asdict() for problem in error.problems]
            show_json({"ok": False, "rules": _rules(place), "errors": problems, "warnings": []})
        raise CommandError("\n".join(f"error: {problem}" for problem in error.problems)) from None
    warnings = [*project.warnings, *_unverified(project)]
    if options.json:
        show_json({"ok": True, "rules": _rules(place), "errors": [], "warnings": warnings})
        return
    for warning in warnings:
        say(f"warning: {warning}")
    enabled = ", ".join(project.config.providers) or "none"
    print(f"ok by the rules of {_rules(place)}: {len(project.descriptors)} descriptors; enabled: {enabled}")


def _rules(place: Place) -> str:
    return "production" if place.local is None else "this machine"


def _unverified(project: Project) -> list[str]:
    counts = {name: len(project.descriptors[name].unverified) for name in project.config.providers}
    return [
        f"{name}: unverified facts: {count}; try it with a real account and see: mooring providers {name}"
        for name, count in counts.items()
        if count
    ]
