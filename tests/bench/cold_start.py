"""Cold start of `authorize` against a Lambda that only answers 302, interleaved, in one run.

    make bench            (or: python -m tests.bench.cold_start [ROUNDS])

Each figure is the time from starting the runtime's process to the whole answer, in the real Lambda
runtime. A fresh process per figure; only the ratio means anything on another machine. Exits 1 when
the ratio of the medians exceeds the budget, or when either function answers anything but 302.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.emulator import Emulator, FunctionSpec
from local.logs import FunctionLog
from mooring.providers.compiler import LocalCompile
from tests.bench.staging import public_key_text
from tools.stage import stage

ROOT = Path(__file__).resolve().parents[2]
BASE_URL = "http://127.0.0.1:8000"
RETURN_TO = "http://127.0.0.1:8001"
BUDGET = 4.0
ROUNDS = 15


def link(key: Ed25519PrivateKey) -> str:
    """A link that lives for five minutes, as a product would sign it."""
    now = int(time.time())
    claims = {
        "aud": BASE_URL,
        "sub": "m-1",
        "return_to": f"{RETURN_TO}/",
        "iat": now,
        "exp": now + 300,
        "jti": f"bench-{now}",
        "use": "connect",
        "provider": "yotpo",
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "bench"})


def event(token: str) -> bytes:
    """The HTTP API event of a click on that link."""
    http = {"method": "GET", "path": "/authorize/yotpo", "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"}
    document = {
        "version": "2.0",
        "routeKey": "GET /authorize/{provider}",
        "rawPath": "/authorize/yotpo",
        "rawQueryString": f"link={token}",
        "headers": {"host": "127.0.0.1:8000", "sec-fetch-site": "none"},
        "requestContext": {"http": http, "requestId": "bench", "stage": "$default"},
        "pathParameters": {"provider": "yotpo"},
        "isBase64Encoded": False,
    }
    return json.dumps(document).encode()


def authorize_spec(target: Path) -> FunctionSpec:
    """`authorize` as it ships, compiled for this machine."""
    environment = {
        "MOORING_STAGE": "local",
        "MOORING_BASE_URL": BASE_URL,
        "POWERTOOLS_SERVICE_NAME": "authorize",
    }
    code = (
        target / "functions/authorize",
        target / "ric",
        target / "layers/mooring/python",
        target / "layers/dependencies/python",
    )
    return FunctionSpec("authorize", code, environment, timeout_seconds=5)


def bare_spec(target: Path) -> FunctionSpec:
    """The yardstick, on the same module path."""
    return FunctionSpec("bare", (ROOT / "tests/bench/bare", target / "ric"), {}, timeout_seconds=5)


def cold_ms(spec: FunctionSpec, log: FunctionLog, body: bytes) -> float:
    """Milliseconds of one cold invocation.

    Raises:
        SystemExit: it did not answer 302.
    """
    emulator = Emulator(spec, log)
    try:
        result = emulator.invoke(body)
    finally:
        emulator.stop()
    if result.error or result.json().get("statusCode") != 302:
        raise SystemExit(f"{spec.name} did not answer 302: {result.payload[:300]!r}")
    return result.duration_ms


def main(rounds: int = ROUNDS) -> int:
    """Run the benchmark and print both medians and their ratio; 0 within the budget, else 1."""
    key = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        local = LocalCompile(
            simulators={}, link_keys={"bench": public_key_text(key)}, return_to_origins=[RETURN_TO]
        )
        stage(target, local=local)
        body = event(link(key))
        specs = {"302 only": bare_spec(target), "authorize": authorize_spec(target)}
        logs = {name: FunctionLog(target / f"{spec.name}.log") for name, spec in specs.items()}
        times: dict[str, list[float]] = {name: [] for name in specs}
        for _ in range(rounds + 1):
            for name, spec in specs.items():
                times[name].append(cold_ms(spec, logs[name], body))
        for log in logs.values():
            log.close()
    medians = {
        name: statistics.median(values[1:]) for name, values in times.items()
    }  # the first warms the disk
    for name, median in medians.items():
        print(f"{name:<10} cold  median {median:6.1f} ms of {rounds}")
    ratio = medians["authorize"] / medians["302 only"]
    print(f"ratio      {ratio:.2f} x  (budget {BUDGET:.0f} x)")
    return 0 if ratio <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
