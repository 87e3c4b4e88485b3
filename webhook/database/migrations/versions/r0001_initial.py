"""All tables of the first release.

What is written here is as it was then: nothing is imported from the models, which go on changing.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "backups": (("created_at",), ("customer_id", "created_at")),
    "events": (("state", "received_at"), ("type", "state")),
    "instances": (("cell",), ("owner_id",), ("status",)),
    "ledger": (("cause_event_id",), ("cause_id",), ("customer_id", "id"), ("kind", "ref")),
    "mails": (("claimed_at",), ("customer_id",), ("person_id",), ("sent_at",)),
    "reservations": (("customer_id",), ("expires_at",)),
    "subscriptions": (("current_period_end",), ("customer_id",), ("status",), ("stripe_customer",)),
    "workers": (("seen_at",),),
}


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "customers",
        _column("id", SERIAL),
        _column("email", sa.Text()),
        _column("stripe_customer", sa.Text(), nullable=True),
        _column("created_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("email", name="uq_customers_email"),
        sa.UniqueConstraint("stripe_customer", name="uq_customers_stripe_customer"),
    )
    op.create_table(
        "instances",
        _column("customer_id", sa.Text()),
        _column("owner_id", SERIAL, nullable=True),
        _column("subdomain", sa.Text()),
        _column("cell", sa.Text()),
        _column("plan", sa.Text()),
        _column("status", sa.Text()),
        _column("storage_used_bytes", sa.BigInteger(), default="0"),
        _column("users_count", sa.Integer(), nullable=True),
        _column("storage_measured_at", MOMENT, nullable=True),
        _column("updated_at", MOMENT),
        sa.PrimaryKeyConstraint("customer_id", name="pk_instances"),
        sa.UniqueConstraint("subdomain", name="uq_instances_subdomain"),
        sa.ForeignKeyConstraint(["owner_id"], ["customers.id"], name="fk_instances_owner_id", ondelete="SET NULL"),
        sa.CheckConstraint("storage_used_bytes >= 0", name=op.f("ck_instances_storage_used_bytes")),
        sa.CheckConstraint("users_count >= 0", name=op.f("ck_instances_users_count")),
    )
    op.create_table(
        "subscriptions",
        _column("stripe_subscription", sa.Text()),
        _column("stripe_customer", sa.Text()),
        _column("customer_id", sa.Text(), nullable=True),
        _column("plan", sa.Text()),
        _column("interval", sa.Text()),
        _column("status", sa.Text()),
        _column("current_period_end", MOMENT, nullable=True),
        _column("updated_at", MOMENT),
        sa.PrimaryKeyConstraint("stripe_subscription", name="pk_subscriptions"),
    )
    op.create_table(
        "backups",
        _column("id", SERIAL),
        _column("customer_id", sa.Text()),
        _column("kind", sa.String(16)),
        _column("filename", sa.Text()),
        _column("size_bytes", sa.BigInteger()),
        _column("s3_key", sa.Text()),
        _column("sha256", sa.Text()),
        _column("created_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
        sa.UniqueConstraint("s3_key", name="uq_backups_s3_key"),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_backups_size_bytes")),
        _one_of("backups", "kind", "daily", "final"),
    )
    op.create_table(
        "events",
        _column("id", sa.Text()),
        _column("type", sa.Text()),
        _column("api_version", sa.Text(), nullable=True),
        _column("created", MOMENT),
        _column("received_at", MOMENT),
        _column("payload", DOCUMENT),
        _column("state", sa.String(16)),
        _column("reason", sa.Text(), nullable=True),
        _column("attempts", sa.Integer(), default="0"),
        _column("applied_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        _one_of("events", "state", "received", "applied", "failed", "ignored", "parked"),
    )
    op.create_table(
        "reservations",
        _column("subdomain", sa.Text()),
        _column("holder", sa.Text()),
        _column("customer_id", sa.Text()),
        _column("idempotency_key", sa.Text()),
        _column("session_id", sa.Text(), nullable=True),
        _column("payment_status", sa.Text(), nullable=True),
        _column("completed_at", MOMENT, nullable=True),
        _column("expires_at", MOMENT),
        sa.PrimaryKeyConstraint("subdomain", name="pk_reservations"),
        sa.UniqueConstraint("holder", name="uq_reservations_holder"),
        sa.UniqueConstraint("session_id", name="uq_reservations_session_id"),
    )
    op.create_table(
        "ledger",
        _column("id", SERIAL),
        _column("at", MOMENT),
        _column("customer_id", sa.Text(), nullable=True),
        _column("kind", sa.String(16)),
        _column("ref", sa.Text()),
        _column("detail", DOCUMENT),
        _column("cause_id", SERIAL, nullable=True),
        _column("cause_event_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
        sa.ForeignKeyConstraint(["cause_id"], ["ledger.id"], name="fk_ledger_cause_id"),
        sa.ForeignKeyConstraint(["cause_event_id"], ["events.id"], name="fk_ledger_cause_event_id"),
        sa.CheckConstraint("cause_id IS NULL OR cause_event_id IS NULL", name=op.f("ck_ledger_one_cause")),
        _one_of("ledger", "kind", "event", "commit", "update", "probe", "backup", "mail", "alert"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "mails",
        _column("cause", sa.Text()),
        _column("template", sa.Text()),
        _column("customer_id", sa.Text(), nullable=True),
        _column("person_id", SERIAL, nullable=True),
        _column("facts", DOCUMENT),
        _column("claimed_at", MOMENT),
        _column("begun_at", MOMENT, nullable=True),
        _column("sent_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("cause", name="pk_mails"),
        sa.ForeignKeyConstraint(["person_id"], ["customers.id"], name="fk_mails_person_id", ondelete="SET NULL"),
    )
    op.create_table(
        "stacks",
        _column("name", sa.Text()),
        _column("covered", sa.Text(), nullable=True),
        _column("version", sa.Integer(), nullable=True),
        _column("unfinished_since", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_stacks"),
    )
    op.create_table(
        "marks",
        _column("name", sa.Text()),
        _column("value", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
    op.create_table(
        "workers",
        _column("name", sa.Text()),
        _column("seen_at", MOMENT),
        _column("engine_version", sa.Text(), nullable=True),
        _column("engine_problem", sa.Text(), nullable=True),
        _column("updating", DOCUMENT),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def downgrade() -> None:
    """Drop them, each before what it refers to."""
    for table in (
        "marks",
        "workers",
        "stacks",
        "mails",
        "ledger",
        "reservations",
        "events",
        "backups",
        "subscriptions",
        "instances",
        "customers",
    ):
        op.drop_table(table)


def _column(name: str, kind: sa.types.TypeEngine[Any], *, nullable: bool = False, default: str | None = None) -> Any:  # noqa: ANN401 - a column of any type
    return sa.Column(name, kind, nullable=nullable, server_default=default)


def _one_of(table: str, column: str, *words: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))
