"""The connections of an installation in AWS, found by the names that its stage gives everything."""

import os
import re
import time
from typing import TYPE_CHECKING

from mooring.client.base import BaseConnections
from mooring.client.errors import SetupError
from mooring.client.ports import Ports

if TYPE_CHECKING:
    from boto3.session import Session

_STAGE = re.compile(r"[a-z][a-z0-9-]{0,15}")


class Connections(BaseConnections):
    """The connections of all merchants; one object for a whole process, shared by its threads.

    Tokens are read from the table `mooring-{stage}-connections` and opened with KMS, so the caller's role
    needs the policy of a reader (docs/reading-tokens.md). What needs a refresh, a report or a disconnect goes
    to the API, signed with the same credentials.

    boto3 and botocore are kept from logging below WARNING: at DEBUG they write data keys as they come.

    Args:
        stage: the installation's name, such as `prod`; by default that of MOORING_STAGE.
        region: its AWS region; by default that of the session or the environment.
        base_url: its public base URL, such as `https://connect.example.com`; by default that of
            MOORING_API_URL. Without one, a token that needs a refresh cannot be had.
        session: a boto3 session, for other credentials than the environment's, such as those of a role in
            another account. A process that forks should make one for each child.
        endpoint_url: where AWS is; for a local stack, as AWS_ENDPOINT_URL.

    Raises:
        SetupError: one of these is missing or wrong.
    """

    def __init__(
        self,
        stage: str | None = None,
        region: str | None = None,
        base_url: str | None = None,
        session: "Session | None" = None,
        *,
        endpoint_url: str | None = None,
    ) -> None:
        found = stage or os.environ.get("MOORING_STAGE", "")
        if not _STAGE.fullmatch(found):
            raise SetupError("name the stage, such as Connections(stage='prod'), or set MOORING_STAGE")
        self._stage = found
        self._region = region
        self._base_url = os.environ.get("MOORING_API_URL", "") if base_url is None else base_url
        self._session = session
        self._endpoint_url = endpoint_url
        super().__init__(self._ports)
        self._reading()  # what is wrong shows here, and what takes time to load is loaded

    def __repr__(self) -> str:
        return f"Connections(stage={self._stage!r})"

    def _ports(self) -> Ports:
        from botocore.exceptions import PartialCredentialsError, ProfileNotFound

        try:
            return self._in_aws()
        except (PartialCredentialsError, ProfileNotFound) as error:
            # They name a variable or a profile, and nothing that is in it.
            raise SetupError(f"boto3 finds no AWS credentials: {error}") from None

    def _in_aws(self) -> Ports:
        from boto3.session import Session

        from mooring.adapters.aws import Aws
        from mooring.adapters.dynamodb_connections import DynamoConnections
        from mooring.adapters.kms import Kms
        from mooring.adapters.sealing import EnvelopeSealer
        from mooring.client.api import SignedApi

        session = self._session or Session(region_name=self._region)
        region = self._region or session.region_name or os.environ.get("AWS_REGION")
        if not region:
            raise SetupError("name the region, such as Connections(stage='prod', region='eu-central-1')")
        aws = Aws(region, session, self._endpoint_url)
        return Ports(
            table=DynamoConnections(aws.dynamodb(), f"mooring-{self._stage}-connections"),
            opener=EnvelopeSealer(Kms(aws.kms()), time.time),
            api=SignedApi(self._base_url, region, session.get_credentials),
            clock=time.time,
            sleep=time.sleep,
        )
