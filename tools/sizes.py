"""How large each staged artefact is, unzipped and zipped as Lambda receives it."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple


class Size(NamedTuple):
    """Size of one artefact in bytes, and how many files it has."""

    name: str
    unzipped: int
    zipped: int
    files: int


def measure(name: str, folder: Path) -> Size:
    """The size of `folder` as an artefact called `name`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    return Size(name, sum(path.stat().st_size for path in files), len(sink.getvalue()), len(files))


def table(sizes: list[Size]) -> str:
    """The sizes as lines of text, a total last."""
    total = Size(
        "total", sum(s.unzipped for s in sizes), sum(s.zipped for s in sizes), sum(s.files for s in sizes)
    )
    lines = [f"{'artefact':<24}{'unzipped':>12}{'zipped':>12}{'files':>8}"]
    lines += [
        f"{s.name:<24}{_text(s.unzipped):>12}{_text(s.zipped):>12}{s.files:>8}" for s in (*sizes, total)
    ]
    return "\n".join(lines)


def _text(size: int) -> str:
    return f"{size / 1_000_000:.2f} MB" if size >= 100_000 else f"{size / 1_000:.1f} kB"
