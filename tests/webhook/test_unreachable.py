"""What workflows take for a database that is away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dbos._utils import retriable_postgres_exception
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from webhook.unreachable import _mark, mark_failures_to_connect


@pytest.fixture
def marking() -> Iterator[None]:
    """Mark for the time of a test."""
    mark_failures_to_connect()
    yield
    event.remove(Engine, "handle_error", _mark)


@pytest.mark.usefixtures("marking")
@pytest.mark.parametrize("host", ["no-such-name.invalid", "127.0.0.1:1"])
def test_workflows_wait_for_a_database_that_can_not_be_reached(host: str) -> None:
    """Also for one whose name leads nowhere, as a container's does that is down."""
    with pytest.raises(OperationalError) as caught:
        create_engine(f"postgresql+psycopg://hosting@{host}/hosting").connect()
    assert retriable_postgres_exception(caught.value)


@pytest.mark.usefixtures("marking")
def test_they_do_not_wait_after_a_mistake_of_ours() -> None:
    """A statement that can't be run is no better the next time."""
    with create_engine("sqlite://").connect() as connection, pytest.raises(OperationalError) as caught:
        connection.exec_driver_sql("SELECT nonsense")
    assert not caught.value.connection_invalidated
