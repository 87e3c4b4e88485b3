"""The running control service for a file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.control.launch import premises as running_premises
from tests.integration.control.premises import Premises


@pytest.fixture(scope="module")
def control() -> Iterator[Premises]:
    """Bring the control service up, and take it away at the end."""
    with running_premises() as made:
        yield made
