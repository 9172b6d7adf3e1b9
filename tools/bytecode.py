"""Byte code beside the sources: without it a cold start compiles everything it imports, each time."""

import subprocess
import sys
from pathlib import Path

#: The Lambda runtime's Python. Byte code of another minor version is ignored there, silently.
RUNTIME = (3, 13)


def compile_tree(folder: Path, prefix: str) -> None:
    """Compile every module under `folder`.

    The files are marked as unchecked: Python compares neither times nor contents, so they stay valid when a
    zip changes the times. They hold `prefix` in place of this machine's path: a build is the same everywhere.

    Raises:
        RuntimeError: this Python is not the runtime's version, or a module does not compile.
    """
    if sys.version_info[:2] != RUNTIME:
        raise RuntimeError(f"byte code for Python 3.13 needs Python 3.13, this is {sys.version.split()[0]}")
    command = [
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "-f",
        "-j",
        "0",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    done = subprocess.run(
        [*command, "-s", str(folder), "-p", prefix, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"a module under {folder.name} does not compile: {done.stdout.strip()}")
