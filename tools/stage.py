"""Stage what ships: two layers and the functions, with byte code, ready to be zipped or run.

    python tools/stage.py --target build                           for AWS (arm64)
    python tools/stage.py --target .local/build --local given.json  for this machine

A target holds `layers/dependencies/python`, `layers/mooring/python` and `functions/<name>`; one for this
machine also `ric`, the runtime interface client that AWS has built in. `given.json` has the fields of
`LocalCompile`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):
    sys.path.insert(0, str(ROOT))

from tools.bytecode import compile_tree  # noqa: E402
from tools.dependencies import ARM64, StagingError, digest, install, put_in_place  # noqa: E402
from tools.sizes import measure, table  # noqa: E402

if TYPE_CHECKING:
    from mooring.providers.compiler import LocalCompile

LAYER_LOCK = ROOT / "requirements/layer.txt"
RIC_LOCK = ROOT / "requirements/ric.txt"
CODE = ROOT / "layers/mooring/mooring"


def main(arguments: list[str] | None = None) -> int:
    """Stage as the command line says and print the sizes; 0, or 1 after one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="stage", description="Stage the layers and functions.")
    parser.add_argument("--target", type=Path, required=True, help="folder to stage into")
    parser.add_argument(
        "--local", type=Path, metavar="FILE", help="for this machine, with LocalCompile's fields as JSON"
    )
    given = parser.parse_args(arguments)
    from mooring.providers.compiler import ConfigurationError

    try:
        warnings = stage(given.target, local=_local_compile(given.local) if given.local else None)
    except (ConfigurationError, StagingError, RuntimeError) as error:
        print(f"stage: {error}", file=sys.stderr)
        return 1
    for warning in warnings:
        print(f"stage: warning: {warning}", file=sys.stderr)
    if not given.local:
        print(table([measure(name, folder) for name, folder in artefacts(given.target)]))
    return 0


def stage(target: Path, *, local: LocalCompile | None) -> tuple[str, ...]:
    """Stage everything into `target`.

    Args:
        target: a folder; what is staged there already is replaced.
        local: None for AWS (arm64, https only); what this machine's stack compiles with otherwise.

    Returns:
        Warnings about the settings, one line each.

    Raises:
        ConfigurationError: mooring.yaml or a descriptor is wrong.
        StagingError: a dependency cannot be had.
    """
    target.mkdir(parents=True, exist_ok=True)
    if local is None:
        install(LAYER_LOCK, target / "layers/dependencies", platform=ARM64)
    else:
        _link(_kept(LAYER_LOCK, "dependencies"), target / "layers/dependencies")
        _link(_kept(RIC_LOCK, "ric") / "python", target / "ric")
    with tempfile.TemporaryDirectory(prefix=".stage-", dir=target) as work:
        warnings = _stage_code(Path(work) / "mooring", target / "layers/mooring/python", local)
        _stage_functions(Path(work) / "functions", target / "functions")
    return warnings


def artefacts(target: Path) -> list[tuple[str, Path]]:
    """Name and folder of each thing that is zipped and uploaded from `target`."""
    layers = [(f"layer {name}", target / "layers" / name) for name in ("dependencies", "mooring")]
    functions = sorted(path for path in (target / "functions").iterdir() if path.is_dir())
    return layers + [(f"function {path.name}", path) for path in functions]


def _stage_code(fresh: Path, folder: Path, local: LocalCompile | None) -> tuple[str, ...]:
    from mooring.providers.compiler import compile_project

    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.yaml", "compiled")
    shutil.copytree(CODE, fresh / "mooring", ignore=ignored)
    catalog = CODE / "providers/catalog"
    warnings = compile_project(
        config=ROOT / "mooring.yaml", catalog=catalog, out=fresh / "mooring/compiled", local=local
    )
    compile_tree(fresh, "/opt/python")
    folder.parent.mkdir(parents=True, exist_ok=True)
    put_in_place(fresh, folder)
    return warnings


def _stage_functions(fresh: Path, folder: Path) -> None:
    for source in sorted((ROOT / "functions").glob("*/handler.py")):
        copy = fresh / source.parent.name
        copy.mkdir(parents=True)
        shutil.copy2(source, copy / source.name)
        compile_tree(copy, "/var/task")
    put_in_place(fresh, folder)


def _kept(lock: Path, name: str) -> Path:
    """Packages for this machine, made once per lock and shared by every local target of this checkout."""
    folder = ROOT / ".local/packages" / f"{name}-{digest(lock, None)[:16]}"
    install(lock, folder, platform=None)
    return folder


def _link(kept: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.resolve() == kept.resolve():
        return
    if link.is_symlink():
        link.unlink()
    else:
        shutil.rmtree(link, ignore_errors=True)
    link.symlink_to(kept.resolve(), target_is_directory=True)


def _local_compile(path: Path) -> LocalCompile:
    from mooring.providers.compiler import LocalCompile

    fields = json.loads(path.read_text())
    for name in ("extra_catalog", "config_overlay"):
        fields[name] = Path(fields[name]) if fields.get(name) else None
    return LocalCompile(**fields)


if __name__ == "__main__":
    sys.exit(main())
