"""Puts the worker's effects together from its settings; the one place that knows them all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import Engine
from stripe import StripeClient

from registry.remote import Remote
from registry.store import RegistryStore
from stacks.settings import Settings
from webhook.alerts import Alerts, Desk
from webhook.approvals import Approvals
from webhook.bucket import Bucket
from webhook.cell_updates import CellUpdates
from webhook.deploy import Deployer, ready, target_of
from webhook.instance_facts import InstanceFacts
from webhook.letterbox import Letterbox
from webhook.mail.post import Post
from webhook.probe import Probe
from webhook.pull_requests import GitHubPullRequests, PlainBranches, PullRequests
from webhook.settings import ServiceSettings
from webhook.settlement import Settlement
from webhook.turns import Turns

log = structlog.get_logger("worker")


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What a worker acts with.

    Attributes:
        settlement: Settles subscriptions.
        deployer: Runs the engine.
        store: The registry.
    """

    settlement: Settlement
    deployer: Deployer
    store: RegistryStore


def assemble(service: ServiceSettings, settings: Settings, engine: Engine) -> Effects:
    """Return the effects made from settings; the engine is looked for, and built where there is none.

    Raises:
        BuildError: there is no engine and none can be had.
    """
    remote = _remote(service)
    store = RegistryStore(
        registry_file(service, settings),
        cells=settings.cells,
        domain=settings.domain,
        clock=lambda: now().date(),
        branch=service.registry_branch,
        remote=remote,
    )
    turns = Turns(engine)
    deployer = ready(target_of(service.settings_file), _say, turns)
    base = {"api": service.stripe_api_url} if service.stripe_api_url else {}
    post = _post(service)
    alerts = Alerts(engine=engine, clock=now, desk=_desk(service, post))
    settlement = Settlement(
        stripe=StripeClient(service.stripe_api_key.get_secret_value(), base_addresses=base),  # pyright: ignore[reportArgumentType]
        store=store,
        settings=settings,
        engine=engine,
        turns=turns,
        updates=CellUpdates(deployer, registry_file(service, settings), at=store.at, fetch=store.sync),
        probe=Probe.of(settings, ca_file=service.ca_file),
        facts=InstanceFacts(
            settings=settings, engine=engine, bucket=Bucket.of(settings), last_update=deployer.last_update, clock=now
        ),
        approvals=Approvals(store=store, requests=_requests(service), alerts=alerts),
        letterbox=Letterbox(engine=engine, post=post, sender=service.mail_from, clock=now),
        alerts=alerts,
        portal_url=f"https://portal.{settings.domain}",
        clock=now,
    )
    return Effects(settlement=settlement, deployer=deployer, store=store)


def registry_file(service: ServiceSettings, settings: Settings) -> Path:
    """Return where the registry is."""
    return service.settings_file.resolve().parent / settings.registry


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(tz=UTC)


def _remote(service: ServiceSettings) -> Remote | None:
    if service.registry_remote is None:
        return None
    return Remote(address=service.registry_remote, token=service.github_token)


def _requests(service: ServiceSettings) -> PullRequests:
    if service.github_repository is None or service.github_token is None:
        return PlainBranches()
    return GitHubPullRequests(
        service.github_repository,
        token=service.github_token,
        base=service.registry_branch or "main",
        url=service.github_url,
    )


def _post(service: ServiceSettings) -> Post | None:
    if service.smtp_host is None:
        return None
    password = None if service.smtp_password is None else service.smtp_password.get_secret_value()
    return Post(
        host=service.smtp_host,
        port=service.smtp_port,
        user=service.smtp_user,
        password=password,
        tls=service.smtp_tls,
    )


def _desk(service: ServiceSettings, post: Post | None) -> Desk | None:
    if post is None or service.alerts_to is None:
        return None
    return Desk(post=post, sender=service.mail_from, to=service.alerts_to)


def _say(line: str) -> None:
    log.info("engine", line=line)
