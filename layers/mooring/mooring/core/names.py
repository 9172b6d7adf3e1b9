"""The names that Mooring accepts, checked in one place before anything is built from them."""

import re

_PROVIDER = re.compile(r"[a-z][a-z0-9-]{1,31}")
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")

DEFAULT_ACCOUNT = "default"
"""Account id of a connection whose provider names no account."""


def is_provider_id(text: str) -> bool:
    """Whether `text` is a provider id: lower case, 2 to 32 characters."""
    return _PROVIDER.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether `text` can be a merchant id, an account id or a link's `jti` (1 to 128 characters).

    `.` and `..` cannot: in a path they would name another one.
    """
    return _NAME.fullmatch(text) is not None and text not in (".", "..")


def connection_key(provider: str, account_id: str) -> str:
    """Sort key of a connection: `provider#account_id`."""
    return f"{provider}#{account_id}"


def within_origins(url: str, origins: tuple[str, ...]) -> bool:
    """Whether `url` lies under one of the exact `origins` (`https://app.example.com`).

    The text itself is compared, byte for byte, so that no parser can read it otherwise than a
    browser does. Only printable ASCII without backslash, quotes and angle brackets passes.
    """
    if not all("!" <= char <= "~" for char in url) or any(char in "\\\"'<>`{}|^" for char in url):
        return False
    return any(
        url == origin or url.startswith((f"{origin}/", f"{origin}?", f"{origin}#")) for origin in origins
    )


def origin_of(url: str) -> str:
    """The origin of an absolute URL (`scheme://host[:port]`), or an empty text when it has none."""
    match = re.match(r"(https?://[^/?#\\@\s]+)(?=[/?#]|$)", url)
    return match.group(1) if match else ""
