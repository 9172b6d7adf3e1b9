"""Take the safeguards of the refresh out, one at a time, and see that a test notices each.

    python -m tests.safeguards [NAME ...]

Works on a copy of the checkout; ends with 1 when a safeguard was taken out and every test still passed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.safeguards.catalog import SAFEGUARDS, Safeguard
from tests.support import ROOT

_PATIENCE_SECONDS = 300
_FAILED = 1
"""pytest's exit code for tests that failed; others tell of tests that could not be run."""


def main(names: list[str]) -> int:
    """Try these safeguards, or all; 0 when a test noticed each."""
    unknown = set(names) - {one.name for one in SAFEGUARDS}
    if unknown:
        print(f"there is no safeguard {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="safeguards-") as folder:
        copy = _copy(Path(folder))
        noticed = [_try(one, copy) for one in SAFEGUARDS if not names or one.name in names]
    print(f"of {len(noticed)} that were taken out, a test noticed {sum(noticed)}")
    return 0 if all(noticed) else 1


def _copy(folder: Path) -> Path:
    copy = folder / "checkout"
    unwanted = shutil.ignore_patterns(
        ".venv", ".git", ".local", "build", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, copy, ignore=unwanted, symlinks=True)
    return copy


def _try(one: Safeguard, copy: Path) -> bool:
    """Whether some test fails without it."""
    path = copy / one.path
    whole = path.read_text()
    path.write_text(one.removed(whole))
    began = time.monotonic()
    try:
        done = _pytest(one.tests, copy)
    finally:
        path.write_text(whole)
    noticed = done.returncode == _FAILED
    first = next((line for line in done.stdout.splitlines() if line.startswith("FAILED ")), "").split(" - ")[
        0
    ]
    word = "noticed" if noticed else "UNNOTICED"
    print(
        f"{word:10} {one.name:22} {time.monotonic() - began:4.0f} s  {first.removeprefix('FAILED ')}",
        flush=True,
    )
    if done.returncode not in (0, _FAILED):
        print(done.stdout[-2_000:], done.stderr[-2_000:], file=sys.stderr)
    return noticed


def _pytest(tests: tuple[str, ...], copy: Path) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=copy,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
