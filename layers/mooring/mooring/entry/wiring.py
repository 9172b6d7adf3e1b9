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
    from mooring.core.provider import Provider
    from mooring.entry.hooks import Hook
    from mooring.entry.pages import Pages
    from mooring.entry.service_api import ServicePorts
    from mooring.entry.worker import Doors
    from mooring.flows.callback import CallbackPorts
    from mooring.flows.recover import RecoverPorts
    from mooring.flows.sweep import SweepPorts
    from mooring.flows.uninstall import UninstallPorts
    from mooring.flows.work import WorkPorts

_CATALOG = Catalog(f"{__file__.rpartition('/entry/')[0]}/compiled")
_STATE_BYTES = 32
_ATTEMPT_BYTES = 12


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
    from mooring.adapters.recovery_queue import SqsRecoveryQueue
    from mooring.adapters.revocation_queue import SqsRevocations
    from mooring.adapters.ssm import ParameterSecrets
    from mooring.flows.callback import CallbackPorts
    from mooring.providers.oauth2 import OAuth2

    needed = ("connections_table", "flows_table", "token_key_id", "recovery_queue_url", "revoke_queue_url")
    settings = settings_from(os.environ, *needed)
    aws, jitter = aws_clients(), random.SystemRandom().random
    return CallbackPorts(
        provider=_CATALOG.get,
        policy=_policy(settings),
        flows=DynamoFlows(aws.dynamodb(), settings.flows_table),
        connections=DynamoConnections(
            aws.dynamodb(attempts=1), settings.connections_table, settings.flows_table
        ),
        sealer=token_sealer(aws, settings),
        secrets=ParameterSecrets(aws.ssm(), settings.stage, time.time, jitter),
        server=OAuth2(OutboundHttp()),
        recovery=SqsRecoveryQueue(aws.sqs(), settings.recovery_queue_url),
        revocations=SqsRevocations(aws.sqs(), settings.revoke_queue_url),
        clock=time.time,
        jitter=jitter,
    )


def service_ports() -> "ServicePorts":
    """The ports of the services' routes."""
    from mooring.adapters.dynamodb_connections import DynamoConnections
    from mooring.adapters.dynamodb_endings import DynamoEndings
    from mooring.adapters.refresher import LambdaRefresher
    from mooring.entry.service_api import ServicePorts
    from mooring.flows.disconnect import DisconnectPorts
    from mooring.flows.read import ReadPorts
    from mooring.flows.renew import RenewPorts

    settings = settings_from(os.environ, "connections_table", "token_key_id", "refresh_function")
    aws = aws_clients()
    connections = DynamoConnections(aws.dynamodb(), settings.connections_table)
    sealer = token_sealer(aws, settings)
    refresher = LambdaRefresher(aws.lambda_(), settings.refresh_function)
    return ServicePorts(
        read=ReadPorts(connections, sealer, refresher, _refreshes, time.time, time.sleep),
        renew=RenewPorts(connections, refresher),
        disconnect=DisconnectPorts(DynamoEndings(aws.dynamodb(), settings.connections_table), time.time),
        known=enabled,
        provider=_CATALOG.get,
    )


def refresh_doors() -> "Doors":
    """What the refresh function works with."""
    from mooring.adapters import recovery_queue, work_messages
    from mooring.entry.worker import Doors
    from mooring.flows.recover import recover
    from mooring.flows.work import keep, work

    queues = (f"{queue}_queue_url" for queue in ("refresh", "recovery", "revoke"))
    settings = settings_from(os.environ, "connections_table", "flows_table", "token_key_id", *queues)
    aws = aws_clients()
    ports, recovering = _work_ports(aws, settings)
    recovery = recovery_queue.SqsRecoveryQueue(aws.sqs(), settings.recovery_queue_url)
    its_name = settings.recovery_queue_url.rpartition("/")[2]
    return Doors(
        known=enabled,
        is_recovery=lambda arn: arn.rpartition(":")[2] == its_name,
        parse=work_messages.parse,
        work=lambda item, left: work(item, ports, left),
        parse_recovery=recovery_queue.parse,
        recover=lambda found: [recover(found, recovering)],
        again_soon=recovery.again_soon,
        parse_order=work_messages.parse_order,
        keep=lambda order, left: keep(order, ports, left),
        answer_of=work_messages.answer_of,
    )


