"""Where the benchmark takes place: one simulated AWS, one provider behind TLS, all staged as it ships."""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import certifi
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local import HOST, REGION, ROOT
from local.emulator import FunctionSpec
from local.functions import spec_of
from local.providers import store_secrets
from local.provision import CREDENTIALS, client, provision
from mooring.providers.compiler import LocalCompile
from tests.bench.aws import BenchAws
from tests.bench.provider import Provider
from tests.bench.staging import BASE_URL, KID, RETURN_TO, public_key_text
from tests.contract.certificates import Authority
from tools.bytecode import compile_tree
from tools.dependencies import digest, install
from tools.stage import stage

STAGE = "local"
PROVIDER = "whatconverts"
"""It issues refresh tokens, and needs no second call to name an account."""
SIGNED = "signed"
"""It signs its uninstall notices."""
CLIENT_SECRET = "a-secret-for-this-benchmark-only"
WEBHOOK_SECRET = "another-secret-for-this-benchmark-only"
PEERS = ROOT / "tests/bench/peers"
_SIGNED = ROOT / "tests/bench/signed"
_PACKAGES = ROOT / ".local/packages"


class Ground:
    """A context manager; left, every process is gone.

    Args:
        folder: an empty folder for everything that is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cleanup = ExitStack()
        self.key = Ed25519PrivateKey.generate()

    def __enter__(self) -> Self:
        authority = Authority(self._folder)
        try:
            self.aws = BenchAws(self._folder / "aws.log")
            self._cleanup.callback(self.aws.stop)
            self.provider = Provider(authority.server("localhost"))
            self._cleanup.callback(self.provider.stop)
            self.trust = _trusting(Path(authority.ca_file), self._folder / "trust")
            self.resources = provision(
                ROOT / "template.yaml",
                endpoint_url=self.aws.endpoint_url,
                parameters={"Stage": STAGE, "DomainName": HOST},
            )
            held = {
                PROVIDER: {"client_secret": CLIENT_SECRET},
                SIGNED: {"client_secret": CLIENT_SECRET, "webhook_secret": WEBHOOK_SECRET},
            }
            store_secrets(self.aws.endpoint_url, STAGE, held)
            self._stage()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @property
    def build(self) -> Path:
        """The staging folder: what ships, compiled for this machine and the benchmark's provider."""
        return self._folder / "build"

    @property
    def certificates(self) -> str:
        """A file with the usual authorities and the benchmark's own."""
        return str(self.trust / "certifi/cacert.pem")

    def log(self, name: str) -> Path:
        """Where a function's lines go."""
        return self._folder / "logs" / f"{name}.log"

    def client(self, service: str) -> Any:
        """A client of the simulated AWS."""
        return client(service, self.aws.endpoint_url)

    @cached_property
    def functions(self) -> Mapping[str, FunctionSpec]:
        """Our functions by name, as the template declares them and as they ship, trusting the authority."""
        found = {}
        for function in self.resources.functions:
            url = self.aws.endpoint_url
            # Nobody here invokes another function: no token that is read is about to expire.
            spec = spec_of(function, build=self.build, endpoint_url=url, lambda_url=url, base_url=BASE_URL)
            found[function.name] = replace(spec, code=(spec.code[0], self.trust, *spec.code[1:]))
        return found

    def peer(self, name: str, handler: str, environment: Mapping[str, str]) -> FunctionSpec:
        """A function of a peer: its code is the folder `name`, its packages those of `bench-<name>.txt`."""
        given = {
            "AWS_ACCESS_KEY_ID": CREDENTIALS[0],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS[1],
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.aws.endpoint_url,
            # For those who make their TLS context by Python's defaults.
            "SSL_CERT_FILE": self.certificates,
            **environment,
        }
        code = (self.peer_code(name), self.trust, packages(name) / "python", self.build / "ric")
        return FunctionSpec(name, code, given, timeout_seconds=28, memory_mb=1024, handler=handler)

    def peer_code(self, name: str) -> Path:
        """The folder with a peer's own code."""
        return self._peers / name

    @cached_property
    def _peers(self) -> Path:
        """The peers' code with byte code, as ours has it."""
        target = self._folder / "peers"
        shutil.copytree(PEERS, target, ignore=shutil.ignore_patterns("__pycache__"))
        compile_tree(target, "/var/task")
        return target

    def _stage(self) -> None:
        overlay = self._folder / "overlay.yaml"
        overlay.write_text(f"providers:\n  {SIGNED}:\n    client_id: bench\n", encoding="utf-8")
        local = LocalCompile(
            extra_catalog=_SIGNED,
            config_overlay=overlay,
            simulators={PROVIDER: self.provider.base_url},
            link_keys={KID: public_key_text(self.key)},
            return_to_origins=[RETURN_TO],
        )
        stage(self.build, local=local)


def packages(peer: str, platform: str | None = None) -> Path:
    """A folder with a peer's packages, made once per lock and kept beside ours.

    Raises:
        StagingError: a package cannot be had.
    """
    lock = ROOT / f"requirements/bench-{peer}.txt"
    folder = _PACKAGES / f"bench-{peer}-{digest(lock, platform)[:16]}"
    install(lock, folder, platform=platform)
    return folder


def _trusting(authority: Path, folder: Path) -> Path:
    """A module path with certifi's own list of authorities and one more.

    Our client takes its trust from certifi and from nothing else, so the benchmark hands it another list
    and leaves every check as it ships. The list stays as long as it is, for loading it costs time.
    """
    package = folder / "certifi"
    package.mkdir(parents=True)
    (package / "cacert.pem").write_text(
        Path(certifi.where()).read_text(encoding="utf-8") + authority.read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    (package / "__init__.py").write_text(
        "import os\n\n\ndef where() -> str:\n"
        "    return os.path.join(os.path.dirname(__file__), 'cacert.pem')\n",
        encoding="utf-8",
    )
    return folder
