"""One estate for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.estate.estate import Estate
from tests.integration.estate.estate import estate as running_estate


@pytest.fixture(scope="session")
def estate() -> Iterator[Estate]:
    """Bring platform and two cells up, and take everything away at the end."""
    with running_estate() as made:
        yield made
