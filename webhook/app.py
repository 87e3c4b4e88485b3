"""The web application: everything that acts is handed in, nothing happens at import."""

from __future__ import annotations

from datetime import UTC, date, datetime

from flask import Flask

from stacks.settings import read_settings
from webhook.internal import internal_blueprint
from webhook.logs import configure_logs, log_requests
from webhook.probes import probes_blueprint
from webhook.registry_view import RegistryView
from webhook.settings import ServiceSettings


def create_app(view: RegistryView) -> Flask:
    """Return the application."""
    app = Flask(__name__)
    log_requests(app)
    app.register_blueprint(probes_blueprint(view))
    app.register_blueprint(internal_blueprint(view))
    return app


def serve() -> Flask:
    """Return the application made from the environment: ``gunicorn 'webhook.app:serve()'``.

    Raises:
        SettingsError: the environment's settings are missing or wrong.
    """
    configure_logs()
    settings_file = ServiceSettings().settings_file.resolve()
    settings = read_settings(settings_file)
    view = RegistryView(
        settings_file.parent / settings.registry, cells=settings.cells, domain=settings.domain, clock=_today
    )
    return create_app(view)


def _today() -> date:
    return datetime.now(tz=UTC).date()
