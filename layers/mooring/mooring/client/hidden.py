"""Takes a token out of texts: log lines of HTTP libraries that show whole addresses, and their exceptions."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar
from urllib.parse import quote, quote_plus


class Hidden:
    """A token that stands in no text.

    Args:
        token: as it was issued.
    """

    current: ClassVar[ContextVar["Hidden | None"]] = ContextVar("hidden", default=None)

    def __init__(self, token: str) -> None:
        spellings = {token, quote(token), quote(token, safe=""), quote_plus(token)} - {""}
        # The longest first: one may contain another.
        self._spellings = sorted(spellings, key=len, reverse=True)

    def text(self, text: str) -> str:
        """A text without it."""
        for spelling in self._spellings:
            text = text.replace(spelling, "***")
        return text

    @contextmanager
    def from_logs(self) -> Iterator[None]:
        """While it lasts, loggers that `redact` was told of leave it out of this thread's or task's lines."""
        before = Hidden.current.set(self)
        try:
            yield
        finally:
            Hidden.current.reset(before)


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        hidden = Hidden.current.get()
        if hidden is not None:
            record.msg, record.args = hidden.text(record.getMessage()), ()
        return True


def redact(*loggers: str) -> None:
    """Have these loggers leave out the tokens of requests that are under way. May be repeated."""
    for name in loggers:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _Redacting) for each in logger.filters):
            logger.addFilter(_Redacting())
