"""What an installation is set to: the defaults of template.yaml, and other settings to compare them with."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mooring.core.schedule import SHARDS

ROOT = Path(__file__).resolve().parents[2]


class Settings(NamedTuple):
    """What decides how much an installation does.

    Attributes:
        queue_limit: messages that may wait in the refresh queue (`QueueLimit`).
        workers: batches that are worked on at once (`RefreshWorkers`).
        batch: messages in a batch (`BatchSize` of the event source mapping).
        refresh_mb: memory of the function `refresh`, in megabytes.
        sweep_mb: memory of the function `sweep`, in megabytes (`SweepMemory`).
        sweep_seconds: time limit of the function `sweep`.
        sweeps: sweeps at once, each with its part of the shards.
        shards: shards of each provider in the index `due`.
    """

    queue_limit: int
    workers: int
    batch: int
    refresh_mb: int
    sweep_mb: int
    sweep_seconds: int
    sweeps: int
    shards: int


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags; `!Ref X` becomes {"Ref": "X"}, others only their text."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: None}


_Loader.add_multi_constructor("!", _short_tag)


def defaults(template: Path = ROOT / "template.yaml") -> Settings:
    """What template.yaml sets when nobody says otherwise.

    Raises:
        KeyError: the template has lost what is looked for.
    """
    with template.open(encoding="utf-8") as lines:
        found: dict[str, Any] = yaml.load(lines, Loader=_Loader)  # noqa: S506  # nosec B506 - a SafeLoader
    parameters = found["Parameters"]

    def number(value: Any) -> int:
        return int(parameters[value["Ref"]]["Default"] if isinstance(value, dict) else value)

    of = {name: resource.get("Properties", {}) for name, resource in found["Resources"].items()}
    source, refresh, sweep = of["RefreshQueueSource"], of["RefreshFunction"], of["SweepFunction"]
    return Settings(
        queue_limit=number(sweep["Environment"]["Variables"]["MOORING_QUEUE_LIMIT"]),
        workers=number(source["ScalingConfig"]["MaximumConcurrency"]),
        batch=number(source["BatchSize"]),
        refresh_mb=number(refresh["MemorySize"]),
        sweep_mb=number(sweep["MemorySize"]),
        sweep_seconds=number(sweep["Timeout"]),
        sweeps=max(1, number(parameters["SweepConcurrency"]["Default"])),
        shards=SHARDS,
    )


def tuned() -> Settings:
    """As far as the parameters of template.yaml go: a sweep with a whole processor, and workers to match."""
    return defaults()._replace(queue_limit=60_000, workers=30, sweep_mb=1_769)


def extended() -> Settings:
    """What ten million connections with tokens of an hour need: several sweeps and more shards, too.

    For these two the template has no setting today.
    """
    return tuned()._replace(queue_limit=500_000, workers=250, sweeps=6, shards=16)
