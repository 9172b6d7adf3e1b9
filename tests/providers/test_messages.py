"""Messages name file, line, path and what to do; and all problems are listed at once."""

from pathlib import Path

import pytest

from mooring.providers.compiler import ConfigurationError, LocalCompile, compile_project
from mooring.providers.problems import Problem
from mooring.providers.yamlfile import read_yaml
from tests.providers.samples import Settings

CONFIG = """\
# settings
branding:
  product: Brightcart

providers:
  acme:
    client_idd: acme-client
    scopes: []
"""


def messages(settings: Settings, local: LocalCompile | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        settings.load(local)
    return str(caught.value).splitlines()


def test_file_line_path_and_advice(settings: Settings) -> None:
    settings.config.write_text(CONFIG)
    meaning = "The client id that the provider gave you. The secret goes into the parameter store, not here"
    assert messages(settings) == [
        f"{settings.config}:6: providers.acme.client_id: is missing: {meaning}",
        f"{settings.config}:7: providers.acme.client_idd: unknown key; did you mean client_id?",
    ]


def test_file_is_named_as_seen_from_where_one_stands(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.config.write_text(CONFIG)
    monkeypatch.chdir(settings.folder)
    assert messages(settings)[1].startswith("mooring.yaml:7: ")


def test_problems_of_several_files_come_together(settings: Settings) -> None:
    settings.config.write_text(CONFIG.replace("client_idd", "client_id").replace("product", "produkt"))
    settings.write_descriptor({"token.url": "http://acme.example", "colour": "red"})
    settings.write_descriptor({"name": 5}, name="other")
    found = messages(settings)
    assert [line.split(": ")[1] for line in found] == [
        "token.url",
        "colour",
        "name",
        "branding.product",
        "branding.produkt",
    ]


def test_unknown_key_without_a_near_one_lists_what_there_is(settings: Settings) -> None:
    settings.write_descriptor({"lifetime": {"xyz": 1}})
    assert messages(settings)[0].endswith(
        "lifetime.xyz: unknown key; known here: never_expires, access_token_seconds"
    )


def test_unknown_key_in_a_list(settings: Settings) -> None:
    settings.write_config({"link_keys": [{"kid": "k", "public_key": "A" * 43, "pubic_key": "x"}]})
    assert settings.problems() == {"link_keys[0].pubic_key": "unknown key; did you mean public_key?"}


def test_overlay_problem_is_shown_in_the_overlay(settings: Settings) -> None:
    overlay = settings.folder / "mine.yaml"
    overlay.write_text("providers:\n  acme:\n    client_id: 7\n")
    assert messages(settings, LocalCompile(config_overlay=overlay)) == [
        f"{overlay}:3: providers.acme.client_id: must be text: put it in quotes"
    ]


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        (b"", 0, "is empty"),
        (b"# nothing\n", 0, "is empty"),
        (b"- a\n", 1, "must be a mapping"),
        (b"a: [1\n", 2, "is not YAML"),
        (b"a: 1\n\tb: 2\n", 2, "is not YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "is not YAML"),
        (b"\xff\xfe\x00", 0, "is not UTF-8"),
        (b"a: \x00\n", 0, "characters that YAML does not allow"),
        (b"a: 1\nb: 2\na: 3\n", 3, "stands there twice (first in line 1)"),
        (b"a:\n  b: 1\n  b: 2\n", 3, "stands there twice (first in line 2)"),
        (b"a: &x 1\nb: *x\n", 1, "anchors, aliases and tags"),
        (b"a: !!python/object:os.system x\n", 1, "anchors, aliases and tags"),
        (b"1: a\n", 1, "a key must be text"),
        (b"[a]: b\n", 1, "a key must be text"),
        (b"a:\n- 2026-13-45\n", 2, "cannot be read as a value"),
        (b"a: " + b"[" * 600 + b"]" * 600, 0, "nested too deeply"),
    ],
)
def test_unreadable_yaml(content: bytes, line: int, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(path)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line) == (str(path), line)
    assert text in problem.text


def test_missing_file_and_missing_folder(settings: Settings) -> None:
    settings.config.unlink()
    (settings.catalog / "acme.yaml").unlink()
    settings.catalog.rmdir()
    assert messages(settings) == [
        f"{settings.catalog}: is not a folder: it should hold descriptors, one <id>.yaml each",
        f"{settings.config}: cannot be read: No such file or directory",
    ]


def test_descriptor_is_named_as_its_file(settings: Settings) -> None:
    settings.write_descriptor({"id": "acme-two"})
    assert settings.problems() == {"id": "must be the name of its file: acme"}


def test_other_ending_is_not_overlooked(settings: Settings) -> None:
    (settings.catalog / "other.yml").write_text("id: other\n")
    assert messages(settings) == [f"{settings.catalog / 'other.yml'}: is not read: rename it to .yaml"]


def test_nothing_is_written_when_something_is_wrong(settings: Settings) -> None:
    settings.write_descriptor({"name": 5})
    out = settings.folder / "out"
    with pytest.raises(ConfigurationError):
        compile_project(config=settings.config, catalog=settings.catalog, out=out)
    assert not out.exists()


def test_problem_without_a_line() -> None:
    assert str(Problem("a.yaml", 0, "", "is empty")) == "a.yaml: is empty"
