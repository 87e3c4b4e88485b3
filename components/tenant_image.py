"""The image that tenants run: MarkItUp with its data in one place."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker


@dataclass(frozen=True, kw_only=True)
class TenantImageArgs:
    """What the image is built from.

    Attributes:
        base_image: Pinned reference of the MarkItUp image, pulled unless the Engine has it.
        context: Folder of the Dockerfile, on the machine that runs the program.
        content_tag: Tag that changes whenever the base image or the folder's content does.
    """

    base_image: str
    context: str
    content_tag: str


class TenantImage(pulumi.ComponentResource):
    """Builds, on the cell's own Engine, the image whose data paths all lead into one volume.

    MarkItUp keeps its users in ``/app/markitup.db``, which no volume of its own covers; the derived
    image links it and the other data paths into ``/app/data``. Old images are kept on the Engine: going
    back needs no network.
    """

    image_id: pulumi.Output[str]

    def __init__(self, name: str, args: TenantImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:cell:TenantImage", name, None, opts)
        base = docker.RemoteImage(
            f"{name}-base",
            name=args.base_image,
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=False),
        )
        image = docker.RemoteImage(
            name,
            name=f"markitup-tenant:{args.content_tag}",
            build=docker.RemoteImageBuildArgs(
                context=args.context,
                build_args={"BASE_IMAGE": args.base_image},
                builder="",
                use_legacy_builder=True,
            ),
            keep_locally=True,
            # The provider would delete a named resource first, and with it all that is made from it: every instance.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[base], delete_before_replace=False),
        )
        self.image_id = image.image_id
        self.register_outputs({"image_id": self.image_id})
