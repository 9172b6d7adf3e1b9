"""The local stack as a user starts it, in a process of its own, with two providers of ours beside it.

One is a foreign authorization server, the other a simulated provider that exists in tests alone.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import jwt
import requests
from botocore.config import Config

from local.processes import free_port
from tests.e2e.fifth import provider as fifth
from tests.e2e.fifth.provider import FifthProvider
from tests.e2e.foreign.process import CLIENT_ID, CLIENT_SECRET, ForeignServer, descriptor
from tests.e2e.services import write_services
from tests.e2e.simulator import Simulator
from tests.support import ROOT

PROVIDERS = ("notifyvisitors", "yotpo", "xeno", "whatconverts")
FOREIGN = ("acme", "acme-two")
WHOLE_GRANTS = "acme-two"
"""The one whose revocations are said to end all that was ever granted."""
FIFTH = "quayside"
#: What the sweep and the workers note in a row by themselves.
UPKEEP = {"due_at", "due_shard", "probed_at", "hinted_until", "unauthorized_count", "unauthorized_at"}
TOKEN_SECONDS = 3_600
"""Life of access tokens: what a test has connected and forgotten does not fall due while others run."""
PRODUCT = "http://127.0.0.1:4000"
"""Origin of a product that only has to be an allowed place to return to."""
RETURN_TO = f"{PRODUCT}/settings?tab=apps#list"
READY_SECONDS = 110
STOP_SECONDS = 20


def environment(**more: str) -> dict[str, str]:
    """What a user's shell would hand to the stack; nothing of this test run leaks in."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def command(stack_dir: Path, *more: str) -> list[str]:
    """`python -m local` with this stack folder."""
    return [sys.executable, "-m", "local", "--stack-dir", str(stack_dir), *more]


