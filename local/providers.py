"""The providers of one local stack: simulated where we can, and their secrets in the parameter store."""

import secrets
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from local.provision import client
from local.settings import Secrets
from local.simulators import KNOWN, SimulatorConfig, start_simulator


@dataclass(frozen=True, slots=True)
class Providers:
    """What was started.

    Attributes:
        base_urls: of each simulated provider, by provider id.
        secrets: all that goes into the parameter store: given ones, and new ones of simulated providers.
    """

    base_urls: Mapping[str, str]
    secrets: Secrets


def start_simulators(
    client_ids: Mapping[str, str],
    *,
    base_url: str,
    given: Secrets,
    own_descriptors: Path | None,
    token_seconds: int,
    cleanup: ExitStack,
) -> Providers:
    """Simulate every enabled provider that can be simulated.

    Args:
        client_ids: of each enabled provider, by provider id.
        base_url: ours; redirect URIs start with it, and notices are sent there.
        given: secrets that somebody chose.
        own_descriptors: a folder; a descriptor there stands for a provider that is not ours to simulate.
        token_seconds: life of an access token, where tokens expire.
        cleanup: gets what stops the simulators.
    """
    base_urls: dict[str, str] = {}
    known: dict[str, Mapping[str, str]] = dict(given)
    for provider, client_id in client_ids.items():
        if provider not in KNOWN or (own_descriptors and (own_descriptors / f"{provider}.yaml").exists()):
            continue
        held = {"client_secret": _new_secret(), "webhook_secret": _new_secret(), **given.get(provider, {})}
        config = SimulatorConfig(
            client_id=client_id,
            client_secret=held["client_secret"],
            redirect_uri=f"{base_url}/callback/{provider}",
            access_token_seconds=token_seconds,
            deliver_to=base_url,
        )
        simulator = start_simulator(provider, config)
        cleanup.callback(simulator.stop)
        base_urls[provider] = simulator.base_url
        known[provider] = held
    return Providers(base_urls, known)


def store_secrets(endpoint_url: str, stage: str, held: Secrets) -> None:
    """Write secrets into the simulated parameter store, where the functions look for them."""
    ssm = client("ssm", endpoint_url)
    for provider, named in held.items():
        for name, secret in named.items():
            ssm.put_parameter(
                Name=f"/mooring/{stage}/{provider}/{name}", Value=secret, Type="SecureString", Overwrite=True
            )


def without_secret(enabled: Iterable[str], held: Secrets) -> list[str]:
    """Enabled providers for which nobody gave a client secret."""
    return [provider for provider in enabled if "client_secret" not in held.get(provider, {})]


def _new_secret() -> str:
    return secrets.token_urlsafe(32)
