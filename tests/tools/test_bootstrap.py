"""The environment is made on machines where little can be taken for granted."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import bootstrap, dependencies

ROOT = Path(bootstrap.__file__).resolve().parent.parent
SHIM = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def real(path: Path) -> Path:
    return program(path, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')


def checkout(root: Path, pins: str) -> Path:
    """A checkout with nothing but what the bootstrap reads."""
    for name in bootstrap.INPUTS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(pins if name.endswith(".txt") else (ROOT / name).read_text())
    return root


def start(root: Path, path: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": str(root / "home")}
    command = [sys.executable, str(root / "tools/bootstrap.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_is_written_for_python_3_9() -> None:
    source = (ROOT / "tools/bootstrap.py").read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert names <= {"contextlib", "fcntl", "hashlib", "json", "os", "shutil", "subprocess", "sys"}


def test_a_shim_that_exists_and_fails_is_not_python(tmp_path: Path) -> None:
    assert bootstrap.python_of(program(tmp_path / "python3.13", SHIM)) is None


def test_another_version_is_not_python_3_13(tmp_path: Path) -> None:
    assert bootstrap.python_of(program(tmp_path / "python3.13", "#!/bin/sh\necho\n")) is None
    assert bootstrap.python_of(tmp_path / "nothing") is None


def test_the_real_executable_is_found_behind_a_wrapper(tmp_path: Path) -> None:
    found = bootstrap.python_of(real(tmp_path / "python3.13"))
    assert found is not None
    assert Path(found).samefile(sys.executable)


def test_path_comes_first_and_a_failing_shim_on_it_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "shims/python3.13", SHIM)
    real(tmp_path / "bin/python3.13")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}{os.pathsep}{tmp_path / 'bin'}")
    assert bootstrap.find_python() is not None


def test_a_pyenv_installation_is_found_without_its_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "shims/python3.13", SHIM)
    program(tmp_path / "pyenv/versions/3.13.9/bin/python3.13", SHIM)
    real(tmp_path / "pyenv/versions/3.13.0/bin/python3.13")
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert bootstrap.find_python() is not None


def test_newer_pyenv_versions_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.13.2", "3.13.10", "3.13.9"):
        (tmp_path / "versions" / version).mkdir(parents=True)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert [path.parent.parent.name for path in bootstrap._candidates()] == ["3.13.10", "3.13.9", "3.13.2"]


def test_without_python_and_without_a_way_to_fetch_it_one_line_says_what_to_do(tmp_path: Path) -> None:
    pin = bootstrap._uv_pin(ROOT)
    root = checkout(tmp_path / "root", pin)
    version = pin.split()[0].removeprefix("uv==")
    program(
        tmp_path / "bin/uv", f'#!/bin/sh\n[ "$1" = --version ] && echo "uv {version}" && exit 0\nexit 2\n'
    )
    done = start(root, str(tmp_path / "bin"))
    assert done.returncode == 1
    assert done.stderr == (
        "setup: no Python 3.13 here and none could be fetched: install one (pyenv install 3.13, or your "
        "system's python3.13 package with venv), then run make setup again\n"
    )


def test_a_lock_without_uv_says_so(tmp_path: Path) -> None:
    done = start(checkout(tmp_path, "six==1.17.0\n"), "/nowhere")
    assert done.returncode == 1
    assert done.stderr == "setup: requirements/dev.txt does not pin uv: run make lock\n"


def test_an_environment_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    root = checkout(tmp_path, "nothing here can be installed\n")
    real(root / ".venv/bin/python")
    (root / ".venv/.stamp").write_text(bootstrap._digest(root))
    assert bootstrap.set_up(root) is False
    (root / "requirements/dev.txt").write_text("changed\n")
    with pytest.raises(bootstrap.SetupError, match="does not pin uv"):
        bootstrap.set_up(root)


def test_uvs_own_pin_and_hashes_are_taken_from_the_one_lock() -> None:
    lines = bootstrap._uv_pin(ROOT).splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 3
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
    assert not lines[-1].endswith("\\")


def test_pips_own_settings_are_told_to_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_"))]:
        monkeypatch.delenv(name)
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://index.example/simple\ncert = /etc/ca.pem\n"
        "extra-index-url =\n    file:///one\n    file:///two\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    python = _python_with_pip(tmp_path)
    found = bootstrap._index_settings(python)
    assert found["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert found["UV_INDEX"] == "file:///one file:///two"
    assert found["SSL_CERT_FILE"] == "/etc/ca.pem"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example")
    assert bootstrap._index_settings(python) == {}


def _python_with_pip(folder: Path) -> str:
    """An environment of its own, because the project's has no pip."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)
    return str(folder / "venv/bin/python")


def test_make_help_names_every_target() -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    targets = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")}
    assert targets >= {"setup", "run", "test", "check", "build", "validate", "invoke-<function>", "clean"}
    assert targets >= {"lock", "schemas", "help"}


def test_where_packages_come_from_is_kept_for_the_staging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/certs.pem")
    bootstrap._remember(tmp_path, {"UV_DEFAULT_INDEX": "https://index.example/simple"})
    kept = tmp_path / ".bootstrap/uv.json"
    monkeypatch.setattr(dependencies, "ROOT", tmp_path)
    settings = dependencies._index_settings()
    assert settings["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert settings["SSL_CERT_FILE"] == "/certs.pem"
    assert kept.stat().st_mode & 0o077 == 0
    kept.unlink()
    assert dependencies._index_settings() == {}
