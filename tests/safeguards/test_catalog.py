"""The catalog of safeguards speaks of the code as it is."""

import ast

import pytest

from tests.safeguards.catalog import SAFEGUARDS, Safeguard
from tests.support import ROOT


@pytest.mark.parametrize("one", SAFEGUARDS, ids=[one.name for one in SAFEGUARDS])
def test_a_safeguard_stands_where_the_catalog_says(one: Safeguard) -> None:
    without = one.removed((ROOT / one.path).read_text())
    ast.parse(without)
    assert one.new in without
    assert all((ROOT / tests).exists() for tests in one.tests)


def test_what_stands_elsewhere_is_said() -> None:
    with pytest.raises(ValueError, match="one-lease stands 0 times"):
        SAFEGUARDS[0].removed("something else")
