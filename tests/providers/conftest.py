from pathlib import Path

import pytest

from tests.providers.samples import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path)
