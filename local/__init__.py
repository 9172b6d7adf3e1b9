"""The whole system on one machine: real function runtime and routes, simulated AWS and providers.

`python -m local` starts it (local/stack.py). Everything listens on 127.0.0.1 only. It needs Linux,
because the runtime emulator is a Linux program.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

HOST = "127.0.0.1"
"""The only address that anything here listens on."""

REGION = "us-east-1"
"""AWS region of the local stack."""
