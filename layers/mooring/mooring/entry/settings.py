"""The environment of each function: names only, never a secret, read once at start."""

from collections.abc import Mapping
from typing import NamedTuple


class SettingsError(Exception):
    """An environment variable that a function needs is missing or unusable; names which and what it holds."""


class Settings(NamedTuple):
    """What the environment says. Empty texts stand for what a function does not need."""

    stage: str
    base_url: str
    connections_table: str = ""
    flows_table: str = ""
    token_key_id: str = ""
    recovery_queue_url: str = ""
    refresh_queue_url: str = ""
    revoke_queue_url: str = ""
    refresh_function: str = ""
    queue_limit: str = ""
    event_bus: str = ""
    undelivered_bucket: str = ""


_MEANING = {
    "stage": "the stage's name, such as prod",
    "base_url": "the public base URL without a trailing slash, such as https://connect.example.com",
    "connections_table": "the name of the connections table",
    "flows_table": "the name of the flows table",
    "token_key_id": "the ARN of the KMS key for data keys",
    "recovery_queue_url": "the URL of the recovery queue",
    "refresh_queue_url": "the URL of the refresh queue",
    "revoke_queue_url": "the URL of the queue of revocations",
    "refresh_function": "the name of the refresh function",
    "queue_limit": "how many messages the workers drain in two minutes, a whole number from 1",
    "event_bus": "the name of the event bus",
    "undelivered_bucket": "the name of the bucket for changes that could not be told",
}


def settings_from(environ: Mapping[str, str], *needed: str) -> Settings:
    """The settings of a function.

    Args:
        environ: the process environment.
        needed: fields this function needs besides `stage` and `base_url`.

    Raises:
        SettingsError: naming the first variable that is missing.
    """
    values = {}
    for field in ("stage", "base_url", *needed):
        name = f"MOORING_{field.upper()}"
        value = environ.get(name, "").strip()
        if not value:
            raise SettingsError(f"{name} is not set: it must hold {_MEANING[field]} (template.yaml sets it)")
        values[field] = value
    if values["base_url"].endswith("/") or "://" not in values["base_url"]:
        raise SettingsError(f"MOORING_BASE_URL must hold {_MEANING['base_url']}")
    limit = values.get("queue_limit", "1")
    if not (limit.isascii() and limit.isdigit() and int(limit) > 0):
        raise SettingsError(f"MOORING_QUEUE_LIMIT must hold {_MEANING['queue_limit']}")
    return Settings(**values)
