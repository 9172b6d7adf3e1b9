"""Secrets from the parameter store, under `/mooring/{stage}/{provider}/`.

`client_secret` is what a token endpoint knows us by. `webhook_secret` proves uninstall notices: one
secret, or two on two lines while the new one (above) replaces the old one.

A parameter is asked for once and kept in memory for five to fifteen minutes; the length is drawn anew
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
WEBHOOK_SECRETS = 2
"""The new secret, and the one that it replaces."""
_CLIENT, _WEBHOOK = "client_secret", "webhook_secret"


class _Kept(NamedTuple):
    secrets: tuple[str, ...]
    until: float

    def __repr__(self) -> str:
        return f"_Kept(until={self.until})"


class ParameterSecrets:
    """The secrets of one stage.

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
        """The provider's client secret, as it was stored. Raises `Failure(SECRET_UNAVAILABLE)`."""
        (secret,) = self._read(self._parameter(provider, _CLIENT), lambda text: (text,))
        return secret

    def webhook_secrets(self, provider: str) -> tuple[str, ...]:
        """The secrets of the provider's notices, one or two. Raises `Failure(SECRET_UNAVAILABLE)`."""
        return self._read(self._parameter(provider, _WEBHOOK), _lines)

    def forget(self, provider: str) -> None:
        """Ask the store for the client secret next time. The old one serves while it cannot be asked."""
        name = self._parameter(provider, _CLIENT)
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None:
                self._kept[name] = kept._replace(until=0.0)

    def _parameter(self, provider: str, kind: str) -> str:
        return f"/mooring/{self._stage}/{provider}/{kind}"

    def _read(self, name: str, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None and self._clock() < kept.until <= self._clock() + KEEP_SECONDS[1]:
                return kept.secrets
            try:
                secrets = self._fetch(name, split)
            except (ClientError, BotoCoreError) as error:
                return self._stale(name, kept, error_code(error))
            self._kept[name] = _Kept(secrets, self._clock() + self._seconds())
            return secrets

    def _fetch(self, name: str, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        try:
            text = self._client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        except self._client.exceptions.ParameterNotFound:
            raise self._refused(name, f"there is no parameter {name}: create it as a SecureString") from None
        if not text.strip():
            raise self._refused(name, f"the parameter {name} is blank")
        secrets = split(text)
        if len(secrets) > WEBHOOK_SECRETS:
            raise self._refused(name, f"the parameter {name} has more than {WEBHOOK_SECRETS} lines")
        return secrets

    def _refused(self, name: str, detail: str) -> Failure:
        # The store did answer, so an old secret must not live on.
        self._kept.pop(name, None)
        return Failure(Reason.SECRET_UNAVAILABLE, detail)

    def _stale(self, name: str, kept: _Kept | None, code: str) -> tuple[str, ...]:
        if kept is None:
            raise Failure(Reason.SECRET_UNAVAILABLE, code) from None
        # Not asked again at once: each fruitless question would cost a merchant seconds.
        self._kept[name] = _Kept(kept.secrets, self._clock() + RETRY_SECONDS)
        return kept.secrets

    def _seconds(self) -> float:
        least, most = KEEP_SECONDS
        return least + self._random() * (most - least)


def _lines(text: str) -> tuple[str, ...]:
    """The lines that are not blank, without the blanks around them."""
    lines = (line.strip() for line in text.split("\n"))
    return tuple(line for line in lines if line)