def session_members(session: int) -> list[str]:
    """Every live process of a terminal session: its id and name."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, rest = stat.read_text().rpartition(")")
            state, _, _, its_session, *_ = rest.split()
            if int(its_session) == session and state != "Z":
                found.append(head.replace("(", ""))
    return found


class RunningStack:
    """A stack on a port of its own, with secrets that cannot be mistaken for anything else.

    Args:
        folder: an empty folder for everything it writes.
        aws_through: address under which the functions reach the simulated AWS; directly by default.
        fifth_through: address under which Mooring and browsers reach the fifth provider; its own by default.
        further: descriptors of further providers by id; the client secret of each is in `secrets`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        aws_through: str | None = None,
        fifth_through: str | None = None,
        further: Mapping[str, str] | None = None,
    ) -> None:
        self.stack_dir = folder / "state"
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.secrets = {provider: f"canary-{provider}-{secrets.token_hex(12)}" for provider in PROVIDERS}
        self.secrets |= dict.fromkeys(FOREIGN, CLIENT_SECRET)
        self._further = dict(further or {})
        self.secrets |= {name: f"canary-{name}-{secrets.token_hex(12)}" for name in self._further}
        self.webhook_secrets = {"yotpo": f"canary-yotpo-webhook-{secrets.token_hex(12)}"}
        self.given_out: set[str] = set()
        """Every access token that any service here was given."""
        self.fifth = FifthProvider(self.base_url, access_token_seconds=TOKEN_SECONDS)
        self.foreign = ForeignServer(folder, [f"{self.base_url}/callback/{name}" for name in FOREIGN])
        self.output = folder / "output.txt"
        self._clients: dict[str, Any] = {}
        settings = self._write_settings(folder, fifth_through or self.fifth.base_url)
        if aws_through:
            settings["MOORING_LOCAL_AWS_THROUGH"] = aws_through
        self._launch(settings)

    def wait(self) -> None:
        """Return when everything answers.

        Raises:
            AssertionError: it does not; with what the stack printed.
        """
        self.foreign.wait()
        path = self.stack_dir / "stack.json"
        deadline = time.monotonic() + READY_SECONDS
        while not path.exists():
            said = f"the stack is not ready; it said:\n{self.output.read_text()}"
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        self.info: dict[str, Any] = json.loads(path.read_text())
        self.demo_url: str = self.info["demo_url"]

    def stop(self) -> None:
        """Ctrl-C, as a user ends it.

        Raises:
            AssertionError: it does not end, or leaves a process behind.
        """
        self.foreign.stop()
        self.fifth.stop()
        self._end(STOP_SECONDS)

    def _launch(self, settings: Mapping[str, str]) -> None:
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command(self.stack_dir, "--port", str(self.port)),
                cwd=ROOT,
                env=environment(**settings),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, seconds: float) -> None:
        for client in self._clients.values():
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(seconds)
        finally:
            left = session_members(self.process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        assert left == [], "the stack left processes behind"

    def simulator(self, provider: str) -> Simulator:
        """The test controls of a simulated provider."""
        own = self.fifth.base_url if provider == FIFTH else self.info["providers"][provider]
        return Simulator(provider, own)

    @property
    def canaries(self) -> set[str]:
        """Every secret that providers and Mooring share."""
        held = {*self.secrets.values(), *self.webhook_secrets.values(), *self.fifth.secrets.values()}
        return held | set(self.fifth.former_secrets)

    def link(self, provider: str, merchant: str, /, **changes: Any) -> str:
        """The address that starts a flow, signed as a product would; `changes` replace claims."""
        signed = self.sign(self.claims(provider, merchant, **changes))
        return f"{self.base_url}/authorize/{provider}?link={signed}"

    def claims(self, provider: str, merchant: str, /, **changes: Any) -> dict[str, Any]:
        """The claims of a good link, with changes; None takes a claim out."""
        now = int(time.time())
        claims = {
            "aud": self.base_url,
            "sub": merchant,
            "use": "connect",
            "provider": provider,
            "return_to": RETURN_TO,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_urlsafe(12),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims: dict[str, Any], **headers: str) -> str:
        """A signed link."""
        key = self.link_key_path.read_bytes()
        return jwt.encode(
            claims, key, algorithm="EdDSA", headers={"kid": self.info["link_key"]["kid"], **headers}
        )

    @property
    def link_key_path(self) -> Path:
        """The private key that signs links."""
        return Path(self.info["link_key"]["path"])

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Run `mooring` against this stack; what it printed."""
        name, *rest = arguments
        done = subprocess.run(
            [str(Path(sys.executable).with_name("mooring")), name, "--stack-dir", str(self.stack_dir), *rest],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def aws(self, service: str) -> Any:
        """A client of the simulated AWS (of the Lambda API for `lambda`), made once."""
        if service not in self._clients:
            self._clients[service] = self._client(service)
        return self._clients[service]

    def _client(self, service: str) -> Any:
        own = self.info["credentials"]
        keys = (own["access_key_id"], own["secret_access_key"])
        endpoint = self.info["lambda_endpoint" if service == "lambda" else "aws_endpoint_url"]
        session = boto3.session.Session(*keys, region_name=self.info["region"])
        settings = Config(retries={"max_attempts": 1}, proxies={})
        return session.client(service, endpoint_url=endpoint, config=settings)  # type: ignore[call-overload]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table (`connections` or `flows`) as DynamoDB writes it, in the order of keys."""
        pages = self.aws("dynamodb").get_paginator("scan").paginate(TableName=self.info["tables"][table])
        rows = [row for page in pages for row in page["Items"]]
        return sorted(rows, key=lambda row: json.dumps(row, default=str))

    def connections(self) -> list[dict[str, Any]]:
        """Every row of the connections table, without what the sweep and the workers note by themselves."""
        rows = self.rows("connections")
        return [{name: value for name, value in row.items() if name not in UPKEEP} for row in rows]

    def connections_of(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's rows of the connections table, in the order of keys."""
        answer = self.aws("dynamodb").query(
            TableName=self.info["tables"]["connections"],
            KeyConditionExpression="merchant_id = :merchant",
            ExpressionAttributeValues={":merchant": {"S": merchant}},
        )
        found: list[dict[str, Any]] = answer["Items"]
        return found

    def messages(self) -> list[dict[str, Any]]:
        """What waits in the queues; it stays there."""
        found = []
        for url in self.info["queues"].values():
            answer = self.aws("sqs").receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0
            )
            found += answer.get("Messages", [])
        return found

    def log_lines(self, function: str) -> list[dict[str, Any]]:
        """The JSON lines that a function has logged so far."""
        text = (self.stack_dir / "logs" / f"{function}.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def log_line(self, function: str, ref: str) -> dict[str, Any]:
        """The one line with this reference id."""
        deadline = time.monotonic() + 5
        while not (found := [line for line in self.log_lines(function) if line.get("ref") == ref]):
            assert time.monotonic() < deadline, f"no line of {function} has the reference {ref}"
            time.sleep(0.02)
        assert len(found) == 1, found
        return found[0]

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One call of the simulated AWS's own test controls."""
        return _asked(method, f"{self.info['aws_endpoint_url']}/_local/{path}", body)

    def trigger(self, path: str, method: str = "POST") -> Any:
        """One call of the controls of queues and schedules (`local.starters`)."""
        return _asked(method, f"{self.info['lambda_endpoint']}/_local/{path}", None)

    @contextlib.contextmanager
    def paused(self, trigger: str) -> Iterator[None]:
        """While it lasts, this trigger (`queues/refresh`, `schedules/sweep`) starts nothing by itself.

        One that was paused before stays so.
        """
        kind, _, name = trigger.partition("/")
        before = self.trigger("triggers", "GET")[kind][name]["paused"]
        self.trigger(f"{trigger}/pause")
        try:
            yield
        finally:
            if not before:
                self.trigger(f"{trigger}/resume")

    def calls(self, function: str) -> Counter[str]:
        """How often a function made each AWS call since the last `control("DELETE", "calls")`."""
        return Counter(self.control("GET", f"calls?function={function}"))

    @contextlib.contextmanager
    def failing(
        self,
        *targets: str,
        status: int = 400,
        code: str = "AccessDeniedException",
        function: str | None = None,
        times: int = 1000,
    ) -> Iterator[None]:
        """While it lasts, these AWS calls (`DynamoDB_20120810.UpdateItem`) fail, of all or one function."""
        fault = {"status": status, "code": code, "times": times, "function": function}
        self.control("POST", "faults", [{"target": target, **fault} for target in targets])
        try:
            yield
        finally:
            self.control("DELETE", "faults")

    def _write_settings(self, folder: Path, fifth_url: str) -> dict[str, str]:
        catalog = folder / "providers"
        catalog.mkdir()
        for name in FOREIGN:
            ends = "grant" if name == WHOLE_GRANTS else "token"
            (catalog / f"{name}.yaml").write_text(descriptor(name, self.foreign.base_url, ends))
        (catalog / f"{FIFTH}.yaml").write_text(
            self.fifth.descriptor().replace(self.fifth.base_url, fifth_url)
        )
        for name, text in self._further.items():
            (catalog / f"{name}.yaml").write_text(text)
        client_ids = {**dict.fromkeys(FOREIGN, CLIENT_ID), FIFTH: fifth.CLIENT_ID}
        client_ids |= {name: f"{name}-client" for name in self._further}
        enabled = "".join(f"  {name}:\n    client_id: {text}\n" for name, text in client_ids.items())
        config, given = folder / "overlay.yaml", folder / "secrets.json"
        config.write_text(f"return_to_origins:\n  - {PRODUCT}\nproviders:\n{enabled}")
        held = {name: {"client_secret": text} for name, text in self.secrets.items()}
        for name, text in self.webhook_secrets.items():
            held[name]["webhook_secret"] = text
        given.write_text(json.dumps({**held, FIFTH: self.fifth.secrets}))
        return {
            "MOORING_LOCAL_TOKEN_SECONDS": str(TOKEN_SECONDS),
            "MOORING_PROVIDERS_DIR": str(catalog),
            "MOORING_CONFIG": str(config),
            "MOORING_SECRETS": str(given),
            "MOORING_SERVICES": str(write_services(folder)),
        }


def _asked(method: str, url: str, body: object) -> Any:
    answer = requests.request(method, url, json=body, timeout=40)
    answer.raise_for_status()
    return answer.json()
