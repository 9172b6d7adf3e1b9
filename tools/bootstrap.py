"""Make the environment `.venv` from any Python 3.9 or later, with the standard library only.

    python3 tools/bootstrap.py

Takes a Python 3.13 that really runs (PATH, then pyenv, then one that uv fetches), fills `.venv` from
`requirements/dev.txt` by hash, and installs the project editable. Done once, it is a look at one stamp file.

It does not need uv, pip settings or Python 3.13 to be there. It does need `venv` and `pip` in one Python, and
a package index: the one that pip's own settings name, else the default one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Optional

ROOT = Path(__file__).resolve().parent.parent
WANTED = "3.13"
#: Files that decide what the environment holds. Their digest is the stamp.
INPUTS = ("requirements/dev.txt", "pyproject.toml", "tools/bootstrap.py")
#: What the environment may say to uv about where packages come from.
KEPT = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROBE = (
    "import ctypes, sqlite3, ssl, sys, sysconfig, venv;"
    "free = sysconfig.get_config_var('Py_GIL_DISABLED');"
    "print(sys.executable if sys.version_info[:2] == (3, 13) and not free else '')"
)


class SetupError(Exception):
    """The environment cannot be made. The message is one line that says what to do."""


def main() -> int:
    """Bring `.venv` up to date; answer 0, or print one line to stderr and answer 1."""
    try:
        set_up(ROOT)
    except SetupError as error:
        print("setup: " + str(error), file=sys.stderr)
        return 1
    return 0


def set_up(root: Path) -> bool:
    """Bring `root/.venv` up to date and say whether there was anything to do.

    Two calls at once wait for each other. Raises `SetupError`.
    """
    venv = root / ".venv"
    if _is_current(root, venv):
        return False
    with _one_at_a_time(root):
        if _is_current(root, venv):
            return False
        _fill(root, venv)
        (venv / ".stamp").write_text(_digest(root))
    return True


def _is_current(root: Path, venv: Path) -> bool:
    stamp = venv / ".stamp"
    return (
        stamp.is_file() and stamp.read_text() == _digest(root) and python_of(venv / "bin/python") is not None
    )


def _digest(root: Path) -> str:
    total = hashlib.sha256()
    for name in INPUTS:
        total.update(name.encode() + b"\0" + (root / name).read_bytes())
    return total.hexdigest()


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    folder = root / ".bootstrap"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fill(root: Path, venv: Path) -> None:
    python = find_python()
    uv = _uv(root, venv, python)
    if python is None:
        python = _fetched_python(uv)
    if python_of(venv / "bin/python") is None:
        print("setup: a new environment in .venv with " + python)
        _run([uv, "venv", "--quiet", "--clear", "--no-project", "--python", python, str(venv)], "make .venv")
    print("setup: installing requirements/dev.txt")
    settings = _index_settings(sys.executable)
    _remember(root, settings)
    inside = dict(settings, VIRTUAL_ENV=str(venv))
    pins = str(root / "requirements/dev.txt")
    _run([uv, "pip", "sync", "--quiet", "--require-hashes", pins], "install requirements/dev.txt", inside)
    # hatchling is among the pins, so nothing unpinned is fetched to build the project.
    editable = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(root)]
    _run(editable, "install the project", inside)


def _remember(root: Path, settings: Dict[str, str]) -> None:
    """Keep where packages come from for whoever installs some later, when pip is no longer at hand."""
    kept = dict(settings, **{name: os.environ[name] for name in KEPT if os.environ.get(name)})
    path = root / ".bootstrap/uv.json"
    path.parent.mkdir(exist_ok=True)
    # An index may have a password in its address.
    with os.fdopen(os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file)


# -- Python 3.13 ---------------------------------------------------------------------------------------------


def find_python() -> Optional[str]:
    """Path of a Python 3.13 that runs on this machine, or None: PATH first, then pyenv."""
    for candidate in _candidates():
        found = python_of(candidate)
        if found:
            return found
    return None


def python_of(candidate: Path) -> Optional[str]:
    """The real executable behind `candidate` if it runs and is a complete CPython 3.13, else None.

    A pyenv shim may exist and fail, and a Python built without ssl or sqlite cannot run the tests.
    """
    if not candidate.is_file():
        return None
    try:
        done = subprocess.run(
            [str(candidate), "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _candidates() -> Iterator[Path]:
    name = "python" + WANTED
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder) / name
    for home in _pyenv_homes():
        for version in sorted(home.glob("versions/" + WANTED + ".*"), key=_by_number, reverse=True):
            yield version / "bin" / name


def _by_number(version: Path) -> List[int]:
    return [int(part) if part.isdigit() else -1 for part in version.name.split(".")]


def _pyenv_homes() -> Iterator[Path]:
    if os.environ.get("PYENV_ROOT"):
        yield Path(os.environ["PYENV_ROOT"])
    yield Path.home() / ".pyenv"


def _fetched_python(uv: str) -> str:
    try:
        _run([uv, "python", "install", "--quiet", WANTED], "fetch Python " + WANTED)
        command = [uv, "python", "find", "--managed-python", WANTED]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            "no Python 3.13 here and none could be fetched: install one (pyenv install 3.13, or your "
            "system's python3.13 package with venv), then run make setup again"
        ) from error
    return found.stdout.strip()


# -- uv ------------------------------------------------------------------------------------------------------


def _uv(root: Path, venv: Path, python: Optional[str]) -> str:
    """Path of uv at the pinned version: from `.venv`, from PATH, else installed by pip into `.bootstrap`."""
    pin = _uv_pin(root)
    version = pin.split()[0].split("==")[1]
    home = root / ".bootstrap" / "uv"
    for candidate in (str(venv / "bin/uv"), str(home / "bin/uv"), shutil.which("uv")):
        if candidate and _uv_version(candidate) == version:
            return candidate
    print("setup: installing uv " + version + " into .bootstrap")
    maker = python or sys.executable
    advice = (
        "make an environment with "
        + maker
        + ": install its venv module (Debian: apt-get install python3-venv)"
    )
    _run([maker, "-m", "venv", "--clear", str(home)], advice)
    pins = root / ".bootstrap" / "uv.txt"
    pins.write_text(pin)
    install = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--require-hashes", "--only-binary", ":all:", "-r", str(pins)], "install uv with pip")
    return str(home / "bin/uv")


def _uv_pin(root: Path) -> str:
    """The lines of requirements/dev.txt that pin uv and its hashes: there is no second place to keep."""
    lines = (root / "requirements/dev.txt").read_text().splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("uv==")), None)
    if start is None:
        raise SetupError("requirements/dev.txt does not pin uv: run make lock")
    end = start
    while lines[end].endswith("\\"):
        end += 1
    return "\n".join(lines[start : end + 1]) + "\n"


def _uv_version(candidate: str) -> Optional[str]:
    try:
        done = subprocess.run(
            [candidate, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return words[1] if len(words) > 1 else None


def _index_settings(python: str) -> Dict[str, str]:
    """What pip is told about package indexes and certificates, in uv's words; uv does not read pip's files.

    Anything already said to uv wins. Every file is checked by hash, so it does not matter which index has it.
    """
    if any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")):
        return {}
    said = _pip_settings(python)
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}
    found = {theirs: said[ours] for ours, theirs in names.items() if said.get(ours)}
    if "UV_FIND_LINKS" in found:
        found["UV_FIND_LINKS"] = ",".join(found["UV_FIND_LINKS"].split())
    if found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if said.get("cert") and not os.environ.get("SSL_CERT_FILE"):
        found["SSL_CERT_FILE"] = said["cert"]
    return found


def _pip_settings(python: str) -> Dict[str, str]:
    command = [python, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: Dict[str, str] = {}
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        key, _, value = line.partition("=")
        # Printed by rising authority (files, then `:env:`); a list is one string with escaped newlines.
        found[key.rsplit(".", 1)[-1]] = " ".join(value.strip("'\"").replace("\\n", " ").split())
    return found


def _run(command: List[str], purpose: str, settings: Optional[Dict[str, str]] = None) -> None:
    environment = {**os.environ, **(settings or {})}
    # A make that was started by another make, or inside another environment, must not leak into this one.
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=str(ROOT), env=environment, check=False)
    if done.returncode:
        raise SetupError("could not " + purpose + " (see above)")


if __name__ == "__main__":
    sys.exit(main())
