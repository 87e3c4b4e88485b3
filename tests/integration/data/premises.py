"""A cell's customers on the real Engine, a bucket behind a real S3 API, and a management database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from tests.integration.images.yard import HARDENED, SECRETS, Instance, Yard, wait_for
from webhook.backup import Backup, back_up
from webhook.bucket import Bucket
from webhook.cell_engine import CellEngine
from webhook.customer_volume import EXPIRES, CustomerVolume
from webhook.database.backups import BackupKind, BackupRecord, backups_of

if TYPE_CHECKING:
    from docker.models.containers import Container

DOCKER_HOST = "unix:///var/run/docker.sock"
NOW = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
CUSTOMER = "acme"


@dataclass(frozen=True, kw_only=True)
class Premises:
    """One cell of this test's own.

    Attributes:
        yard: Makes containers, and takes everything away.
        image: The tenant image.
        bucket: Of this test.
        engine: An empty management database.
        cell: Its name.
    """

    yard: Yard
    image: str
    bucket: Bucket
    engine: Engine
    cell: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:9]}")

    def labels(self, customer_id: str = CUSTOMER) -> dict[str, str]:
        """Labels as the cell's stack gives them."""
        return {"markitup.customer": customer_id, "markitup.cell": self.cell}

    def volume(
        self, customer_id: str = CUSTOMER, *, options: Mapping[str, str] | None = None, host: CellEngine | None = None
    ) -> CustomerVolume:
        """Make a customer's volume."""
        volume = self.nothing(customer_id, host=host)
        made = self.yard.client.volumes.create(
            volume.name, labels=self.labels(customer_id), driver_opts=dict(options or {})
        )
        self.yard.stack.callback(made.remove, force=True)
        return volume

    def nothing(self, customer_id: str = CUSTOMER, *, host: CellEngine | None = None) -> CustomerVolume:
        """Where a customer's volume would be."""
        engine = host or CellEngine(host=DOCKER_HOST)
        return CustomerVolume(engine=engine, image=self.image, cell=self.cell, customer_id=customer_id)

    def live(self, volume: CustomerVolume) -> Instance:
        """Start an instance on a volume and wait until its limits are in force."""
        environment = SECRETS | {"USER_LIMIT": "5", "STORAGE_LIMIT": "5120"}
        labels = self.labels(volume.customer_id)
        app = self.yard.start(self.image, volume=volume.name, environment=environment, labels=labels, **HARDENED)
        wait_for("limits in force", lambda: app.logged("limits in force"))
        return app

    def keeper(self, volume: CustomerVolume) -> Container:
        """Start a container that does nothing with a volume, for shell commands as the app's user."""
        container = self.yard.create(
            self.image, entrypoint=["sleep"], command=["600"], volumes=[f"{volume.name}:/app/data"], init=True
        )
        container.start()
        return container

    def shell(self, volume: CustomerVolume, script: str) -> str:
        """Run a shell script in a volume's top folder, as the app's user."""
        container = self.keeper(volume)
        try:
            return run(container, script)
        finally:
            container.kill()

    def back_up(self, volume: CustomerVolume, **changes: Any) -> Backup:
        """Back a volume up."""
        options: dict[str, Any] = {"bucket": self.bucket, "kind": BackupKind.DAILY, "now": NOW} | changes
        return back_up(volume, options.pop("bucket"), self.engine, **options)

    def recorded(self) -> list[BackupRecord]:
        """Backups in the table."""
        with Session(self.engine) as session:
            return list(backups_of(session, CUSTOMER))

    def objects(self) -> list[str]:
        """Keys in the bucket."""
        listed = self.bucket.client.list_objects_v2(Bucket=self.bucket.name, Prefix=f"{self.cell}/")
        return sorted(each["Key"] for each in listed.get("Contents", []))

    def content(self, backup: Backup) -> bytes:
        """An archive."""
        return b"".join(self.bucket.read(backup.s3_key))

    def readers(self) -> list[Container]:
        """Reading containers of this cell's volumes, in any state."""
        found = self.yard.client.containers.list(all=True, filters={"label": EXPIRES}, ignore_removed=True)
        return [each for each in found if any(self.cell in str(mount.get("Name")) for mount in each.attrs["Mounts"])]


def run(container: Container, script: str) -> str:
    """Run a shell script in a container's volume; fail with it."""
    code, output = container.exec_run(["sh", "-euc", script], workdir="/app/data")
    text = output.decode()
    assert code == 0, text
    return text
