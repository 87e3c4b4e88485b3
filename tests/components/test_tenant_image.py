"""The tenants' image on the recording mock."""

from __future__ import annotations

import pytest

from components.tenant_image import TenantImage, TenantImageArgs
from tests.conftest import Declare, Declared


@pytest.fixture
def declared(declare: Declare) -> Declared:
    """A declared image."""

    def program() -> None:
        TenantImage(
            "eu-1",
            TenantImageArgs(base_image="ghcr.io/example/markitup:1.0.0", context="/images/tenant", content_tag="0a1b"),
        )

    return declare(program)


def test_it_is_the_base_and_what_is_built_from_it(declared: Declared) -> None:
    """Both are images on the cell's Engine, and both stay there: going back needs no network."""
    assert declared.kinds == [
        ("docker:index/remoteImage:RemoteImage", "eu-1"),
        ("docker:index/remoteImage:RemoteImage", "eu-1-base"),
    ]
    component = declared.one("hosting:cell:TenantImage")
    assert {each.parent for each in declared.custom} == {component.urn}
    assert all(each.inputs["keepLocally"] is True for each in declared.custom)
    assert declared.component_outputs[component.urn] == {"image_id": "sha256:eu-1"}


def test_the_old_one_goes_last(declared: Declared) -> None:
    """Left to itself the provider deletes a named image first, and the engine all instances made from it with it."""
    assert [each.delete_before_replace for each in declared.custom] == [False, False]


def test_the_name_changes_with_the_content(declared: Declared) -> None:
    """The tag is the content's: another content is another image, never an old one under a new name."""
    assert declared.one("RemoteImage", "eu-1").inputs["name"] == "markitup-tenant:0a1b"


def test_it_is_built_from_the_pinned_base(declared: Declared) -> None:
    """The base is pulled before the build, which is told exactly that reference."""
    base, image = declared.one("RemoteImage", "eu-1-base"), declared.one("RemoteImage", "eu-1")
    assert base.inputs["name"] == "ghcr.io/example/markitup:1.0.0"
    assert image.inputs["build"]["context"] == "/images/tenant"
    assert image.inputs["build"]["buildArgs"] == {"BASE_IMAGE": base.inputs["name"]}
    assert base.urn in image.dependencies
