"""The loop in docs/runbook.md that tells undelivered events: what was not told is never deleted."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import document

NAMES = ("mooring/one.json", "mooring/two.json", "mooring/three.json")

_AWS = """#!/bin/sh
if [ "$1" = sts ]; then echo 123456789012; exit; fi
echo "$2 $*" >> calls
case "$2" in
  list-object-versions) cat versions ;;
  get-object)
    [ "$FAILS $6" = "get-object mooring/two.json" ] && exit 254
    printf '{"payload": "{\\\\"Records\\\\": [\\\\"%s\\\\"]}"}' "$6" > "$9" ;;
  invoke)
    if grep -q two event.json; then
      [ "$FAILS" = invoke ] && exit 255
      [ "$FAILS" = again ] && { echo '{"batchItemFailures": [{"itemIdentifier": "1"}]}' > answer.json; exit; }
      [ "$FAILS" = function ] && { echo '{"errorMessage": "Task timed out"}' > answer.json; exit; }
    fi
    echo '{"batchItemFailures": []}' > answer.json ;;
esac
exit 0
"""


def script() -> str:
    (found,) = [block for block in document("docs/runbook.md").fences("sh") if "kept.json" in block]
    return found


@pytest.mark.parametrize("fails", ["nothing", "get-object", "invoke", "again", "function"])
def test_only_what_was_told_is_deleted(fails: str, tmp_path: Path) -> None:
    aws = tmp_path / "bin" / "aws"
    aws.parent.mkdir()
    aws.write_text(_AWS)
    aws.chmod(0o755)
    (tmp_path / "versions").write_text("".join(f"{name}\tv-{n}\n" for n, name in enumerate(NAMES)))
    environment = {"PATH": f"{aws.parent}:{os.environ['PATH']}", "FAILS": fails}
    subprocess.run(["bash", "-c", script()], cwd=tmp_path, env=environment, check=True, timeout=60)
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    gone = [call[call.index("--key") + 1] for call in calls if call[0] == "delete-object"]
    assert gone == [name for name in NAMES if fails == "nothing" or "two" not in name]
    assert not list(tmp_path.glob("*.json"))
