"""What is staged is what runs: complete, with byte code, and without what never runs."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring.providers.compiler import LocalCompile
from tools.dependencies import SERVICES, StagingError, install, put_in_place
from tools.sizes import Size, measure, table
from tools.stage import LAYER_LOCK, RIC_LOCK, ROOT, artefacts, stage

AARCH64 = 183
UNCHECKED_HASH = 0b01


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("staged") / "build"
    stage(target, local=LocalCompile())
    return target


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("staged") / "build"
    stage(target, local=None)
    return target


def run(target: Path, code: str) -> str:
    """Run code as a function of the local stack runs: what is staged, and no site-packages at all."""
    path = ("ric", "functions/callback", "layers/mooring/python", "layers/dependencies/python")
    environment = {
        "PYTHONPATH": os.pathsep.join(str(target / part) for part in path),
        "AWS_REGION": "eu-central-1",
    }
    # Not sys.executable: inside the environment that would find the environment's packages.
    base = str(Path(sys.base_prefix) / f"bin/python3.{sys.version_info[1]}")
    done = subprocess.run(
        [base, "-S", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_of_ours_imports_from_what_is_staged(local: Path) -> None:
    code = (
        "import pkgutil, importlib, mooring\n"
        "found = [m.name for m in pkgutil.walk_packages(mooring.__path__, 'mooring.')]\n"
        # The compiler and the models read YAML, which does not ship: they are for build time.
        "runtime = [n for n in found if n.split('.')[1] in ('core', 'flows', 'adapters')]\n"
        "[importlib.import_module(name) for name in runtime]\n"
        "print(len(runtime), mooring.__file__)"
    )
    count, origin = run(local, code).split()
    assert int(count) > 20
    assert Path(origin).is_relative_to(local / "layers/mooring/python")


def test_clients_of_all_kept_services_work_and_others_are_left_out(local: Path) -> None:
    code = (
        "import boto3, botocore.exceptions\n"
        f"for name in {sorted(SERVICES)}:\n"
        "    client = boto3.client(name, region_name='eu-central-1')\n"
        "    print(name, client.meta.endpoint_url, bool(client.waiter_names) or name)\n"
        "try:\n"
        "    boto3.client('ec2', region_name='eu-central-1')\n"
        "except botocore.exceptions.UnknownServiceError:\n"
        "    print('no ec2')\n"
        "boto3.client('dynamodb', region_name='eu-central-1').get_paginator('query')\n"
    )
    lines = run(local, code).splitlines()
    assert [line.split()[0] for line in lines[:-1]] == sorted(SERVICES)
    assert all("amazonaws.com" in line for line in lines[:-1])
    assert lines[-1] == "no ec2"


def test_the_libraries_import_without_their_environment(local: Path) -> None:
    code = (
        "import aws_lambda_powertools, requests, pydantic, awslambdaric.bootstrap\n"
        "from cryptography.hazmat.primitives.ciphers.aead import AESGCM\n"
        "key = AESGCM.generate_key(256)\n"
        "sealed = AESGCM(key).encrypt(b'0' * 12, b'sealed', None)\n"
        "print(AESGCM(key).decrypt(b'0' * 12, sealed, None).decode())"
    )
    assert run(local, code) == "sealed\n"


def test_settings_and_descriptors_are_compiled_and_no_yaml_ships(local: Path) -> None:
    compiled = local / "layers/mooring/python/mooring/compiled"
    assert json.loads((compiled / "settings.json").read_text())
    catalog = ROOT / "layers/mooring/mooring/providers/catalog"
    names = {path.stem for path in (compiled / "providers").glob("*.json")}
    assert names
    assert names <= {path.stem for path in catalog.glob("*.yaml")}
    assert not list((local / "layers/mooring").rglob("*.yaml"))


def test_every_function_is_staged(local: Path) -> None:
    staged = {path.parent.name for path in (local / "functions").glob("*/handler.py")}
    assert staged == {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}


def test_every_module_has_byte_code_that_never_goes_stale(production: Path) -> None:
    modules = [path for name, folder in artefacts(production) for path in folder.rglob("*.py")]
    assert len(modules) > 500
    for module in modules:
        code = Path(importlib.util.cache_from_source(str(module))).read_bytes()
        assert code[:4] == importlib.util.MAGIC_NUMBER
        assert struct.unpack("<I", code[4:8])[0] == UNCHECKED_HASH, module


def test_nothing_staged_knows_the_machine_it_was_made_on(production: Path) -> None:
    here = [str(path).encode() for path in (production, ROOT)]
    files = [path for _, folder in artefacts(production) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 1000
    assert [path for path in files if any(place in path.read_bytes() for place in here)] == []


def test_production_is_for_arm(production: Path) -> None:
    libraries = list(production.rglob("*.so"))
    assert len(libraries) >= 3
    for library in libraries:
        header = library.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert struct.unpack("<H", header[18:20])[0] == AARCH64, library


def test_an_artefact_holds_packages_and_nothing_that_a_tool_left(production: Path) -> None:
    layer = production / "layers/dependencies"
    assert [path.name for path in layer.iterdir()] == ["python"]
    assert not (layer / "python/bin").exists()
    assert not (layer / "python/.lock").exists()
    assert not list(layer.rglob("RECORD"))
    assert sorted(path.name for path in production.iterdir()) == ["functions", "layers"]


def test_the_layers_fit_into_lambda_with_room(production: Path) -> None:
    sizes = [measure(name, folder) for name, folder in artefacts(production)]
    assert sum(size.unzipped for size in sizes) < 100_000_000
    assert sum(size.zipped for size in sizes) < 40_000_000


def test_dependencies_are_made_once_per_lock(tmp_path: Path) -> None:
    folder = tmp_path / "ric"
    assert install(RIC_LOCK, folder, platform=None) is True
    made = (folder / "python/awslambdaric/__init__.py").stat().st_mtime_ns
    assert install(RIC_LOCK, folder, platform=None) is False
    assert (folder / "python/awslambdaric/__init__.py").stat().st_mtime_ns == made
    assert install(LAYER_LOCK, tmp_path / "other", platform=None) is True
    changed = tmp_path / "changed.txt"
    changed.write_text(RIC_LOCK.read_text() + "\n")
    assert install(changed, folder, platform=None) is True


def test_two_that_ask_at_once_get_one_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: install(RIC_LOCK, tmp_path / "ric", platform=None), range(2)))
    assert sorted(made) == [False, True]
    assert (tmp_path / "ric/python/awslambdaric/__main__.py").is_file()


def test_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("six==1.17.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(StagingError, match=r"lock\.txt"):
        install(lock, tmp_path / "made", platform=None)
    assert not (tmp_path / "made").exists()


def test_replacing_a_folder_leaves_no_trace_of_the_old_one(tmp_path: Path) -> None:
    folder, fresh = tmp_path / "target", tmp_path / "work/new"
    for place, name in ((folder, "old"), (fresh, "new")):
        place.mkdir(parents=True)
        (place / name).touch()
    put_in_place(fresh, folder)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert list((tmp_path / "work").iterdir()) == []


def test_sizes_are_measured_unzipped_and_zipped(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(b"\0" * 1_000_000)
    size = measure("zeros", tmp_path)
    assert (size.unzipped, size.files) == (1_000_000, 1)
    assert size.zipped < 5_000
    assert table([size, Size("more", 500_000, 2_000, 3)]).splitlines()[-1].split() == [
        "total",
        *("1.50", "MB"),
        *(f"{(size.zipped + 2_000) / 1000:.1f}", "kB"),
        "4",
    ]
