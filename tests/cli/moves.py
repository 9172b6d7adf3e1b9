"""A move from one stage to another: both with a key of their own, and the commands between them."""

import json
import time
from pathlib import Path
from typing import Any

from mooring.adapters import ending_transitions
from mooring.core.upkeep import Key
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Answer, Command
from tests.cli.receivers import KeyPair, key_pair
from tests.cli.stack_on_sockets import REGION
from tests.cli.vault import Vault


class Move:
    """Two stages with a key each, a receiver's key, and the commands between them."""

    def __init__(self, mooring: Command, source: Vault, target: Vault, pair: KeyPair, folder: Path) -> None:
        self.mooring = mooring
        self.source = source
        self.target = target
        self.pair = pair
        self.file = folder / "out.ndjson"

    def export(self) -> None:
        """Out of the first stage."""
        self.file.unlink(missing_ok=True)
        stage = ("--stage", self.source.aws.stage, "--region", REGION)
        assert self.mooring("export", "out.ndjson", "--to", str(self.pair.public), *stage).code == 0

    def bring(self, *more: str, key: Path | None = None) -> Answer:
        """Into the second one."""
        stage = ("--stage", self.target.aws.stage, "--region", REGION)
        private = str(key or self.pair.private)
        return self.mooring("import", "out.ndjson", "--key", private, "--yes", *stage, *more)

    def told(self) -> dict[str, Any]:
        """What the import says to programs."""
        answer = self.bring("--json")
        assert answer.out, answer.err
        told: dict[str, Any] = json.loads(answer.out)
        return told

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines()

    def rewrite(self, lines: list[str]) -> None:
        self.file.write_text("".join(f"{line}\n" for line in lines))


def begun(mooring: Command, deployed: FakeAws, folder: Path) -> Move:
    """A move from a stage that is there to a new one."""
    target = FakeAws(deployed.endpoint_url)
    target.create()
    return Move(mooring, Vault(deployed), Vault(target), key_pair(folder), folder)


def disconnect(vault: Vault, key: Key, at: int | None = None) -> None:
    """Cut a connection off, as a merchant would."""
    update = ending_transitions.disconnected(vault.connections, key, at or int(time.time()))
    vault.client.update_item(**update.parameters())
