"""What a person may say to the local stack: command line, environment, and the file of secrets."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.stack_dir import DEFAULT, StackError

_DEFAULT_PORT = "8000"
_HIGHEST_PORT = 65_535
#: Short, so that whoever watches sees tokens being refreshed.
_LIFETIME = "240"
_LIFETIME_NAME = "MOORING_LOCAL_TOKEN_SECONDS"
_LONGEST_LIFETIME = 31_536_000
_THROUGH_NAME = "MOORING_LOCAL_AWS_THROUGH"
#: Functions sign what they send there, and nobody outside of this machine is to get it.
_LOOPBACK_ORIGIN = re.compile(r"http://(?:127\.0\.0\.1|localhost):[0-9]{1,5}")
_SECRET_NAMES = frozenset({"client_secret", "webhook_secret"})

Secrets = Mapping[str, Mapping[str, str]]
"""Secret by its name (`client_secret`, `webhook_secret`), by provider id."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a stack is started.

    Attributes:
        stack_dir: where it keeps its files.
        port: loopback port of the HTTP API; 0 takes a free one.
        providers_dir: a folder with further descriptors.
        config: a YAML file that is laid over mooring.yaml.
        secrets: a JSON file with providers' secrets.
        services: a JSON file with the policy of each service that may call the API.
        token_seconds: life of an access token at the simulated provider whose tokens expire.
        aws_through: address under which the functions reach the simulated AWS, of something that stands
            between, such as a proxy that makes calls fail; None lets them call it directly. What stands
            there finds the simulated AWS's own address in the stack folder (`StackDir.aws_file`).
    """

    stack_dir: Path = DEFAULT
    port: int = int(_DEFAULT_PORT)
    providers_dir: Path | None = None
    config: Path | None = None
    secrets: Path | None = None
    services: Path | None = None
    token_seconds: int = int(_LIFETIME)
    aws_through: str | None = None


def read_options(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Options from the command line, and for what it does not say from PORT and MOORING_….

    Raises:
        StackError: a value that cannot be used.
        SystemExit: the command line is wrong, or asks for help.
    """
    parser = argparse.ArgumentParser(prog="python -m local", description="Run everything on this machine.")
    parser.add_argument("--port", help=f"port of the HTTP API; 0 takes a free one (PORT, {_DEFAULT_PORT})")
    parser.add_argument("--stack-dir", type=Path, default=DEFAULT, help=f"folder for its files ({DEFAULT})")
    given = parser.parse_args(arguments)
    return Options(
        stack_dir=given.stack_dir,
        port=_number("PORT", given.port or environ.get("PORT") or _DEFAULT_PORT, 0, _HIGHEST_PORT),
        providers_dir=_path(environ, "MOORING_PROVIDERS_DIR"),
        config=_path(environ, "MOORING_CONFIG"),
        secrets=_path(environ, "MOORING_SECRETS"),
        services=_path(environ, "MOORING_SERVICES"),
        token_seconds=_number(
            _LIFETIME_NAME,
            environ.get(_LIFETIME_NAME) or _LIFETIME,
            1,
            _LONGEST_LIFETIME,
        ),
        aws_through=_loopback(_THROUGH_NAME, environ.get(_THROUGH_NAME, "").strip()),
    )


def read_secrets(path: Path | None) -> Secrets:
    """The file of secrets; nothing when there is none.

    Raises:
        StackError: unreadable, not JSON, or not as it should be; says where, never what is in it.
    """
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise StackError(f"MOORING_SECRETS: cannot read {path}: {reason}") from None
    except json.JSONDecodeError as error:
        # `from None`: the exception holds the whole file.
        raise StackError(f"MOORING_SECRETS: {path}:{error.lineno} is not JSON: {error.msg}") from None
    if not isinstance(content, dict):
        raise StackError(f"MOORING_SECRETS: {path} must hold {_shape()}")
    for provider, held in content.items():
        if not _are_secrets(held):
            raise StackError(f"MOORING_SECRETS: {path}: {provider} must hold {_shape()}")
    return content


def _shape() -> str:
    return 'secrets by provider: {"yotpo": {"client_secret": "...", "webhook_secret": "..."}}'


def _are_secrets(held: object) -> bool:
    return (
        isinstance(held, dict)
        and held.keys() <= _SECRET_NAMES
        and all(isinstance(secret, str) and secret for secret in held.values())
    )


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not text.isascii() or not text.isdecimal() or not lowest <= int(text) <= highest:
        raise StackError(f"{name} must be a number from {lowest} to {highest}, not {text!r}")
    return int(text)


def _loopback(name: str, text: str) -> str | None:
    if text and not _LOOPBACK_ORIGIN.fullmatch(text):
        raise StackError(
            f"{name} must be an address of this machine like http://127.0.0.1:4567, not {text!r}"
        )
    return text or None


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name, "").strip()
    if not value:
        return None
    path = Path(value).expanduser().resolve()
    if not path.exists():
        raise StackError(f"{name}: {path} is not there")
    return path
