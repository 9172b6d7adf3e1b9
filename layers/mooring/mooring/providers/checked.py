"""The kinds of text that settings consist of, each with its own check and message."""

import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/?#]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_HIDDEN_SUFFIXES = ("localhost", "local", "internal", "home", "lan", "corp")
_MAX_PORT = 65_535


@dataclass(frozen=True)
class Pattern:
    """Text that must match a regular expression as a whole.

    Args:
        regex: the expression.
        must: what to tell whoever wrote something else ("must be ...").
    """

    regex: str
    must: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.regex)

    def check(self, text: str) -> str:
        """The text itself. Raises ValueError with `must`."""
        if self._compiled.fullmatch(text) is None:
            raise ValueError(self.must)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.regex})$"}


@dataclass(frozen=True)
class Url:
    """An https URL to a public host, or, in a local compile, also to this machine.

    Args:
        placeholder: the one name in braces that its path (or fragment) may contain.
        query: whether it may have a query.
        fragment: whether it may have a fragment.
        origin: whether it must be an origin: scheme and host alone.
    """

    placeholder: str = ""
    query: bool = True
    fragment: bool = False
    origin: bool = False

    def check(self, url: str, info: ValidationInfo) -> str:
        """The URL itself. Raises ValueError saying what to change; `info.context` may hold `local`."""
        local = bool(info.context and info.context.get("local"))
        match = _URL.fullmatch(url)
        if match is None or not all("!" <= char <= "~" and char not in "\\\"'<>`|^" for char in url):
            raise ValueError("must be an absolute URL without spaces: https://host/path")
        check_host(match["scheme"], match["host"], local)
        self._check_rest(match)
        return url

    def _check_rest(self, match: re.Match[str]) -> None:
        if self.origin and (match["path"] or match["query"] or match["fragment"]):
            raise ValueError("must be an exact origin (https://host[:port]): no path and no slash at the end")
        if match["query"] and not self.query:
            raise ValueError("must not have a query: put fixed parameters under `extra`")
        if match["fragment"] is not None and not self.fragment:
            raise ValueError("must not have a fragment (the part from # on): it is never sent")
        for part in ("path", "query", "fragment"):
            allowed = {self.placeholder} if self.placeholder and part != "query" else set()
            unknown = set(_PLACEHOLDER.findall(match[part] or "")) - allowed
            if unknown or any(brace in _PLACEHOLDER.sub("", match[part] or "") for brace in "{}"):
                raise ValueError(self._about_braces())

    def _about_braces(self) -> str:
        if self.placeholder:
            return f"can only have {{{self.placeholder}}} in braces, and only in its path"
        return "cannot have anything in braces"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": "^https?://"}


def check_host(scheme: str, host: str, local: bool) -> None:
    """Check scheme and `host[:port]` of a URL; raises ValueError saying what to change.

    Production wants https and a public host. A local compile also takes http and https on this
    machine itself (127.0.0.1, ::1, localhost), and nothing else that is private.
    """
    if "@" in host:
        raise ValueError("must not have a user name or password before the host")
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 1) > _MAX_PORT:
        raise ValueError("must have a host in lower case, with a port only where it is not the usual one")
    if match["port"] == {"https": "443", "http": "80"}[scheme]:
        raise ValueError("must not name the usual port: leave it out")
    name = match["name"].strip("[]")
    if is_loopback(name):
        if local:
            return
        raise ValueError(
            "must not point to this machine: loopback addresses exist only in what `make run` compiles"
        )
    if scheme != "https":
        raise ValueError("must begin with https://")
    if not _is_public(name):
        raise ValueError("must have a public host: a private address or name is never called")


def is_loopback(name: str) -> bool:
    """Whether a host name or address literal (without brackets) is this machine itself."""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_public(name: str) -> bool:
    try:
        return ip_address(name).is_global
    except ValueError:
        pass
    labels = name.split(".")
    # A last label that begins with a digit is an address in disguise (127.1, 0x7f.1, 2130706433).
    if len(labels) == 1 or labels[-1] in _HIDDEN_SUFFIXES or labels[-1][:1].isdigit():
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


ParameterName = Annotated[
    str, Pattern(r"[A-Za-z0-9_.\[\]-]{1,64}", "must be a parameter name: 1 to 64 of A-Z a-z 0-9 _ . [ ] -")
]
HeaderName = Annotated[str, Pattern(r"[A-Za-z0-9-]{1,64}", "must be a header name: 1 to 64 of A-Z a-z 0-9 -")]
FieldPath = Annotated[
    str,
    Pattern(
        r"[A-Za-z0-9_@$:-]{1,64}(\.[A-Za-z0-9_@$:-]{1,64}){0,9}",
        "must be a dotted path such as `data.access_token`",
    ),
]
DetailKey = Annotated[
    str, Pattern(r"[a-z][a-z0-9_]{0,63}", "must be a key of `details`: a-z 0-9 _, up to 64")
]
Locator = Annotated[
    str,
    Pattern(
        r"header:[A-Za-z0-9-]{1,64}|body:[A-Za-z0-9_@$:-]{1,64}(\.[A-Za-z0-9_@$:-]{1,64}){0,9}",
        "must be `header:Name` or `body:dotted.path`",
    ),
]
Line = Annotated[str, Pattern(r"[^\x00-\x1f\x7f]{1,500}", "must be one line of text, up to 500 characters")]
Scope = Annotated[str, Pattern(r"[!#-\[\]-~]{1,200}", "must be a scope: printable ASCII, no space or quote")]
Word = Annotated[
    str, Pattern(r"[!-~]{1,512}", "must be printable ASCII without spaces, up to 512 characters")
]
Separator = Annotated[str, Pattern(r"[ ,+;|]", "must be one of: space, comma, plus, semicolon, bar")]
ProviderId = Annotated[
    str, Pattern(r"[a-z][a-z0-9-]{1,31}", "must be a provider id: 2 to 32 of a-z 0-9 -, a letter first")
]
