"""Text between two markers of a document."""

from pathlib import Path


def put_into(document: Path, text: str, begin: str, end: str) -> None:
    """Replace what stands between the two markers of a document.

    Raises:
        ValueError: it does not have each marker once, in order.
    """
    before, _, after = parts(document, begin, end)
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def parts(document: Path, begin: str, end: str) -> tuple[str, str, str]:
    """What stands before, between and after two markers of a document.

    Raises:
        ValueError: it does not have each marker once, in order.
    """
    before, found, rest = document.read_text(encoding="utf-8").partition(begin)
    between, closed, after = rest.partition(end)
    if not found or not closed or begin in after or end in after:
        raise ValueError(f"{document.name} needs {begin} and {end}, once each")
    return before, between.strip(), after
