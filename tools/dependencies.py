"""Install locked packages into a folder for one platform, and leave out what never runs in Lambda."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from tools.bytecode import compile_tree

ROOT = Path(__file__).resolve().parent.parent
ARM64 = "aarch64-manylinux2014"
#: The AWS services that this project calls, now or in a function planned next to it. botocore carries the
#: models of some four hundred; nearly all of its weight is in the others.
SERVICES = frozenset({"dynamodb", "events", "kms", "lambda", "s3", "scheduler", "sqs", "ssm", "sts"})
#: Bumped when what this file leaves out changes, so that a staged folder is made anew.
LAYOUT = "1"


class StagingError(Exception):
    """Staging failed; the message is one line that says what to do."""


def install(lock: Path, folder: Path, *, platform: str | None) -> bool:
    """Install the packages of `lock` into `folder/python`, with byte code, unless they are there already.

    The stamp and the lock file lie beside the folder, so that nothing but packages is in it. Processes that
    ask for the same folder at once wait for each other.

    Args:
        lock: requirements with hashes.
        folder: becomes exactly these packages, as a layer has them; appears complete or not at all.
        platform: uv's name of the target platform, None for this machine.

    Returns:
        False when the folder was already made from the same lock for the same platform.

    Raises:
        StagingError: a package cannot be had as a wheel for the platform, or its hash differs.
    """
    stamp = folder.with_name(f"{folder.name}.stamp")
    key = digest(lock, platform)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if folder.is_dir() and stamp.is_file() and stamp.read_text() == key:
            return False
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
            fresh = Path(work) / "new"
            _uv_install(lock, fresh / "python", platform)
            _leave_out(fresh / "python")
            compile_tree(fresh, "/opt")
            put_in_place(fresh, folder)
        stamp.write_text(key)
    return True


def digest(lock: Path, platform: str | None) -> str:
    """What a staged folder depends on, as 64 hex characters."""
    said = f"{LAYOUT}|{platform or sysconfig.get_platform()}|{sorted(SERVICES)}|".encode()
    return hashlib.sha256(said + lock.read_bytes()).hexdigest()


def put_in_place(fresh: Path, folder: Path) -> None:
    """Make `folder` what `fresh` is, by renames: a process that starts meanwhile sees one of the two."""
    old = fresh.with_name(f"{fresh.name}.old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _uv_install(lock: Path, target: Path, platform: str | None) -> None:
    uv = ROOT / ".venv/bin/uv"
    command = [str(uv), "pip", "install", "--quiet", "--no-installer-metadata", "--only-binary", ":all:"]
    command += [
        "--require-hashes",
        "--no-deps",
        "--python-version",
        "3.13",
        "--target",
        str(target),
        "-r",
        str(lock),
    ]
    if platform:
        command += ["--python-platform", platform]
    # A copy, not a link into uv's cache: what is staged is changed afterwards.
    environment = {**_index_settings(), **os.environ, "UV_LINK_MODE": "copy"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StagingError(
            f"uv could not install {lock.name} for {platform or 'this machine'}: {done.stderr.strip()}"
        )


def _index_settings() -> dict[str, str]:
    """Where packages come from, as `make setup` found it in pip's settings; uv does not read those itself."""
    try:
        kept = json.loads((ROOT / ".bootstrap/uv.json").read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in kept.items()}


def _leave_out(folder: Path) -> None:
    """Remove uv's leftovers, other services' models, examples, and lists that no longer tell the truth."""
    (folder / ".lock").unlink(missing_ok=True)
    for name in ("bin", "boto3/examples"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for data in (folder / "botocore/data", folder / "boto3/data"):
        for service in data.iterdir() if data.is_dir() else ():
            # Loose files (endpoints, partitions, retry rules, defaults) are needed by every client.
            if service.is_dir() and service.name not in SERVICES:
                shutil.rmtree(service)
    for useless in (*folder.glob("*/data/*/*/examples-1*"), *folder.glob("*.dist-info/RECORD")):
        useless.unlink()
