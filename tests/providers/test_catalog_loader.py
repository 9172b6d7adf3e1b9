"""The run-time loader: lazy, strict, and cheap to import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mooring
from mooring.core.errors import Failure, Reason
from mooring.providers.catalog import Catalog
from mooring.providers.compiler import LocalCompile, compile_project
from tests.providers.samples import Settings


@pytest.fixture
def folder(settings: Settings) -> Path:
    settings.write_config(
        {
            "branding.colour": "#123456",
            "branding.support_url": "https://help.brightcart.example",
            "origin_secret_hashes": ["0" * 64],
        }
    )
    out = settings.folder / "compiled"
    compile_project(config=settings.config, catalog=settings.catalog, out=out)
    return out


def reason(catalog: Catalog, name: str) -> Reason:
    with pytest.raises(Failure) as caught:
        catalog.get(name)
    return caught.value.reason


def test_provider_and_settings(folder: Path) -> None:
    catalog = Catalog(str(folder))
    settings = catalog.settings()
    assert catalog.get("acme").client_id == "acme-client"
    assert settings.link_keys == {"k-1": bytes(32)}
    assert settings.origin_secret_hashes == ("0" * 64,)
    assert settings.return_to_origins == ("https://app.brightcart.example",)
    assert (settings.product, settings.colour) == ("Brightcart", "#123456")
    assert settings.support_url == "https://help.brightcart.example"
    assert settings.providers == {"acme": "Acme"}
    assert not catalog.get("acme").local


def test_a_local_compile_says_so(settings: Settings, tmp_path: Path) -> None:
    compile_project(
        config=settings.config, catalog=settings.catalog, out=tmp_path / "out", local=LocalCompile()
    )
    catalog = Catalog(str(tmp_path / "out"))
    assert catalog.get("acme").local


def test_each_file_is_read_once_and_only_when_asked_for(folder: Path) -> None:
    catalog = Catalog(str(folder))
    first = catalog.get("acme"), catalog.settings()
    (folder / "providers" / "acme.json").unlink()
    (folder / "settings.json").unlink()
    assert catalog.get("acme") is first[0]
    assert catalog.settings() is first[1]


@pytest.mark.parametrize(
    "name",
    ["", "a", "other", "ACME", "acme/", "../settings", "..", "acme.json", "acme\x00", "acmé", "a" * 5000],
)
def test_unknown_provider(name: str, folder: Path) -> None:
    assert reason(Catalog(str(folder)), name) is Reason.PROVIDER_UNKNOWN


def test_a_file_that_is_not_enabled_is_never_opened(folder: Path) -> None:
    (folder / "providers" / "rogue.json").write_text((folder / "providers" / "acme.json").read_text())
    assert reason(Catalog(str(folder)), "rogue") is Reason.PROVIDER_UNKNOWN


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff"], ids=["absent", "empty", "broken", "not text"])
def test_missing_or_broken_build(content: bytes | None, folder: Path) -> None:
    for path in (folder / "providers" / "acme.json", folder / "settings.json"):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert reason(Catalog(str(folder)), "acme") is Reason.INTERNAL


def test_loading_imports_nothing_heavy(folder: Path) -> None:
    code = (
        "import json, sys; from mooring.providers.catalog import Catalog; "
        f"Catalog({str(folder)!r}).get('acme'); print(json.dumps(sorted(sys.modules)))"
    )
    source = Path(mooring.__path__[0]).parent
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(source)!r}); {code}"],
        capture_output=True,
        check=True,
    )
    loaded = set(json.loads(answer.stdout))
    assert "mooring.core.provider" in loaded
    assert (
        loaded & {"pydantic", "yaml", "pathlib", "dataclasses", "inspect", "urllib.parse", "boto3"} == set()
    )
