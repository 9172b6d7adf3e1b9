"""The composition root of `revoke`: which adapter stands behind which port (see `wiring`)."""

import os
import random
import time

from mooring.adapters.dynamodb_generations import DynamoGenerations
from mooring.adapters.http import OutboundHttp
from mooring.adapters.revocation_queue import SqsRevocations, parse
from mooring.adapters.ssm import ParameterSecrets
from mooring.entry.revoking import Doors
from mooring.entry.settings import settings_from
from mooring.entry.wiring import aws_clients, enabled, provider_of, token_sealer
from mooring.flows.revoke import RevokePorts, revoke
from mooring.providers.revocation import HttpRevoker


def revoke_doors() -> Doors:
    """What `revoke` works with."""
    settings = settings_from(os.environ, "connections_table", "token_key_id", "revoke_queue_url")
    aws, jitter = aws_clients(), random.SystemRandom().random
    queue = SqsRevocations(aws.sqs(), settings.revoke_queue_url)
    ports = RevokePorts(
        provider=provider_of,
        generations=DynamoGenerations(aws.dynamodb(), settings.connections_table),
        sealer=token_sealer(aws, settings),
        secrets=ParameterSecrets(aws.ssm(), settings.stage, time.time, jitter),
        server=HttpRevoker(OutboundHttp()),
        clock=time.time,
    )
    return Doors(
        known=enabled,
        parse=parse,
        revoke=lambda revocation, left, last: revoke(revocation, ports, left, last=last),
        again_in=queue.again_in,
        jitter=jitter,
    )
