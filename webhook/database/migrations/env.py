"""What Alembic runs for each command: it works on the connection that it is handed, in that one's transaction."""

from __future__ import annotations

from alembic import context

from webhook.database.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    compare_type=True,
    compare_server_default=True,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
