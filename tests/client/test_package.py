"""What `pip install` from this repository gives a service, and what the layer carries."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_library_and_its_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mooring/py.typed", "mooring/client/__init__.py", "mooring/client/httpx.py"} <= set(names)
    library = {path.name for path in (ROOT / "layers/mooring/mooring/client").glob("*.py")}
    assert {name.rpartition("/")[2] for name in names if name.startswith("mooring/client/")} == library
    assert not [name for name in names if name.startswith(("tests", "local", "tools")) or "compiled/" in name]


def test_installed_without_anything_else_of_ours_it_works(wheel: Path, tmp_path: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path),
        str(wheel),
    ]
    subprocess.run(install, capture_output=True, timeout=120, check=True)
    script = (
        "import mooring.client, mooring.client.httpx, mooring.client.session\n"
        "from mooring.client.testing import FakeConnections\n"
        "fake = FakeConnections()\n"
        "value = fake.connect('m-1', 'acme')\n"
        "assert fake.token('m-1', 'acme').value == value\n"
        "print(mooring.client.__file__)\n"
    )
    # A path of our own comes before the editable install of this environment.
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path))


def test_what_it_imports_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = " ".join(project["dependencies"])
    assert all(name in declared for name in ("boto3", "cryptography", "requests"))
    assert any(each.startswith("httpx") for each in project["optional-dependencies"]["httpx"])


def test_the_layers_packages_suffice_for_it() -> None:
    locked = (ROOT / "requirements/layer.in").read_text("utf-8")
    assert all(name in locked for name in ("boto3", "cryptography", "requests"))
