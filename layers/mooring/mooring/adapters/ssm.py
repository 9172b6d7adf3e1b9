"""Client secrets from the parameter store: `/mooring/{stage}/{provider}/client_secret`.

A secret is asked for once and kept in memory for five to fifteen minutes; the length is drawn anew
each time, so that many processes do not ask all at once. When the store cannot be asked, the old
secret goes on being used. When the store says that there is none, there is none (fail closed).
"""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters.aws_errors import error_code
from mooring.core.errors import Failure, Reason
from mooring.core.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

KEEP_SECONDS = (300, 900)
RETRY_SECONDS = 30


class _Kept(NamedTuple):
    secret: str
    until: float

    def __repr__(self) -> str:
        return f"_Kept(until={self.until})"


class ParameterSecrets:
    """The client secrets of one stage.

    Args:
        client: an SSM client.
        stage: the deployment's stage, part of each parameter's name.
        clock: epoch seconds.
        random: a number from 0 to 1, drawn anew each time.
    """

    def __init__(self, client: "SSMClient", stage: str, clock: Clock, random: Callable[[], float]) -> None:
        self._client = client
        self._stage = stage
        self._clock = clock
        self._random = random
        self._kept: dict[str, _Kept] = {}
        self._lock = Lock()

    def client_secret(self, provider: str) -> str:
        """The provider's client secret. Raises `Failure(SECRET_UNAVAILABLE)`."""
        with self._lock:
            kept = self._kept.get(provider)
            if kept is not None and self._clock() < kept.until <= self._clock() + KEEP_SECONDS[1]:
                return kept.secret
            try:
                secret = self._fetch(provider)
            except (ClientError, BotoCoreError) as error:
                return self._stale(provider, kept, error_code(error))
            self._kept[provider] = _Kept(secret, self._clock() + self._seconds())
            return secret

    def forget(self, provider: str) -> None:
        """Ask the store next time. The old secret stays for the case that it cannot be asked."""
        with self._lock:
            kept = self._kept.get(provider)
            if kept is not None:
                self._kept[provider] = kept._replace(until=0.0)

    def _fetch(self, provider: str) -> str:
        name = f"/mooring/{self._stage}/{provider}/client_secret"
        try:
            secret = self._client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        except self._client.exceptions.ParameterNotFound:
            raise self._refused(
                provider, f"there is no parameter {name}: create it as a SecureString"
            ) from None
        if not secret.strip():
            raise self._refused(provider, f"the parameter {name} is blank")
        return secret

    def _refused(self, provider: str, detail: str) -> Failure:
        # The store did answer, so an old secret must not live on.
        self._kept.pop(provider, None)
        return Failure(Reason.SECRET_UNAVAILABLE, detail)

    def _stale(self, provider: str, kept: _Kept | None, code: str) -> str:
        if kept is None:
            raise Failure(Reason.SECRET_UNAVAILABLE, code) from None
        # Not asked again at once: each fruitless question would cost a merchant seconds.
        self._kept[provider] = _Kept(kept.secret, self._clock() + RETRY_SECONDS)
        return kept.secret

    def _seconds(self) -> float:
        least, most = KEEP_SECONDS
        return least + self._random() * (most - least)
