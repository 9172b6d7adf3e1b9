"""Say which files carry what must not be in a repository: secrets, package indexes, paths of one machine.

    python -m tools.hygiene

Looks at every file that git has or would take. Answers 1 when it found something, with file and line.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Written in pieces, or this file would find itself.
_INDEXES = ("pypi" + r"\.org", "files" + r"\.pythonhosted\.org", "registry" + r"\.npmjs\.org")
RULES: dict[str, re.Pattern[str]] = {
    "names a package index": re.compile("|".join(_INDEXES)),
    "chooses a package index": re.compile(
        r"^\s*(?:--(?:extra-)?index-url|--find-links|-i|-f)[\s=]", re.MULTILINE
    ),
    "holds a private key": re.compile("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----\n[A-Za-z0-9+/=]{16}"),
    "holds an AWS access key id": re.compile(r"\b(?:AKIA|ASIA)(?!IOSFODNN7EXAMPLE)[A-Z0-9]{16}\b"),
    "holds a password in a URL": re.compile(
        # Names that are reserved for examples (RFC 2606) have no real passwords.
        r"https?://[^\s/:@'\"{}<>]+:[^\s/:@'\"{}<>]+@(?![\w.-]*\b(?:example|test|invalid)\b)[a-z0-9]"
    ),
    "holds a token of a known kind": re.compile(
        r"\bghp_[A-Za-z0-9]{36}|\bxox[bp]-[0-9]{8,}-[A-Za-z0-9-]{20,}"
    ),
    "names a home folder": re.compile(r"(?<![\w.~])/(?:home|Users)/(?!\$)[a-z][\w.-]*/"),
}
#: Only requirements files choose an index; in other files such an option may be documented.
ONLY_IN = {"chooses a package index": "requirements/"}


def main() -> int:
    """Print each finding as `file:line: what`; 1 when there is any, else 0."""
    found = [finding for name in files(ROOT) for finding in findings(name, (ROOT / name).read_bytes())]
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0


def files(root: Path) -> list[str]:
    """Names of all files below `root` that git has, or would take with `git add .`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    return sorted(name for name in set(listed.split("\0")) if name and (root / name).is_file())


def findings(name: str, content: bytes) -> Iterator[str]:
    """What is wrong with one file, as `file:line: what`. Binary files hold no text to look at."""
    if b"\0" in content[:4096]:
        return
    text = content.decode("utf-8", "replace")
    for what, pattern in RULES.items():
        if name.startswith(ONLY_IN.get(what, "")):
            for match in pattern.finditer(text):
                yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what}"


if __name__ == "__main__":
    sys.exit(main())
