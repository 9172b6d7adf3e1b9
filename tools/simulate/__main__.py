"""Simulate ten million connections by the product's own constants and rules; under a minute.

make simulate           print the tables
make simulate DOC=1     the same, and put them into docs/scale.md

python -m tools.simulate [--doc]
"""

import argparse
import sys

from tools.simulate.document import put_into
from tools.simulate.settings import ROOT
from tools.simulate.tables import render, sections

BEGIN, END = "<!-- simulate: begin -->", "<!-- simulate: end -->"
DOCUMENT = ROOT / "docs/scale.md"


def main(arguments: list[str] | None = None) -> int:
    """Print every table, and put them into the document if asked; 0."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.simulate", description="Simulate many connections."
    )
    parser.add_argument("--doc", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    given = parser.parse_args(arguments)
    text = "\n\n".join(render(section) for section in sections())
    print(text)
    if given.doc:
        put_into(DOCUMENT, text, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
