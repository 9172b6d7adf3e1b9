"""Taking on a role of a deployed stage: what opens or rewraps every token is done under a name of its own.

The local stack has no roles. There everything is done with the stack's own dummy credentials.
"""

import re
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.session
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    RefreshableCredentials,
    create_assume_role_refresher,
)
from botocore.exceptions import ClientError

from mooring_cli.errors import CommandError
from mooring_cli.stage import Stage, asking, physical

_WHERE = "docs/keys.md#the-roles-of-operators"
_NOT_IN_A_SESSION_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)
_LONGEST_NAME = 64


class _TakenOn(CredentialProvider):
    """Credentials that are taken on anew before they run out."""

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, credentials: RefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> RefreshableCredentials:
        """The credentials of the role."""
        return self._credentials


def taking_on(stage: Stage, name: str) -> Stage:
    """The same installation, worked on as the role `mooring-{stage}-{name}`.

    Args:
        stage: the installation.
        name: `reseal` or `export`.

    Raises:
        CommandError: the role is not there, or you are not among those who may take it on.
    """
    if stage.stack is not None:
        return stage
    sts = stage.client("sts")
    with asking(stage):
        caller = sts.get_caller_identity()
    role = physical(stage.name, name)
    if f":assumed-role/{role}/" in caller["Arn"]:
        return stage
    refresh = create_assume_role_refresher(sts, _asked(stage, role, caller))
    with asking(stage):
        try:
            metadata = refresh()
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            raise CommandError(
                f"You may not take on the role {role}, or it is not there. It is made for those whom the "
                f"parameter OperatorPrincipals names: {_WHERE}"
            ) from None
    credentials = RefreshableCredentials.create_from_metadata(metadata, refresh, "sts-assume-role")
    held = botocore.session.get_session()
    held.register_component("credential_provider", CredentialResolver([_TakenOn(credentials)]))
    return stage._replace(session=boto3.Session(botocore_session=held, region_name=stage.region))


def _asked(stage: Stage, role: str, caller: Mapping[str, Any]) -> dict[str, str]:
    """What AssumeRole is asked; CloudTrail shows the session's name, so it is that of who works."""
    partition = stage.session.get_partition_for_region(stage.region)
    who = _NOT_IN_A_SESSION_NAME.sub("-", caller["Arn"].rpartition("/")[2] or "operator")
    arn = f"arn:{partition}:iam::{caller['Account']}:role/{role}"
    return {"RoleArn": arn, "RoleSessionName": who[-_LONGEST_NAME:].ljust(2, "-")}
