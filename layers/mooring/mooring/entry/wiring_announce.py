"""The composition root of `announce`: which adapter stands behind which port (see `wiring`)."""

import os

from mooring.adapters.changes import parse
from mooring.adapters.event_bus import EventBridgeBus
from mooring.adapters.revocation_queue import SqsRevocations
from mooring.adapters.undelivered import S3Undelivered
from mooring.entry.announcing import Doors
from mooring.entry.settings import settings_from
from mooring.entry.wiring import aws_clients, enabled
from mooring.flows.announce import AnnouncePorts, announce


def announce_doors() -> Doors:
    """What `announce` works with: no table and no key among them."""
    settings = settings_from(os.environ, "event_bus", "undelivered_bucket", "revoke_queue_url")
    aws = aws_clients()
    ports = AnnouncePorts(
        bus=EventBridgeBus(aws.events(), settings.event_bus),
        revocations=SqsRevocations(aws.sqs(), settings.revoke_queue_url),
    )
    return Doors(
        known=enabled,
        parse=parse,
        announce=lambda changes: announce(changes, ports),
        keep=S3Undelivered(aws.s3(), settings.undelivered_bucket).keep,
    )
