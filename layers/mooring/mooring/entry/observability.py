"""Logger and metrics of every function but `authorize`: Powertools, one line an invocation."""

import logging
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from mooring.entry.http_api import Line

_LIBRARIES = ("boto3", "botocore", "urllib3", "requests")


def quiet_libraries() -> None:
    """Keep libraries' loggers silent: their warnings carry URLs, and a URL can carry a code."""
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.setLevel(logging.CRITICAL)
        library.propagate = False


class Observability:
    """Powertools' logger and metrics, fed with `Line`s only: an exception's text never reaches them.

    Args:
        metric: counts lines that tell of no failure and bring no counts of their own.
    """

    def __init__(self, metric: str) -> None:
        quiet_libraries()
        self._metric = metric
        self.logger = Logger(utc=True)
        self.metrics = Metrics()

    def wrap(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """The handler with Lambda's context on its log lines."""
        wrapped: Callable[..., Any] = self.logger.inject_lambda_context(
            handler, log_event=False, clear_state=True
        )
        return wrapped

    def emit(self, line: Line) -> None:
        """Write one line; count it by service, and by service with provider."""
        failed = line.outcome == "failed"
        write = self.logger.warning if failed else self.logger.info
        write(line.outcome, extra=line.fields())
        counts = dict(line.counts or (("Failed" if failed else self._metric, 1),))
        if line.alarm:
            counts.setdefault(line.alarm, 1)
        for name, value in counts.items():
            unit = MetricUnit.Seconds if name.endswith("Seconds") else MetricUnit.Count
            self.metrics.add_metric(name=name, unit=unit, value=value)
        if line.provider:
            self.metrics.add_dimensions(service=self.metrics.service, provider=line.provider)
        # At once: the next line of the same invocation may be of another provider.
        self.metrics.flush_metrics()
