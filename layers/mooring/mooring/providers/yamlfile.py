"""YAML read strictly: every value knows its line, and nothing can stand there twice.

Only what a settings file needs: mappings with text keys, lists, and plain values. Duplicate keys,
anchors, aliases and tags are refused, because each of them can hide what a file really says.
"""

import os
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

import yaml

from mooring.providers.problems import ConfigurationError, Path, Problem, dotted


class Place(NamedTuple):
    """Where a value stands: file as shown to people, line from 1."""

    file: str
    line: int


class Document(NamedTuple):
    """The content of a YAML file, and the place of each of its keys and list entries."""

    data: dict[str, Any]
    places: Mapping[Path, Place]
    file: str

    def problem(self, path: Path, text: str) -> Problem:
        """A problem at `path`, or, where nothing stands there, at what should contain it."""
        known = next((path[:end] for end in range(len(path), -1, -1) if path[:end] in self.places), ())
        place = self.places.get(known, Place(self.file, 0))
        return Problem(place.file, place.line, dotted(path), text)


def shown(path: File) -> str:
    """A file's name as people know it: relative to where they are, if it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def read_yaml(path: File) -> Document:
    """Read one YAML file whose top is a mapping.

    Raises:
        ConfigurationError: when the file cannot be read, is not YAML, or is not a mapping.
    """
    name = shown(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _refusal(name, 0, f"cannot be read: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise _refusal(name, 0, "is not UTF-8 text: save it as UTF-8") from None
    try:
        _refuse_anchors(name, text)
        return _Reader(name, text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _refusal(name, mark.line + 1 if mark else 0, f"is not YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise _refusal(name, 0, "is not YAML: it contains characters that YAML does not allow") from None
    except RecursionError:
        raise _refusal(name, 0, "is nested too deeply") from None


def merged(base: Document, over: Document) -> Document:
    """`over` laid upon `base`: mappings merge key by key, anything else replaces what stood there."""
    places = dict(base.places)
    data = _merge(base.data, over.data, (), places)
    places.update({path: place for path, place in over.places.items() if path})
    return Document(data, places, base.file)


def _merge(base: dict[str, Any], over: dict[str, Any], at: Path, places: dict[Path, Place]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        path = (*at, key)
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            result[key] = _merge(base[key], value, path, places)
            continue
        for old in [old for old in places if old[: len(path)] == path]:
            del places[old]
        result[key] = value
    return result


def _refusal(file: str, line: int, text: str) -> ConfigurationError:
    return ConfigurationError([Problem(file, line, "", text)])


def _refuse_anchors(name: str, text: str) -> None:
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
            raise _refusal(
                name, token.start_mark.line + 1, "anchors, aliases and tags are not read: write it out"
            )


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader as it comes: SAM's libraries teach the shared one to leave dates as text."""


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)  # type: ignore[type-var]


class _Reader:
    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._loader = _Loader(text)
        self._places: dict[Path, Place] = {(): Place(name, 1)}
        self._problems: list[Problem] = []

    def document(self) -> Document:
        node = self._loader.get_single_node()
        if node is None:
            raise _refusal(self._name, 0, "is empty")
        if not isinstance(node, yaml.MappingNode):
            raise _refusal(self._name, 1, "must be a mapping: lines of the form `key: value`")
        data = self._mapping(node, ())
        if self._problems:
            raise ConfigurationError(self._problems)
        return Document(data, self._places, self._name)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return list(self._entries(node, path))
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node, path) if isinstance(key_node, yaml.ScalarNode) else None
            place = Place(self._name, key_node.start_mark.line + 1)
            if not isinstance(key, str):
                self._complain(place, path, "a key must be text: put it in quotes")
            elif key in result:
                first = self._places[(*path, key)].line
                self._complain(place, (*path, key), f"stands there twice (first in line {first}): keep one")
            else:
                self._places[(*path, key)] = place
                result[key] = self._value(value_node, (*path, key))
        return result

    def _entries(self, node: yaml.SequenceNode, path: Path) -> Iterator[Any]:
        for index, entry in enumerate(node.value):
            self._places[(*path, index)] = Place(self._name, entry.start_mark.line + 1)
            yield self._value(entry, (*path, index))

    def _scalar(self, node: yaml.Node, path: Path) -> Hashable:
        try:
            value: Hashable = self._loader.construct_object(node)
        except ValueError:
            # For example 2026-13-45, which looks like a date and is none.
            place = Place(self._name, node.start_mark.line + 1)
            self._complain(place, path, "cannot be read as a value: put it in quotes")
            return None
        return value

    def _complain(self, place: Place, path: Path, text: str) -> None:
        self._problems.append(Problem(place.file, place.line, dotted(path), text))
