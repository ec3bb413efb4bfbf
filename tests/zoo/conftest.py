"""Where the files of the zoo are made."""

from __future__ import annotations

import pytest

from mediajobs_dagster.media.tools import Tools
from tests.zoo.making import Maker


@pytest.fixture(scope="session")
def maker(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Makes files; the parts that many are made of are made once."""
    return Maker(tmp_path_factory.mktemp("zoo"), tools)
