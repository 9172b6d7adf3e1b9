"""Compiles `mooring.yaml` and the catalog of descriptors to the small JSON files that functions read.

Build time only: pydantic and PyYAML are imported here, and never by a function. Nothing here reads
the environment; a caller that wants a local compile says so with `LocalCompile`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mooring.providers.code_flow import Scopes
from mooring.providers.compiled import compiled
from mooring.providers.descriptor import Descriptor
from mooring.providers.explain import problems, unknown
from mooring.providers.problems import ConfigurationError, Problem
from mooring.providers.project import ProjectConfig, public_key
from mooring.providers.yamlfile import Document, merged, read_yaml, shown

__all__ = ["ConfigurationError", "LocalCompile", "Project", "compile_project", "load_project"]


@dataclass(frozen=True)
class LocalCompile:
    """What one machine's compile may do and a production compile may not.

    Args:
        simulators: provider id -> base URL (`http://127.0.0.1:9101`) that replaces every https
            origin of that provider's descriptor; the paths stay.
        extra_catalog: a folder with further descriptors; one with a known id replaces that one.
        config_overlay: a YAML file laid over `mooring.yaml`.
        link_keys: further link keys: kid -> base64url of the raw Ed25519 public key.
        return_to_origins: further origins that a link may lead back to.
    """

    simulators: Mapping[str, str] = field(default_factory=dict)
    extra_catalog: Path | None = None
    config_overlay: Path | None = None
    link_keys: Mapping[str, str] = field(default_factory=dict)
    return_to_origins: Sequence[str] = ()


@dataclass(frozen=True)
class Project:
    """The validated settings: the operator's file, every descriptor by id, and what seems odd in them."""

    config: ProjectConfig
    descriptors: Mapping[str, Descriptor]
    warnings: tuple[str, ...]


