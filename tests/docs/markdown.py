"""The documents of this repository, taken apart as far as the tests need it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^([ ]*)(```+)([\w-]*)\n(.*?)^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


class Fence(NamedTuple):
    """A fenced block: its language, and its content without the indentation of the fence."""

    language: str
    content: str


class Document:
    """One Markdown file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.prose = _FENCE.sub("", self.text)

    def fences(self, *languages: str) -> list[str]:
        """The content of every fenced block of these languages, in order."""
        return [fence.content for fence in self._fences() if fence.language in languages]

    def links(self) -> list[str]:
        """Every link and image target outside fenced blocks."""
        return _LINK.findall(self.prose)

    def codes(self) -> list[str]:
        """Every piece of inline code."""
        return _CODE.findall(self.prose)

    def anchors(self) -> set[str]:
        """What can follow a `#`, in GitHub's spelling."""
        return {_anchor(heading) for heading in _HEADING.findall(self.prose)}

    def rows(self, *head: str) -> list[list[str]]:
        """The cells of every table whose header begins with these words."""
        found, inside = [], False
        for line in self.prose.splitlines():
            cells = (
                [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
            )
            if cells[: len(head)] == list(head):
                inside = True
            elif not cells:
                inside = False
            elif inside and set(line) - set("|-: "):
                found.append(cells)
        return found

    def _fences(self) -> Iterator[Fence]:
        for indent, _, language, content in _FENCE.findall(self.text):
            yield Fence(language, re.sub(rf"^{indent}", "", content, flags=re.MULTILINE))


def documents() -> list[Document]:
    """README, changelog and everything in `docs/`."""
    paths = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Document(path) for path in paths]


def document(name: str) -> Document:
    """One document by its path from the root."""
    return Document(ROOT / name)


def names(cell: str) -> list[str]:
    """The pieces of inline code in a table's cell."""
    return _CODE.findall(cell)


def _anchor(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return words.replace(" ", "-")
