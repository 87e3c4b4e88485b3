"""The web application: everything that acts is handed in, nothing happens at import."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime

import structlog
from flask import Flask
from sqlalchemy import Engine

from stacks.settings import Settings, SettingsError, read_settings
from webhook.checkout import Checkout, checkout_blueprint
from webhook.database.engine import open_database
from webhook.database.schema import database_problem
from webhook.failures import PROJECT, answer_failures
from webhook.internal import internal_blueprint
from webhook.logs import configure_logs, log_requests
from webhook.metrics import Metrics, measure_requests, metrics_blueprint
from webhook.pages import Pages, protect
from webhook.probes import probes_blueprint
from webhook.registry_view import RegistryView
from webhook.settings import FileSettings, ServiceSettings, read_service_settings
from webhook.stripe_checkout import StripeCheckout
from webhook.stripe_events import Intake, stripe_events_view


def create_app(view: RegistryView, *, intake: Intake | None = None, checkout: Checkout | None = None) -> Flask:
    """Return the application.

    Args:
        view: The registry.
        intake: What taking Stripe's events in needs; without it the application answers Caddy's questions only.
        checkout: What the sign-up pages need; without it there are none.
    """
    app = Flask(__name__)
    log_requests(app)
    answer_failures(app)
    app.register_blueprint(internal_blueprint(view))
    app.register_blueprint(
        probes_blueprint(view, None, clock=_now)
        if intake is None
        else probes_blueprint(view, intake.engine, clock=intake.clock)
    )
    metrics = None
    if intake is not None:
        metrics = Metrics(intake.engine, clock=intake.clock)
        measure_requests(app, metrics)  # before what may refuse a request, so that refusals are measured
        app.register_blueprint(metrics_blueprint(metrics))
    protection = None
    if checkout is not None:
        protection = protect(app, checkout.pages)
        app.register_blueprint(checkout_blueprint(checkout, view, protection))
    if intake is not None and metrics is not None:
        events = stripe_events_view(intake, metrics)
        app.add_url_rule("/webhooks/stripe", "stripe_events", events, methods=["POST"])
        if protection is not None:
            protection.csrf.exempt(events)  # Stripe signs what it sends
    return app


def serve() -> Flask:
    """Return the application made from the environment: ``gunicorn --workers 1 'webhook.app:serve()'``.

    Raises:
        SettingsError: naming all that is missing or wrong, in the environment and in the settings file.
    """
    configure_logs()
    service, settings = _read_all()
    settings_file = service.settings_file.resolve()
    view = RegistryView(
        settings_file.parent / settings.registry, cells=settings.cells, domain=settings.domain, clock=_today
    )
    engine = open_database(service.database_url)
    _bring_up_to_date(engine, service.database_url)
    secrets = tuple(secret.get_secret_value() for secret in service.stripe_webhook_secrets)
    checkout = Checkout(
        engine=engine,
        stripe=StripeCheckout(service.stripe_api_key.get_secret_value(), api_url=service.stripe_api_url),
        settings=settings,
        pages=Pages(
            secret_key=service.secret_key.get_secret_value(),
            public_url=service.public_url or f"https://portal.{settings.domain}",
        ),
    )
    return create_app(view, intake=Intake(engine=engine, secrets=secrets), checkout=checkout)


def _read_all() -> tuple[ServiceSettings, Settings]:
    problems: list[str] = []
    service, settings = None, None
    try:
        service = read_service_settings()
    except SettingsError as error:
        problems.append(str(error))
    try:
        settings = read_settings(FileSettings().settings_file.resolve())
    except SettingsError as error:
        problems.append(str(error))
    if service is None or settings is None:
        raise SettingsError("\n".join(dict.fromkeys(problems)))
    return service, settings


def _bring_up_to_date(engine: Engine, url: str) -> None:
    """Migrate the database if it is behind. Where it does not answer the service starts all the same.

    Caddy's questions need no database; ``/readyz`` says what is wrong, and Stripe is told to come again.
    """
    if database_problem(engine) is None:
        return
    # In a process of its own: Alembic's 11 MB would stay in this one for good.
    argv = [sys.executable, "-m", "webhook.database"]
    done = subprocess.run(
        argv, cwd=PROJECT, env={**os.environ, "HOSTING_DATABASE_URL": url}, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        structlog.get_logger("webhook").error("the database could not be brought up to date", code=done.returncode)


def _now() -> datetime:
    return datetime.now(tz=UTC)


def _today() -> date:
    return _now().date()
