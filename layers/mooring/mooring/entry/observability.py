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
    """Powertools' logger and metrics, fed with `Line`s only: an exception's text never reaches them."""

    def __init__(self, metric: str) -> None:
        quiet_libraries()
        self._metric = metric
        self.logger = Logger(utc=True)
        self.metrics = Metrics()

    def wrap(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """The handler with Lambda's context on its log line and its metrics flushed at the end."""
        injected = self.logger.inject_lambda_context(handler, log_event=False, clear_state=True)
        wrapped: Callable[..., Any] = self.metrics.log_metrics(injected)
        return wrapped

    def emit(self, line: Line) -> None:
        """Write the one line of an invocation; count it by service, and by service with provider."""
        failed = line.outcome == "failed"
        fields: dict[str, Any] = {
            key: value for key, value in line._asdict().items() if value not in (None, "")
        }
        write = self.logger.warning if failed else self.logger.info
        write(line.outcome, extra=fields)
        names = ["Failed" if failed else self._metric]
        if line.alarm:
            names.append(line.alarm)
        for name in names:
            self.metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
        if line.provider:
            self.metrics.add_dimensions(service=self.metrics.service, provider=line.provider)
