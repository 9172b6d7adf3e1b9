"""What holds for settings that nobody thought of."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.providers.compiler import ConfigurationError, load_project
from mooring.providers.yamlfile import read_yaml
from tests.providers.full import FULL
from tests.providers.samples import CONFIG, MINIMAL, Settings

KEYS = st.from_regex(r"[a-z_]{1,20}", fullmatch=True)
EVERYTHING = {**MINIMAL, **FULL}
# Below these, the keys are the provider's own.
FREE = {"details", "extra", "keep", "errors", "unverified", "providers"}


def parts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all mappings whose keys are ours."""
    if isinstance(value, dict) and not (path and path[-1] in FREE):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from parts(inner, (*path, key))


def inserted(value: dict[str, Any], path: tuple[str, ...], key: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(json.dumps(value))
    part = result
    for name in path:
        part = part[name]
    part[key] = "x"
    return result


def problems(folder: Path, name: str, content: Any) -> set[str]:
    path = folder / name
    path.write_text(json.dumps(content, indent=1))
    try:
        load_project(config=folder / "mooring.yaml", catalog=folder / "catalog")
    except ConfigurationError as error:
        return {f"{problem.path}: {problem.text}" for problem in error.problems}
    return set()


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(list(parts(EVERYTHING))), key=KEYS)
def test_unknown_key_in_a_descriptor_is_refused_wherever_it_stands(path: tuple[str, ...], key: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        Settings(Path(name))
        here: Any = EVERYTHING
        for part in path:
            here = here[part]
        content = inserted(EVERYTHING, path, f"{key}_x")
        found = problems(Path(name), "catalog/acme.yaml", content)
        assert any(text.startswith(f"{'.'.join((*path, key))}_x: unknown key") for text in found)


@settings(max_examples=30, deadline=None)
@given(path=st.sampled_from([(), ("branding",), ("providers", "acme")]), key=KEYS)
def test_unknown_key_in_the_settings_is_refused(path: tuple[str, ...], key: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        Settings(Path(name))
        found = problems(Path(name), "mooring.yaml", inserted(CONFIG, path, f"{key}_x"))
        assert any(text.startswith(f"{'.'.join((*path, key))}_x: unknown key") for text in found)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="ascii"), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(list(parts(EVERYTHING))), key=KEYS, value=JSON)
def test_any_value_anywhere_is_taken_or_explained(path: tuple[str, ...], key: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        Settings(Path(name))
        content = inserted(EVERYTHING, path, key)
        part: Any = content
        for step in path:
            part = part[step]
        target = sorted(part)[len(key) % len(part)]
        part[target] = value
        for text in problems(Path(name), "catalog/acme.yaml", content):
            assert text.partition(": ")[2]


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert _told(path)


def _told(path: Path) -> bool:
    """Whether reading ends in a mapping, or in problems that are told."""
    try:
        return isinstance(read_yaml(path).data, dict)
    except ConfigurationError as error:
        return bool(error.problems)
