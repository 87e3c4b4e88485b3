"""The program itself: which registry it reads."""

from __future__ import annotations

from pathlib import Path

from stacks.program import program
from tests.conftest import Declare
from tests.stacks.estate import PLATFORM, SECRETS, configured, entry, registry_file


def test_another_registry_can_be_previewed(declare: Declare, tmp_path: Path) -> None:
    """A version that is not merged yet stands in for the settings' file, which is not even looked at."""
    wished = tmp_path / "wished"
    wished.mkdir()
    declared = declare(
        lambda: program(0, registry_file(wished, entry("acme"), entry("birch"))),
        stack="test-eu-1",
        config=configured(tmp_path / "there is none.yaml"),
        secret_config=SECRETS,
        stacks=PLATFORM,
    )
    assert set(declared.outputs["customers"]) == {"acme", "birch"}


def test_the_registry_is_beside_the_stack_file(declare: Declare, tmp_path: Path) -> None:
    """Wherever the process runs: a worker's code is in an image, the registry in a clone."""
    registry_file(tmp_path, entry("acme"))
    declared = declare(
        lambda: program(0, None, tmp_path),
        stack="test-eu-1",
        config=configured(Path("customers.yaml")),
        secret_config=SECRETS,
        stacks=PLATFORM,
    )
    assert set(declared.outputs["customers"]) == {"acme"}
