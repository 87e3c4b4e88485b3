"""The facts as settling asks for them: of real instances, with the engine's last update handed in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from registry.customers import Customer, Status
from stacks.settings import Settings
from tests.integration.data.premises import DOCKER_HOST, NOW, Premises
from webhook.backup import BackupError
from webhook.database.instances import find_instance, save_instance
from webhook.database.mails import begin_mail, claim_mail, mark_sent
from webhook.instance_facts import Facts, InstanceFacts, LastUpdate


def entry(premises: Premises, **changes: Any) -> Customer:
    """The customer's entry in the registry."""
    values: dict[str, Any] = {"subdomain": "acme", "plan": "team", "status": "active", "cell": premises.cell}
    return Customer(**values | changes)


def facts(premises: Premises, **changes: Any) -> InstanceFacts:
    """What is asked; by default after an update that left the customer as `purging`."""
    cell = {"region": "eu", "location": "nbg1", "server_types": ["cx43"], "docker_host": DOCKER_HOST}
    settings = Settings(
        cells={premises.cell: cell},  # type: ignore[dict-item]
        image="ghcr.io/xclusive36/markitup:1",
        proxy_image="caddy:1",
        control_url="http://10.0.0.2",
        zone_id="0" * 32,
        ssh_public_keys=["ssh-ed25519 AAAA"],
    )
    update = LastUpdate(
        server_ipv4="192.0.2.1", tenant_image=premises.image, customers={"acme": "purging"}, finished=True
    )
    options: dict[str, Any] = {"last_update": lambda _: update, "clock": lambda: NOW, "bucket": premises.bucket}
    return InstanceFacts(settings=settings, engine=premises.engine, **options | changes)


def test_usage_is_noted(premises: Premises) -> None:
    """In the table of instances, for the portal; what can't be measured leaves the last known."""
    app = premises.live(premises.volume())
    app.sign_up("ann")
    with Session(premises.engine) as session, session.begin():
        save_instance(session, "acme", entry(premises), now=NOW)
    asked: Facts = facts(premises)
    used = asked.used("acme", entry(premises))
    assert used is not None
    assert used.users == 1
    assert asked.used("birch", entry(premises)) is None
    assert facts(premises, last_update=lambda _: None).used("acme", entry(premises)) is None
    with Session(premises.engine) as session:
        record = find_instance(session, "acme")
        assert record is not None
        assert (record.storage_used_bytes, record.users_count, record.storage_measured_at) == (
            used.storage_bytes,
            1,
            NOW,
        )


def test_the_final_backup_counts_while_it_is_there(premises: Premises) -> None:
    """From the day on which it was made; not where the object is lost, and not where the bucket is not to be seen."""
    premises.volume()
    leaving = entry(premises, status="deleting", delete_after=date(2026, 11, 23))
    asked = facts(premises)
    assert asked.final_backup_on("acme", leaving) is None
    asked.take_final_backup("acme", leaving)
    assert asked.final_backup_on("acme", leaving) == NOW.date()
    assert asked.final_backup_on("birch", leaving) is None
    asked.take_final_backup("acme", leaving)
    (record,) = premises.recorded()
    facts(premises, clock=lambda: NOW + timedelta(days=2)).take_final_backup("acme", leaving)
    assert asked.final_backup_on("acme", leaving) == date(2026, 11, 26)
    newest = premises.recorded()[0].s3_key
    premises.bucket.client.delete_object(Bucket=premises.bucket.name, Key=newest)
    assert asked.final_backup_on("acme", leaving) == NOW.date()
    premises.bucket.client.put_object(Bucket=premises.bucket.name, Key=record.s3_key, Body=b"other")
    assert asked.final_backup_on("acme", leaving) is None
    lost = type(premises.bucket)(client=premises.bucket.client, name="nowhere-to-be-seen")
    assert facts(premises, bucket=lost).final_backup_on("acme", leaving) is None
    with pytest.raises(BackupError, match=r"never been updated\. Fix: hosting up"):
        facts(premises, last_update=lambda _: None).take_final_backup("acme", leaving)


def test_an_instance_is_removed_when_both_say_so(premises: Premises) -> None:
    """The engine by an update that ended with it as `purging`, and Docker, which has no container of it at all."""
    purging = entry(premises, status="purging", delete_after=date(2026, 11, 23))
    volume = premises.volume()
    premises.yard.create(premises.image, labels=premises.labels("acme2"))
    asked = facts(premises)
    assert asked.instance_removed("acme", purging)
    assert not asked.instance_removed("acme", entry(premises, status="deleting", delete_after=date(2026, 11, 23)))
    told = {"server_ipv4": "192.0.2.1", "tenant_image": premises.image, "finished": True}
    for update in (
        None,
        LastUpdate(**told | {"customers": {"acme": "purging"}, "finished": False}),
        LastUpdate(**told, customers={"acme": Status.DELETING}),
        LastUpdate(**told, customers={}),
    ):
        assert not facts(premises, last_update=lambda _, update=update: update).instance_removed("acme", purging)
    app = premises.live(volume)
    assert not asked.instance_removed("acme", purging)
    app.stop()
    assert not asked.instance_removed("acme", purging)
    cells = {premises.cell: asked.settings.cells[premises.cell].model_copy(update={"docker_host": "unix:///no.sock"})}
    elsewhere = asked.settings.model_copy(update={"cells": cells})
    assert not replace(facts(premises), settings=elsewhere).instance_removed("acme", purging)


def test_a_letter_is_told_once_it_was_sent(premises: Premises) -> None:
    """Not when it is only owed or begun."""
    asked = facts(premises)
    cause = "domain-ends:sub_1:team:2026-12-01"
    with Session(premises.engine) as session, session.begin():
        claim_mail(session, cause, template="domain-ends", customer_id="acme", now=NOW)
        begin_mail(session, cause, now=NOW)
    assert asked.domain_told_on(cause) is None
    with Session(premises.engine) as session, session.begin():
        mark_sent(session, cause, now=NOW + timedelta(days=1))
    assert asked.domain_told_on(cause) == date(2026, 11, 25)
    assert asked.domain_told_on("other") is None
