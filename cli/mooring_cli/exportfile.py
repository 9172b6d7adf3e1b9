"""The export file: newline-delimited JSON, one connection a line, between a first line and a last one.

Everything but the tokens is readable. What is sealed repeats whose tokens they are, so that none can be
moved to another line. A file without its last line is not whole. docs/leaving.md describes it for whoever
receives it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mooring.core.connection import Connection, Status
from mooring.core.names import is_name, is_provider_id
from mooring_cli.errors import CommandError

FORMAT, END, VERSION = "mooring-export", "mooring-export-end", 1
_WHERE = "docs/leaving.md"
_MOST_BYTES = 400_000
"""Longer than any line: an item in DynamoDB has at most 400 kB."""
_MOST = 2**53
"""No message of ours names a higher number, so nothing could be done with such a connection."""
_IDENTITY = ("merchant_id", "provider", "account_id", "generation", "version")


type _Time = Annotated[int, Field(ge=0, le=_MOST)]


class Problem(Exception):  # noqa: N818 - an answer
    """A line that cannot be used. The text names fields, never what stands in them."""


class Line(BaseModel):
    """One connection. Times are epoch seconds; `tokens` is a compact JWE, or nothing where there are none."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    merchant_id: str
    provider: str
    account_id: str
    status: Status
    generation: int = Field(ge=1, le=_MOST)
    version: int = Field(ge=1, le=_MOST)
    scopes: list[str]
    expires_at: _Time | None
    refresh_expires_at: _Time | None
    issued_at: _Time | None
    expiring_at: _Time | None
    connected_at: _Time
    updated_at: _Time
    account_verified: bool
    details: dict[str, str]
    last_error: str | None
    uninstalled_at: _Time | None
    due_at: _Time | None
    in_doubt: bool
    tokens: str | None

    @field_validator("merchant_id", "account_id")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not is_name(value):
            raise ValueError("no merchant or account has such an id")
        return value

    @field_validator("provider")
    @classmethod
    def _is_provider(cls, value: str) -> str:
        if not is_provider_id(value):
            raise ValueError("no provider has such an id")
        return value

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.status is Status.PENDING_CONFIRMATION:
            raise ValueError("what waits for confirmation is not exported")
        if self.tokens is not None and self.status in (Status.UNINSTALLED, Status.DISCONNECTED):
            raise ValueError("a connection that has ended has no tokens")
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What its sealed tokens repeat."""
        return {name: getattr(self, name) for name in _IDENTITY}

    def connection(self) -> Connection:
        """The same as a connection."""
        return Connection(
            merchant_id=self.merchant_id,
            provider=self.provider,
            account_id=self.account_id,
            status=self.status,
            generation=self.generation,
            version=self.version,
            scopes=tuple(self.scopes),
            expires_at=self.expires_at,
            connected_at=self.connected_at,
            updated_at=self.updated_at,
            account_verified=self.account_verified,
            last_error=self.last_error,
            details=self.details,
            issued_at=self.issued_at,
            expiring_at=self.expiring_at,
        )


class Tokens(BaseModel):
    """What is sealed: the tokens, and whose they are."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    merchant_id: str
    provider: str
    account_id: str
    generation: int
    version: int
    access_token: str = Field(min_length=1, repr=False)
    refresh_token: str | None = Field(min_length=1, repr=False)


class Head(NamedTuple):
    """The first line: which installation, when, and to which key (its thumbprint) tokens are sealed."""

    stage: str
    exported_at: int
    kid: str


def first_line(stage: str, region: str, now: int, algorithm: str, content: str, kid: str) -> str:
    """The first line."""
    return _dump(
        {
            "format": FORMAT,
            "version": VERSION,
            "stage": stage,
            "region": region,
            "exported_at": now,
            "alg": algorithm,
            "enc": content,
            "kid": kid,
        }
    )


def line(found: Line) -> str:
    """The line of one connection."""
    return _dump(found.model_dump())


def last_line(connections: int, without_tokens: int) -> str:
    """The last line. `without_tokens`: how many of them live, and their tokens could not be read."""
    return _dump({"format": END, "connections": connections, "without_tokens": without_tokens})


def check_whole(path: Path) -> tuple[Head, int]:
    """The first line, and how many connections follow.

    Raises:
        CommandError: it is no export file, of another version, or not whole.
    """
    head: Head | None = None
    number, last = 0, ""
    for number, text in enumerate(_lines(path), 1):
        if number == 1:
            head = _head(path, text)
        last = text
    if head is None:
        raise CommandError(f"{path} is empty")
    end = _object(last)
    count = number - 2
    if end.get("format") != END or end.get("connections") != count:
        raise CommandError(
            f"{path} is not whole: its last line is missing, or does not tell how many connections there "
            "are. Export once more, or copy the file once more. Nothing was changed"
        )
    return head, count


def connections_in(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line between the first and the last of a file that was found whole."""
    before: tuple[int, str] | None = None
    for number, text in enumerate(_lines(path), 1):
        if before is not None:
            yield before
        before = (number, text) if number > 1 else None


def read_line(text: str) -> Line:
    """One connection. Raises `Problem`."""
    try:
        return Line.model_validate_json(text)
    except ValidationError as error:
        raise Problem(_said(error)) from None


def read_tokens(content: Mapping[str, Any], whose: Line) -> Tokens:
    """The opened tokens of a line. Raises `Problem`, also when they are another's."""
    try:
        tokens = Tokens.model_validate(content)
    except ValidationError as error:
        raise Problem(f"tokens: {_said(error)}") from None
    if any(content[name] != value for name, value in whose.identity.items()):
        raise Problem("its tokens belong to another connection, or to another generation or version of it")
    return tokens


def _said(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']}" if place else str(found["msg"])


def _head(path: Path, text: str) -> Head:
    found = _object(text)
    if found.get("format") != FORMAT:
        raise CommandError(f"{path} does not begin like an export file: {_WHERE}")
    if found.get("version") != VERSION:
        raise CommandError(f"{path} is of a version that this release cannot read. Use a later one")
    stage, at, kid = (found.get(name) for name in ("stage", "exported_at", "kid"))
    if not (isinstance(stage, str) and isinstance(at, int) and isinstance(kid, str)):
        raise CommandError(f"{path} does not say in its first line where it comes from: {_WHERE}")
    return Head(stage, at, kid)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            while text := file.readline(_MOST_BYTES):
                yield text.rstrip("\n")
    except OSError:
        raise CommandError(f"{path} cannot be read") from None


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))
