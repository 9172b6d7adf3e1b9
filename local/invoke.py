"""`python -m local.invoke FUNCTION [EVENT.json ...]`: one function, once per event, in the Lambda runtime.

It uses the tables and keys of the running stack. Without events named, all of `events/FUNCTION*.json` run.
The exit code is 0 when the function answered each event, whatever the answer's status.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local import ROOT
from local.console import log_lines
from local.emulator import InvocationResult
from local.functions import from_json
from local.processes import ProcessError
from local.runtime import RuntimePool
from local.stack_dir import DEFAULT, StackDir, StackError, read_json

_SHOWN_BODY = 400


def main(arguments: Sequence[str]) -> int:
    """Invoke as the command line says; 0, or 1 when a function failed or one message said what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m local.invoke", description="Run one function once.")
    parser.add_argument("function", help="its folder under functions/")
    parser.add_argument("events", nargs="*", type=Path, help="event files; default: events/FUNCTION*.json")
    parser.add_argument("--stack-dir", type=Path, default=ROOT / DEFAULT, help="folder of the running stack")
    given = parser.parse_intermixed_args(arguments)
    try:
        failed = invoke(given.function, given.events, StackDir(given.stack_dir))
    except (StackError, ProcessError) as error:
        print(f"invoke: {error}", file=sys.stderr)
        return 1
    return 1 if failed else 0


def invoke(function: str, events: Sequence[Path], state: StackDir) -> int:
    """Run a function once per event and print what it answered.

    Returns:
        How many of the events made the function fail.

    Raises:
        StackError: no stack runs there, or there is no such function or event.
        ProcessError: the runtime does not start.
    """
    known = {said["name"]: said for said in read_json(state.functions_file)}
    if function not in known:
        raise StackError(f"no function {function}; there are: {', '.join(sorted(known))}")
    files = list(events) or sorted((ROOT / "events").glob(f"{function}*.json"))
    if not files:
        raise StackError(f"no event: name a file, or put one at events/{function}.json")
    failed = 0
    with RuntimePool(from_json(known[function]), log_path=state.log(function)) as pool:
        for file in files:
            result = pool.invoke(_read_event(file))
            failed += result.error is not None
            print("\n".join(_shown(file.name, result)))
    return failed


def _read_event(file: Path) -> bytes:
    try:
        return json.dumps(json.loads(file.read_text(encoding="utf-8"))).encode()
    except OSError as error:
        raise StackError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise StackError(f"{file} is not JSON: {error}") from error


def _shown(name: str, result: InvocationResult) -> list[str]:
    lines = [f"{name}  {result.duration_ms:.0f} ms{' (cold start)' if result.cold else ''}"]
    if result.error is not None:
        lines.append(f"  failed: {_short(result.payload.decode('utf-8', 'replace'))}")
    else:
        lines += _answer(result.json())
    said = [
        {key: value for key, value in line.items() if key != "_aws"} for line in log_lines(result.log_lines)
    ]
    return [*lines, *([f"  log: {json.dumps(line)}" for line in said] or ["  log: nothing"]), ""]


def _answer(answer: Any) -> list[str]:
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return [f"  {_short(json.dumps(answer))}"]
    lines = [f"  status {answer['statusCode']}"]
    lines += [f"  {key}: {_short(str(value))}" for key, value in (answer.get("headers") or {}).items()]
    lines += [f"  set-cookie: {_short(cookie)}" for cookie in answer.get("cookies") or []]
    if answer.get("body"):
        lines.append(f"  {_short(str(answer['body']))}")
    return lines


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN_BODY else f"{flat[:_SHOWN_BODY]} … ({len(flat)} characters)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
