"""The demo's management database: its own, or one that is lent and comes back empty."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, inspect, text

from demo.database import OWN, VARIABLE, LentDatabaseError, choose_database, give_back_database
from tests.webhook.databases import database_url, empty_engine, engine, postgres

__all__ = ["database_url", "empty_engine", "engine", "postgres"]  # fixtures: pytest finds them here


def test_without_a_wish_it_is_its_own() -> None:
    """A SQLite file among the demo's files; what was chosen once stays chosen."""
    assert choose_database(None, {}) == OWN
    assert choose_database(None, {VARIABLE: "postgresql:///lent"}) == "postgresql:///lent"


def test_another_one_than_before_is_refused() -> None:
    """The customers of the running demo are in the first one."""
    with pytest.raises(LentDatabaseError, match="make down"):
        choose_database("postgresql:///other", {VARIABLE: "postgresql:///lent"})


def test_a_database_that_does_not_answer_is_told() -> None:
    """Before anything is made."""
    with pytest.raises(LentDatabaseError, match="can't be opened"):
        choose_database("mysql:///x", {})


def test_an_empty_one_is_taken_and_comes_back_empty(empty_engine: Engine, database_url: str) -> None:
    """All tables go, those of the workflows too; one that holds something is not taken."""
    if empty_engine.dialect.name == "sqlite":
        give_back_database({VARIABLE: database_url})  # its file goes with the demo's files
        return
    assert choose_database(database_url, {}) == database_url
    with empty_engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA dbos"))
        connection.execute(text("CREATE TABLE dbos.workflow_status (id text)"))
        connection.execute(text("CREATE TABLE customers (id text)"))
    with pytest.raises(LentDatabaseError, match="holds 1 tables"):
        choose_database(database_url, {})
    with empty_engine.begin() as connection:
        connection.execute(text("DROP TABLE customers"))
    give_back_database({VARIABLE: database_url})
    assert inspect(empty_engine).get_table_names() == []
    assert "dbos" not in inspect(empty_engine).get_schema_names()
