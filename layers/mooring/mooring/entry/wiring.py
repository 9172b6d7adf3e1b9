"""The composition root of the functions: which adapter stands behind which port.

Imports that cost much stand inside the function that needs them, so that `authorize` never
loads an AWS, HTTP or validation library.
"""

import os
import time
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from mooring.adapters.ed25519 import verify
from mooring.core.link import LinkPolicy
from mooring.core.visit import Result
from mooring.entry.http_api import Browser, Emit, Response, came_through
from mooring.entry.settings import Settings, settings_from
from mooring.flows.authorize import AuthorizePorts
from mooring.providers.authorization_request import authorization_url
from mooring.providers.catalog import Catalog

if TYPE_CHECKING:
    from mooring.adapters.aws import Aws
    from mooring.adapters.sealing import EnvelopeSealer
    from mooring.core.errors import Failure
    from mooring.entry.pages import Pages
    from mooring.flows.callback import CallbackPorts
    from mooring.flows.read import ReadPorts

_CATALOG = Catalog(f"{__file__.rpartition('/entry/')[0]}/compiled")
_STATE_BYTES = 32


def authorize_ports() -> AuthorizePorts:
    """The ports of `authorize`: a key, a clock, a source of randomness, and no AWS."""
    return AuthorizePorts(
        provider=_CATALOG.get,
        policy=_policy(settings_from(os.environ)),
        authorization_url=authorization_url,
        clock=time.time,
        random=lambda: token_urlsafe(_STATE_BYTES),
    )


def callback_ports() -> "CallbackPorts":
    """The ports of `callback`, with one AWS session and one HTTP client for the process."""
    import random

    from mooring.adapters.dynamodb_connections import DynamoConnections
    from mooring.adapters.dynamodb_flows import DynamoFlows
    from mooring.adapters.http import OutboundHttp
    from mooring.adapters.sqs import SqsRecoveryQueue
    from mooring.adapters.ssm import ParameterSecrets
    from mooring.flows.callback import CallbackPorts
    from mooring.providers.oauth2 import OAuth2

    settings = settings_from(
        os.environ, "connections_table", "flows_table", "token_key_id", "recovery_queue_url"
    )
    aws, jitter = _aws(), random.SystemRandom().random
    return CallbackPorts(
        provider=_CATALOG.get,
        policy=_policy(settings),
        flows=DynamoFlows(aws.dynamodb(), settings.flows_table),
        connections=DynamoConnections(
            aws.dynamodb(attempts=1), settings.connections_table, settings.flows_table
        ),
        sealer=_sealer(aws, settings),
        secrets=ParameterSecrets(aws.ssm(), settings.stage, time.time, jitter),
        server=OAuth2(OutboundHttp()),
        recovery=SqsRecoveryQueue(aws.sqs(), settings.recovery_queue_url),
        clock=time.time,
        jitter=jitter,
    )


def read_ports() -> "ReadPorts":
    """The ports of the services' routes."""
    from mooring.adapters.dynamodb_connections import DynamoConnections
    from mooring.flows.read import ReadPorts

    settings = settings_from(os.environ, "connections_table", "token_key_id")
    aws = _aws()
    connections = DynamoConnections(aws.dynamodb(), settings.connections_table)
    return ReadPorts(connections=connections, sealer=_sealer(aws, settings), clock=time.time)


def light_browser(prefix: str, metric: str) -> Browser:
    """How `authorize` answers browsers: logging by the standard library alone."""
    from mooring.entry import light_log

    light_log.start(os.environ)
    return browser(prefix, light_log.emitter(os.environ, metric))


def browser(prefix: str, emit: Emit) -> Browser:
    """How a browser route answers; the pages are loaded when the first one is shown."""
    return Browser(prefix, enabled, _question, _failure, emit, _welcome)


def enabled(provider: str) -> bool:
    """Whether `provider` is enabled here."""
    return provider in _CATALOG.settings().providers


def _welcome(headers: Mapping[str, str]) -> bool:
    return came_through(headers, _CATALOG.settings().origin_secret_hashes)


def _question(result: Result) -> Response:
    return _pages().question(result)


def _failure(failure: "Failure", ref: str, provider: str | None) -> Response:
    return _pages().failure(failure, ref, provider)


def _pages() -> "Pages":
    from mooring.entry.pages import Branding, Pages

    project = _CATALOG.settings()
    return Pages(Branding(project.product, project.support_url, project.colour), project.providers)


def _policy(settings: Settings) -> LinkPolicy:
    project = _CATALOG.settings()
    return LinkPolicy(settings.base_url, project.link_keys, project.return_to_origins, verify)


def _aws() -> "Aws":
    from mooring.adapters.aws import Aws

    return Aws(os.environ["AWS_REGION"])


def _sealer(aws: "Aws", settings: Settings) -> "EnvelopeSealer":
    from mooring.adapters.kms import Kms
    from mooring.adapters.sealing import EnvelopeSealer

    return EnvelopeSealer(Kms(aws.kms(), settings.token_key_id), time.time)
