"""Keys of receivers, made as docs/leaving.md says."""

import subprocess
from pathlib import Path
from typing import NamedTuple

RECIPES = {
    "ec": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "x25519": ("-algorithm", "X25519"),
    "rsa": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
}


class KeyPair(NamedTuple):
    """Two PEM files."""

    private: Path
    public: Path


def key_pair(folder: Path, kind: str = "ec", *recipe: str) -> KeyPair:
    """A new key pair, by openssl."""
    pair = KeyPair(folder / f"{kind}-private.pem", folder / f"{kind}-public.pem")
    making = ["openssl", "genpkey", *(recipe or RECIPES[kind]), "-out", str(pair.private)]
    subprocess.run(making, check=True, capture_output=True)
    half = ["openssl", "pkey", "-in", str(pair.private), "-pubout", "-out", str(pair.public)]
    subprocess.run(half, check=True, capture_output=True)
    return pair
