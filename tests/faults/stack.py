"""The local stack with a proxy on each of its two sides, so that both AWS and a provider can be broken."""

import time
from pathlib import Path
from typing import Any

from tests.e2e.running import READY_SECONDS, RunningStack
from tests.faults.ends import Ends
from tests.faults.proxy import FaultProxy

TOKEN_PATH = "/oauth/token"
"""The fifth provider's token endpoint."""
API_PATH = "/api/shop"
"""Its API, which is also what a probe asks."""


class BrokenStack(RunningStack):
    """A running stack whose functions reach AWS through `aws_proxy`, and the fifth provider through another.

    Browsers reach the fifth provider through `provider_proxy` as well. What a test asks or controls itself
    (`aws()`, `rows()`, `simulator()`) goes past both, and so does what Lambda asks of queues.

    Args:
        folder: an empty folder for everything it writes.
    """

    def __init__(self, folder: Path) -> None:
        self.aws_proxy = FaultProxy()
        self.provider_proxy = FaultProxy()
        self.ends = Ends(folder / "ends", self.provider_proxy.url)
        """Where two further providers have their token endpoints, of which none ever succeeds."""
        super().__init__(
            folder,
            aws_through=self.aws_proxy.url,
            fifth_through=self.provider_proxy.url,
            further=self.ends.descriptors,
        )
        self.provider_proxy.upstream = self.fifth.base_url

    @property
    def proxies(self) -> tuple[FaultProxy, FaultProxy]:
        """Both."""
        return self.aws_proxy, self.provider_proxy

    def wait(self) -> None:
        """Return when everything answers.

        Raises:
            AssertionError: it does not; with what the stack printed.
        """
        path, deadline = self.stack_dir / "aws.txt", time.monotonic() + READY_SECONDS
        while not path.exists():
            said = f"there is no simulated AWS; the stack said:\n{self.output.read_text()}"
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        self.aws_proxy.upstream = path.read_text()
        super().wait()

    def stop(self) -> None:
        """Ctrl-C, then the proxies.

        Raises:
            AssertionError: the stack does not end, or leaves a process behind.
        """
        try:
            super().stop()
        finally:
            self.ends.stop()
            for proxy in self.proxies:
                proxy.stop()


def circuits(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """The rows of providers' circuits, open or closed lately, by provider."""
    rows = [row for row in stack.rows("flows") if row["pk"]["S"].startswith("circuit#")]
    return {row["pk"]["S"].partition("#")[2]: row for row in rows}


def close_circuits(stack: RunningStack) -> None:
    """Forget every circuit; processes remember theirs for ten seconds."""
    for provider in circuits(stack):
        stack.aws("dynamodb").delete_item(
            TableName=stack.info["tables"]["flows"], Key={"pk": {"S": f"circuit#{provider}"}}
        )
