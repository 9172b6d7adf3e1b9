"""Finding the local stack: it writes `stack.json` when it is ready and removes it when it stops."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mooring_cli.errors import CommandError

STACK_DIR = ".local"
NOT_RUNNING = "No local stack is running here. Start it with: make run"
_COMPILED = Path("build/layers/mooring/python/mooring/compiled")


class LinkKey(NamedTuple):
    """The key with which links are signed: path of a PKCS8 PEM file, and its key id."""

    path: Path
    kid: str


class Stack(NamedTuple):
    """A running local stack. `credentials` (access key id, secret) are dummies that only it accepts.

    `queues` (URLs) and `functions` (physical names) are by short name, such as `refresh-dead` and `sweep`;
    `providers` are the enabled ones, or nothing where that cannot be told; `compiled` is the folder with
    what was compiled of them.
    """

    base_url: str
    aws_endpoint_url: str
    lambda_endpoint: str
    region: str
    connections_table: str
    flows_table: str
    queues: Mapping[str, str]
    functions: Mapping[str, str]
    providers: tuple[str, ...]
    link_key: LinkKey
    credentials: tuple[str, str]
    compiled: Path


def find_stack(stack_dir: Path | None, start: Path) -> Stack:
    """The stack of `stack_dir`, or of the nearest `.local` folder from `start` upward.

    Raises:
        CommandError: when none is running there.
    """
    folders = [stack_dir] if stack_dir else [folder / STACK_DIR for folder in (start, *start.parents)]
    for folder in folders:
        path = folder / "stack.json"
        if path.is_file():
            return _read(path)
    raise CommandError(NOT_RUNNING)


def _read(path: Path) -> Stack:
    try:
        return _stack(json.loads(path.read_text(encoding="utf-8")), path.parent / _COMPILED)
    except (OSError, ValueError, KeyError, TypeError):
        raise CommandError(
            f"{path} cannot be read. Stop the local stack and start it again: make run"
        ) from None


def _enabled(compiled: Path) -> tuple[str, ...]:
    """The providers that were compiled for this stack: mooring.yaml may have changed since it started."""
    return tuple(sorted(path.stem for path in (compiled / "providers").glob("*.json")))


def _stack(data: Mapping[str, Any], compiled: Path) -> Stack:
    credentials, key = data["credentials"], data["link_key"]
    return Stack(
        base_url=data["base_url"],
        aws_endpoint_url=data["aws_endpoint_url"],
        # Its own address where the stack answers Lambda's API itself.
        lambda_endpoint=data.get("lambda_endpoint") or data["aws_endpoint_url"],
        region=data["region"],
        connections_table=data["tables"]["connections"],
        flows_table=data["tables"]["flows"],
        queues=dict(data.get("queues") or {}),
        functions=dict(data.get("functions") or {}),
        providers=_enabled(compiled),
        link_key=LinkKey(Path(key["path"]), key["kid"]),
        credentials=(credentials["access_key_id"], credentials["secret_access_key"]),
        compiled=compiled,
    )
