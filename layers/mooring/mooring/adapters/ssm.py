"""Secrets from the parameter store, under `/mooring/{stage}/{provider}/`.

`client_secret` is what a token endpoint knows us by. `webhook_secret` proves uninstall notices: one
secret, or two on two lines while the new one (above) replaces the old one.

A parameter is asked for once and kept in memory for five to fifteen minutes; the length is drawn anew
each time, so that many processes do not ask all at once. When the store cannot be asked, the old
secret goes on being used. When the store says that there is none, there is none (fail closed).

Threads that want the same parameter at once share one question and its answer, also when that answer is
a failure: ten that each asked a silent store, one after the other, would outlast the function. A failure
is remembered for seconds, and a refusal for half a minute, so that a flood of requests that anybody can
send is no flood of questions.
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
"""For so long an old secret serves, unasked, after the store could not be asked."""
FAILED_SECONDS = 5
"""For so long a failure without an old secret is everybody's."""
REFUSED_SECONDS = 30
"""For so long a parameter that is missing, blank or too long is not asked for again."""
FORGET_SECONDS = 30
"""At most one `forget` of a provider in so many seconds counts."""
WEBHOOK_SECRETS = 2
"""The new secret, and the one that it replaces."""
_CLIENT, _WEBHOOK = "client_secret", "webhook_secret"


class _Kept(NamedTuple):
    """Secrets in memory; `forgets` tells how often they had been forgotten when they were asked for."""

    secrets: tuple[str, ...]
    until: float
    forgets: int

    def __repr__(self) -> str:
        return f"_Kept(until={self.until})"


class _Failed(NamedTuple):
    """What the store's last answer lacked; never a secret."""

    detail: str
    until: float


class _Parameter:
    """What is known of one parameter: its secrets, or why there are none, or nothing yet.

    `asking` is held while the store is asked. `forgets` and `forgotten_at` belong to the lock of
    `ParameterSecrets`, because forgetting must not wait for a store that is silent.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.asking = Lock()
        self.kept: _Kept | None = None
        self.failed: _Failed | None = None
        self.forgets = 0
        self.forgotten_at: float | None = None


class ParameterSecrets:
    """The secrets of one stage.

    Args:
        client: an SSM client that may be shared by threads.
        stage: the deployment's stage, part of each parameter's name.
        clock: epoch seconds.
        random: a number from 0 to 1, drawn anew each time.
    """

    def __init__(self, client: "SSMClient", stage: str, clock: Clock, random: Callable[[], float]) -> None:
        self._client = client
        self._stage = stage
        self._clock = clock
        self._random = random
        self._parameters: dict[str, _Parameter] = {}
        self._lock = Lock()

    def client_secret(self, provider: str) -> str:
        """The provider's client secret, as it was stored. Raises `Failure(SECRET_UNAVAILABLE)`."""
        (secret,) = self._read(self._parameter(provider, _CLIENT), lambda text: (text,))
        return secret

    def webhook_secrets(self, provider: str) -> tuple[str, ...]:
        """The secrets of the provider's notices, one or two. Raises `Failure(SECRET_UNAVAILABLE)`."""
        return self._read(self._parameter(provider, _WEBHOOK), _lines)

    def forget(self, provider: str) -> None:
        """Ask the store for the client secret next time. The old one serves while it cannot be asked.

        Once in 30 seconds for each provider: a secret that is wrong is refused at every call, and asking
        after it every time would not make it right.
        """
        parameter, now = self._parameter(provider, _CLIENT), self._clock()
        with self._lock:
            last = parameter.forgotten_at
            if parameter.kept is None or (last is not None and 0 <= now - last < FORGET_SECONDS):
                return
            parameter.forgotten_at = now
            parameter.forgets += 1

    def _parameter(self, provider: str, kind: str) -> _Parameter:
        name = f"/mooring/{self._stage}/{provider}/{kind}"
        with self._lock:
            return self._parameters.setdefault(name, _Parameter(name))

    def _read(self, parameter: _Parameter, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        with parameter.asking:
            now, kept, failed = self._clock(), parameter.kept, parameter.failed
            # What is kept for longer than anything ever is was written before the clock was set back.
            if kept is not None and kept.forgets == parameter.forgets:
                if now < kept.until <= now + KEEP_SECONDS[1]:
                    return kept.secrets
            elif failed is not None and now < failed.until <= now + REFUSED_SECONDS:
                raise Failure(Reason.SECRET_UNAVAILABLE, failed.detail)
            return self._ask(parameter, split)

    def _ask(self, parameter: _Parameter, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        # Read before the question: whoever forgets while it is under way wants a later answer.
        forgets = parameter.forgets
        try:
            secrets = self._fetch(parameter, split)
        except (ClientError, BotoCoreError) as error:
            return self._stale(parameter, forgets, error_code(error))
        parameter.kept, parameter.failed = _Kept(secrets, self._clock() + self._seconds(), forgets), None
        return secrets

    def _fetch(self, parameter: _Parameter, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        name = parameter.name
        try:
            text = self._client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        except self._client.exceptions.ParameterNotFound:
            detail = f"there is no parameter {name}: create it as a SecureString"
            raise self._refused(parameter, detail) from None
        if not text.strip():
            raise self._refused(parameter, f"the parameter {name} is blank")
        secrets = split(text)
        if len(secrets) > WEBHOOK_SECRETS:
            raise self._refused(parameter, f"the parameter {name} has more than {WEBHOOK_SECRETS} lines")
        return secrets

    def _refused(self, parameter: _Parameter, detail: str) -> Failure:
        # The store did answer, so an old secret must not live on.
        parameter.kept = None
        return self._failed(parameter, detail, REFUSED_SECONDS)

    def _stale(self, parameter: _Parameter, forgets: int, code: str) -> tuple[str, ...]:
        if parameter.kept is None:
            raise self._failed(parameter, code, FAILED_SECONDS) from None
        # Not asked again at once: each fruitless question would cost a merchant seconds.
        secrets = parameter.kept.secrets
        parameter.kept = _Kept(secrets, self._clock() + RETRY_SECONDS, forgets)
        return secrets

    def _failed(self, parameter: _Parameter, detail: str, seconds: int) -> Failure:
        parameter.failed = _Failed(detail, self._clock() + seconds)
        return Failure(Reason.SECRET_UNAVAILABLE, detail)

    def _seconds(self) -> float:
        least, most = KEEP_SECONDS
        return least + self._random() * (most - least)


def _lines(text: str) -> tuple[str, ...]:
    """The lines that are not blank, without the blanks around them."""
    lines = (line.strip() for line in text.split("\n"))
    return tuple(line for line in lines if line)
