"""Cold start of `authorize` against a Lambda that only answers 302, interleaved, in one run.

    make bench            (or: python -m tests.bench.cold_start [ROUNDS])

Each figure is the time from starting the runtime's process to the whole answer, in the real Lambda
runtime. A fresh process per figure; only the ratio means anything on another machine. Exits 1 when
the ratio of the medians exceeds the budget, or when either function answers anything but 302.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.emulator import Emulator, FunctionSpec
from local.logs import FunctionLog
from mooring.providers.compiler import LocalCompile
from tests.bench.staging import BASE_URL, KID, RETURN_TO, event, link, public_key_text
from tools.stage import stage

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 4.0
ROUNDS = 15


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
            simulators={}, link_keys={KID: public_key_text(key)}, return_to_origins=[RETURN_TO]
        )
        stage(target, local=local)
        body = event("yotpo", f"link={link(key, 'yotpo')}")
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
