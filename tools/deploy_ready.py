"""Whether mooring.yaml is the operator's own yet: with the samples, every merchant would be turned away."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from mooring.providers.compiler import ConfigurationError, Project, load_project

SETTINGS = "mooring.yaml"
CATALOG = "layers/mooring/mooring/providers/catalog"
_RESERVED = ("example.com", "example.net", "example.org")


class NotReadyError(Exception):
    """Something has to be done before anything is deployed; the message says what, one line each."""


def ready_project(root: Path) -> Project:
    """The settings of the project in `root`, by the rules of production.

    Raises:
        NotReadyError: they are wrong, or still the samples.
    """
    try:
        project = load_project(config=root / SETTINGS, catalog=root / CATALOG, local=None)
    except ConfigurationError as error:
        raise NotReadyError("\n".join(str(problem) for problem in error.problems)) from None
    found = list(_left_to_do(project))
    if found:
        raise NotReadyError("\n".join(f"{SETTINGS}: {line}" for line in found))
    return project


def _left_to_do(project: Project) -> Iterator[str]:
    config = project.config
    for provider, enabled in config.providers.items():
        if enabled.client_id == project.descriptors[provider].sample_client_id:
            yield (
                f"providers.{provider}.client_id is still the sample: put in the one that the provider gave "
                f"you, or take the provider out"
            )
    if not config.providers:
        yield "no provider is enabled: enable one under providers"
    if not config.link_keys:
        yield (
            "link_keys is empty, so every link would be refused: put in the public key of your backend "
            "(docs/quickstart.md says how to make a pair)"
        )
    if not config.return_to_origins:
        yield "return_to_origins is empty, so every link would be refused: put in your product's origin"
    for origin in config.return_to_origins:
        if _is_reserved(origin):
            yield f"return_to_origins has {origin}, which is nobody's: put in your product's origin"


def _is_reserved(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    return any(host == name or host.endswith(f".{name}") for name in _RESERVED)
