"""`make run` as its user meets it: addresses, Ctrl-C, one clear line for each thing that is in the way."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.running import STOP_SECONDS, RunningStack, command, environment, session_members
from tests.support import ROOT


def run_to_its_end(stack_dir: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Start a stack that cannot start."""
    return subprocess.run(
        command(stack_dir, *arguments),
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error of a start that failed."""
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in done.stderr + done.stdout
    return line


def announced(stack_dir: Path, process: subprocess.Popen[bytes], output: Path) -> Any:
    """stack.json, once it is there."""
    path, deadline = stack_dir / "stack.json", time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)
    return json.loads(path.read_text())


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    stack_dir, output = tmp_path / "state", tmp_path / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            command(stack_dir, "--port", "0"),
            cwd=ROOT,
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        info = announced(stack_dir, process, output)
        assert requests.get(info["demo_url"], timeout=10).status_code == 200
        assert requests.get(f"{info['base_url']}/authorize/yotpo", timeout=10).status_code == 400
        alive = [name for name in session_members(process.pid) if "python" in name]
        assert len(alive) >= 5, "the stack, the simulated AWS, and a runtime for each function"
        # A terminal sends Ctrl-C to every process of the group at once.
        os.killpg(process.pid, signal.SIGINT)
        started = time.monotonic()
        assert process.wait(STOP_SECONDS) in (0, 130)
        assert time.monotonic() - started < 10
        assert session_members(process.pid) == []
        assert not (stack_dir / "stack.json").exists()
    finally:
        process.kill()
        process.wait()
    said = output.read_text()
    assert "Traceback" not in said
    for address in (info["demo_url"], info["base_url"], *info["providers"].values()):
        assert address in said
    line = r"^\d\d:\d\d:\d\d  authorize +link_missing +yotpo +\d+ ms  ref [0-9a-f]{10}"
    assert re.search(line, said, re.MULTILINE)


def test_stack_json_says_all_that_a_script_needs(stack: RunningStack) -> None:
    info = stack.info
    assert info["base_url"] == stack.base_url
    assert set(info["tables"]) == {"connections", "flows"}
    assert set(info["providers"]) == {"notifyvisitors", "yotpo", "xeno", "whatconverts"}
    assert set(info["link_key"]) == {"path", "kid"}
    assert Path(info["link_key"]["path"]).is_absolute()
    assert info["queues"]
    for url in (info["base_url"], info["demo_url"], info["aws_endpoint_url"], *info["providers"].values()):
        assert url.startswith("http://127.0.0.1:")
    assert all(url.startswith(info["aws_endpoint_url"]) for url in info["queues"].values())


def test_everything_listens_on_loopback_only(stack: RunningStack) -> None:
    inodes = set()
    for member in session_members(stack.process.pid):
        for link in Path(f"/proc/{member.split()[0]}/fd").iterdir():
            target = str(link.readlink()) if link.is_symlink() else ""
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append(fields[1].partition(":")[0])
    assert len(listening) >= 8
    assert set(listening) == {"0100007F"}


def test_one_readable_line_for_each_invocation(stack: RunningStack) -> None:
    before = stack.output.read_text().count("link_missing")
    requests.get(f"{stack.base_url}/authorize/xeno", timeout=10)
    deadline = time.monotonic() + 5
    while stack.output.read_text().count("link_missing") == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert stack.output.read_text().count("link_missing") == before + 1


def test_a_second_start_in_the_same_folder(stack: RunningStack) -> None:
    line = only_line(run_to_its_end(stack.stack_dir, "--port", "0"))
    assert "already running" in line
    assert (stack.stack_dir / "stack.json").exists(), "the first one goes on"
    assert requests.get(f"{stack.base_url}/authorize/yotpo", timeout=10).status_code == 400


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = only_line(run_to_its_end(tmp_path, PORT=port))
    assert port in line
    assert "PORT=" in line


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("MOORING_SECRETS", "{not json", "is not JSON"),
        ("MOORING_SECRETS", '{"yotpo": "text"}', "must hold"),
        ("MOORING_CONFIG", "providerz: {}\n", "providerz"),
    ],
)
def test_settings_that_cannot_be_read(tmp_path: Path, name: str, content: str, expected: str) -> None:
    given = tmp_path / "given.yaml"
    given.write_text(content)
    line = only_line(run_to_its_end(tmp_path / "state", "--port", "0", **{name: str(given)}))
    assert expected in line
    assert given.name in line