def _work_ports(aws: "Aws", settings: Settings) -> "tuple[WorkPorts, RecoverPorts]":
    import random

    from mooring.adapters.dynamodb_circuits import DynamoCircuits
    from mooring.adapters.dynamodb_endings import DynamoEndings
    from mooring.adapters.dynamodb_leases import DynamoLeases
    from mooring.adapters.dynamodb_recoveries import DynamoRecoveries
    from mooring.adapters.http import OutboundHttp
    from mooring.adapters.recovery_queue import SqsRecoveryQueue
    from mooring.adapters.revocation_queue import SqsRevocations
    from mooring.adapters.ssm import ParameterSecrets
    from mooring.adapters.work_queue import SqsWorkQueue
    from mooring.flows.probe import ProbePorts
    from mooring.flows.recover import RecoverPorts
    from mooring.flows.refresh import RefreshPorts
    from mooring.flows.watch import Watch
    from mooring.flows.work import WorkPorts
    from mooring.providers.oauth2 import OAuth2

    jitter, once, sealer = random.SystemRandom().random, aws.dynamodb(attempts=1), token_sealer(aws, settings)
    leases, server = DynamoLeases(once, settings.connections_table), OAuth2(OutboundHttp())
    revocations = SqsRevocations(aws.sqs(), settings.revoke_queue_url)
    refresh = RefreshPorts(
        provider=_CATALOG.get,
        leases=leases,
        sealer=sealer,
        secrets=ParameterSecrets(aws.ssm(), settings.stage, time.time, jitter),
        server=server,
        recovery=SqsRecoveryQueue(aws.sqs(), settings.recovery_queue_url),
        revocations=revocations,
        watch=Watch(DynamoCircuits(aws.dynamodb(), settings.flows_table), time.time),
        clock=time.time,
        jitter=jitter,
        attempt_id=lambda: token_urlsafe(_ATTEMPT_BYTES),
    )
    endings = DynamoEndings(aws.dynamodb(), settings.connections_table, settings.flows_table)
    queue = SqsWorkQueue(aws.sqs(), settings.refresh_queue_url)
    probe = ProbePorts(_CATALOG.get, endings, sealer, server, queue, time.time, jitter)
    recoveries = DynamoRecoveries(once, settings.connections_table, settings.flows_table)
    return WorkPorts(refresh, probe), RecoverPorts(leases, recoveries, revocations, time.time)


def sweep_ports() -> "tuple[SweepPorts, int]":
    """The ports of `sweep`, and how many messages the workers drain in two minutes."""
    from mooring.adapters.dynamodb_circuits import DynamoCircuits
    from mooring.adapters.dynamodb_due import DynamoDueIndex
    from mooring.adapters.dynamodb_flows import DynamoFlows
    from mooring.adapters.work_queue import SqsWorkQueue
    from mooring.flows.sweep import SweepPorts

    needed = ("connections_table", "flows_table", "refresh_queue_url", "queue_limit")
    settings = settings_from(os.environ, *needed)
    aws = aws_clients()
    ports = SweepPorts(
        due=DynamoDueIndex(aws.dynamodb(), settings.connections_table),
        flows=DynamoFlows(aws.dynamodb(), settings.flows_table),
        circuits=DynamoCircuits(aws.dynamodb(), settings.flows_table),
        work=SqsWorkQueue(aws.sqs(), settings.refresh_queue_url),
        queued={},
        clock=time.time,
    )
    return ports, int(settings.queue_limit)


def uninstall_ports() -> "UninstallPorts":
    """The ports of `uninstall`: no key of tokens among them."""
    import random

    from mooring.adapters.dynamodb_endings import DynamoEndings
    from mooring.adapters.ssm import ParameterSecrets
    from mooring.adapters.work_queue import SqsWorkQueue
    from mooring.flows.uninstall import UninstallPorts
    from mooring.providers.notices import read_notice

    settings = settings_from(os.environ, "connections_table", "flows_table", "refresh_queue_url")
    aws = aws_clients()
    return UninstallPorts(
        provider=_CATALOG.get,
        read=read_notice,
        secrets=ParameterSecrets(aws.ssm(), settings.stage, time.time, random.SystemRandom().random),
        endings=DynamoEndings(aws.dynamodb(), settings.connections_table, settings.flows_table),
        work=SqsWorkQueue(aws.sqs(), settings.refresh_queue_url),
        clock=time.time,
    )


def hook(prefix: str, emit: Emit) -> "Hook":
    """How a webhook route answers."""
    from mooring.entry.hooks import Hook

    return Hook(prefix, enabled, emit, _welcome)


def providers() -> tuple[str, ...]:
    """Ids of the enabled providers."""
    return tuple(_CATALOG.settings().providers)


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


def provider_of(provider: str) -> "Provider":
    """An enabled provider, as it was compiled. Raises `Failure(PROVIDER_UNKNOWN)`."""
    return _CATALOG.get(provider)


def _refreshes(provider: str) -> bool:
    return enabled(provider) and _CATALOG.get(provider).refresh is not None


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


def aws_clients() -> "Aws":
    """The AWS clients of the process, in the region that Lambda names."""
    from mooring.adapters.aws import Aws

    return Aws(os.environ["AWS_REGION"])


def token_sealer(aws: "Aws", settings: Settings) -> "EnvelopeSealer":
    """Seals and opens tokens under the key of the settings."""
    from mooring.adapters.kms import Kms
    from mooring.adapters.sealing import EnvelopeSealer

    return EnvelopeSealer(Kms(aws.kms(), settings.token_key_id), time.time)