def load_project(*, config: Path, catalog: Path, local: LocalCompile | None = None) -> Project:
    """Read and validate the operator's settings and every descriptor.

    Args:
        config: `mooring.yaml`.
        catalog: the folder of descriptors, one `<id>.yaml` each.
        local: given, http and loopback addresses and the additions it names are allowed.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    found: list[Problem] = []
    warnings: list[str] = []
    descriptors = _catalog(catalog, local, found)
    if local and local.extra_catalog:
        extra = _catalog(local.extra_catalog, local, found)
        warnings += [
            f"{local.extra_catalog}/{name}.yaml replaces that provider"
            for name in extra
            if name in descriptors
        ]
        descriptors |= extra
    document = _config_document(config, local, found)
    settings = _validated(ProjectConfig, document, local, found) if document else None
    if document and settings:
        found += _disagreements(settings, descriptors, _files(catalog, local), document)
    if found or settings is None:
        raise ConfigurationError(found)
    warnings += _oddities(settings, descriptors, local)
    return Project(settings, descriptors, tuple(warnings))


def compile_project(
    *, config: Path, catalog: Path, out: Path, local: LocalCompile | None = None
) -> tuple[str, ...]:
    """Write `settings.json` and `providers/<id>.json`, one for each enabled provider, into `out`.

    Args:
        config: `mooring.yaml`.
        catalog: the folder of descriptors.
        out: the folder to fill; descriptors that are not enabled any more are removed from it.
        local: see `LocalCompile`; None compiles for production.

    Returns:
        Warnings, one line each: legal settings that are probably not what is wanted.

    Raises:
        ConfigurationError: with everything that is wrong; then nothing was written.
    """
    project = load_project(config=config, catalog=catalog, local=local)
    folder = out / "providers"
    folder.mkdir(parents=True, exist_ok=True)
    enabled = project.config.providers
    for stale in set(folder.glob("*.json")) - {folder / f"{name}.json" for name in enabled}:
        stale.unlink()
    for name, settings in enabled.items():
        simulator = local.simulators.get(name) if local else None
        content = compiled(project.descriptors[name], settings, simulator, local is not None)
        _write(folder / f"{name}.json", content)
    _write(out / "settings.json", _settings(project, local))
    return project.warnings


def _settings(project: Project, local: LocalCompile | None) -> dict[str, Any]:
    config = project.config
    keys = {key.kid: key.public_key for key in config.link_keys}
    origins = list(config.return_to_origins)
    if local:
        keys |= {kid: public_key(text) for kid, text in local.link_keys.items()}
        origins += [origin for origin in local.return_to_origins if origin not in origins]
    return {
        "return_to_origins": origins,
        "link_keys": keys,
        "origin_secret_hashes": list(config.origin_secret_hashes),
        "branding": config.branding.model_dump(),
        "providers": {name: project.descriptors[name].name for name in config.providers},
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")), encoding="utf-8")


def _catalog(folder: Path, local: LocalCompile | None, found: list[Problem]) -> dict[str, Descriptor]:
    """Every valid descriptor in `folder` by id; what is wrong goes to `found`."""
    if not folder.is_dir():
        found.append(
            Problem(shown(folder), 0, "", "is not a folder: it should hold descriptors, one <id>.yaml each")
        )
        return {}
    found += [Problem(shown(path), 0, "", "is not read: rename it to .yaml") for path in folder.glob("*.yml")]
    descriptors: dict[str, Descriptor] = {}
    for path in sorted(folder.glob("*.yaml")):
        document = _document(path, found)
        descriptor = _validated(Descriptor, document, local, found) if document else None
        if document and descriptor and descriptor.id != path.stem:
            found.append(document.problem(("id",), f"must be the name of its file: {path.stem}"))
        elif descriptor:
            descriptors[descriptor.id] = descriptor
    return descriptors


def _files(catalog: Path, local: LocalCompile | None) -> set[str]:
    """Ids that have a descriptor, be it valid or not."""
    folders = [catalog, *([local.extra_catalog] if local and local.extra_catalog else [])]
    return {path.stem for folder in folders for path in folder.glob("*.yaml")}


def _config_document(config: Path, local: LocalCompile | None, found: list[Problem]) -> Document | None:
    document = _document(config, found)
    if local is None or local.config_overlay is None:
        return document
    overlay = _document(local.config_overlay, found)
    return merged(document, overlay) if document and overlay else None


def _document(path: Path, found: list[Problem]) -> Document | None:
    try:
        return read_yaml(path)
    except ConfigurationError as error:
        found += error.problems
        return None


def _validated[Model: (ProjectConfig, Descriptor)](
    model: type[Model], document: Document, local: LocalCompile | None, found: list[Problem]
) -> Model | None:
    try:
        return model.model_validate(document.data, context={"local": local is not None})
    except ValidationError as error:
        found += problems(error, document, model)
        return None


def _disagreements(
    config: ProjectConfig, descriptors: Mapping[str, Descriptor], files: set[str], document: Document
) -> Iterator[Problem]:
    """What the operator's file asks for and the catalog does not have."""
    for name, enabled in config.providers.items():
        if name not in files:
            text = unknown(name, sorted(files), f"there is no descriptor {name}.yaml in the catalog")
            yield document.problem(("providers", name), text)
        elif name in descriptors:
            for index, text in _unknown_scopes(enabled.scopes or (), descriptors[name].scopes):
                yield document.problem(("providers", name, "scopes", index), text)
            if descriptors[name].refresh is None and "refresh" in enabled.model_fields_set:
                text = "this provider has no refresh tokens: remove it"
                yield document.problem(("providers", name, "refresh"), text)
    yield from _repeated(document, "link_keys", [key.kid for key in config.link_keys])
    yield from _repeated(document, "return_to_origins", config.return_to_origins)


def _unknown_scopes(asked: Iterable[str], scopes: Scopes) -> Iterator[tuple[int, str]]:
    for index, scope in enumerate(asked):
        if not scopes.available and not scopes.default:
            yield index, "this provider has no scopes: remove them"
        elif scopes.available and scope not in scopes.available:
            yield index, unknown(scope, [*scopes.available], f"unknown scope {scope}")


def _repeated(document: Document, key: str, values: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield document.problem((key, index), f"{value} stands there twice: remove one")
        seen.add(value)


def _oddities(
    config: ProjectConfig, descriptors: Mapping[str, Descriptor], local: LocalCompile | None
) -> Iterator[str]:
    """Legal settings with which something will not work."""
    if not config.link_keys and not (local and local.link_keys):
        yield "link_keys is empty: every link will be refused; add the public key of your product's backend"
    if not config.return_to_origins and not (local and local.return_to_origins):
        yield "return_to_origins is empty: every link will be refused; add the origin of your product"
    if not config.providers:
        yield "providers is empty: there is nothing to connect"
    if local:
        yield from _unused(config, descriptors, local)
        return
    for name, enabled in config.providers.items():
        if enabled.client_id == descriptors[name].sample_client_id:
            yield f"providers.{name}.client_id is a sample: put in the client id that the provider gave you"


def _unused(
    config: ProjectConfig, descriptors: Mapping[str, Descriptor], local: LocalCompile
) -> Iterator[str]:
    folder = local.extra_catalog
    for name in sorted(descriptors):
        if folder and name not in config.providers and (folder / f"{name}.yaml").exists():
            yield f"{folder}/{name}.yaml is not enabled: add providers.{name}.client_id to your settings"
