"""The stack folder of one local stack: its lock, its files, and the news that it is ready."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFAULT = Path(".local")


class StackError(Exception):
    """The stack cannot start or cannot be found; the message says what to do."""


class StackDir:
    """One folder, held by at most one running stack.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._lock: int | None = None

    @property
    def build(self) -> Path:
        """Where the functions are staged."""
        return self.folder / "build"

    @property
    def link_key(self) -> Path:
        """PEM file (PKCS8) of the Ed25519 key that signs links."""
        return self.folder / "link_key.pem"

    @property
    def stack_file(self) -> Path:
        """What a running stack says of itself: there when it is ready, and only then."""
        return self.folder / "stack.json"

    @property
    def functions_file(self) -> Path:
        """How each function is run, for `python -m local.invoke`."""
        return self.folder / "functions.json"

    @property
    def aws_file(self) -> Path:
        """Address of the simulated AWS, early: only where functions reach it through something else."""
        return self.folder / "aws.txt"

    def log(self, name: str) -> Path:
        """A log file."""
        return self.folder / "logs" / f"{name}.log"

    def hold(self, address: str) -> None:
        """Take the folder for this process, and forget what an earlier one left.

        Args:
            address: of this stack, told to whoever comes second.

        Raises:
            StackError: another stack runs here, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StackError(f"cannot write to {self.folder}: {error.strerror}") from error
        try:
            # The kernel lets go of it however this process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 200).decode("utf-8", "replace").strip()
            os.close(lock)
            raise StackError(
                f"a stack is already running from this folder ({holder}): stop it with Ctrl-C in its "
                f"terminal, or use another folder: python -m local --stack-dir DIR --port PORT"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"process {os.getpid()}, {address}".encode())
        self._lock = lock
        self.forget()

    def announce(self, functions: list[Mapping[str, Any]], stack: Mapping[str, Any]) -> None:
        """Say that the stack is ready: functions.json first, stack.json last, each complete or not there."""
        _write(self.functions_file, functions)
        _write(self.stack_file, stack)

    def tell_aws(self, endpoint_url: str) -> None:
        """Say where the simulated AWS is, before any function calls it."""
        _replace(self.aws_file, endpoint_url)

    def forget(self) -> None:
        """Take back what `announce` and `tell_aws` said."""
        self.aws_file.unlink(missing_ok=True)
        self.stack_file.unlink(missing_ok=True)
        self.functions_file.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another stack have the folder."""
        self.forget()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def read_json(path: Path) -> Any:
    """A file of a running stack.

    Raises:
        StackError: it is not there.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackError(
            f"no stack is running ({path} is not there): start one with `make run`, or name its folder "
            f"with --stack-dir"
        ) from None


def _write(path: Path, content: Any) -> None:
    _replace(path, json.dumps(content, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
