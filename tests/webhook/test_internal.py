"""What Caddy asks the control service."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.webhook.conftest import CUSTOMERS, Write


@pytest.mark.parametrize(
    ("domain", "cell", "allowed"),
    [
        ("wiki.example.org", "eu-1", True),
        ("birch.example.com", "eu-2", True),
        ("cobalt.example.com", "eu-1", True),
        ("wiki.example.org", None, True),
        ("wiki.example.org", "eu-2", False),
        ("birch.example.com", "eu-1", False),
        ("dune.example.com", "eu-1", False),
        ("ember.example.com", "eu-1", False),
        ("sub.wiki.example.org", "eu-1", False),
        ("example.org", "eu-1", False),
        ("acme.markitup.io", "eu-1", False),
        ("markitup.io", "eu-1", False),
        ("", "eu-1", False),
        (None, None, False),
    ],
)
def test_certificates_are_for_present_customers_domains(
    client: FlaskClient, domain: str | None, cell: str | None, allowed: bool
) -> None:
    """On the customer's own cell, for exactly its custom domain, and not once it is leaving."""
    query = {key: value for key, value in (("domain", domain), ("cell", cell)) if value is not None}
    response = client.get("/internal/ask", query_string=query)
    assert (response.status_code, response.text) == ((200, "yes\n") if allowed else (404, "no\n"))


@pytest.mark.parametrize(
    ("host", "code", "title", "retry"),
    [
        ("acme.markitup.io", 503, "This wiki is starting", "3"),
        ("birch.markitup.io", 503, "This wiki is starting", "3"),
        ("cobalt.markitup.io", 503, "This wiki is paused", "60"),
        ("dune.markitup.io", 410, "This wiki has been closed", None),
        ("ember.markitup.io", 410, "This wiki has been closed", None),
        ("nobody.markitup.io", 404, "There is no wiki here", None),
        ("wiki.example.org", 503, "This wiki is starting", "3"),
        ("cobalt.example.com", 503, "This wiki is paused", "60"),
        ("COBALT.MarkItUp.io:8443", 503, "This wiki is paused", "60"),
        ("cobalt.markitup.io.", 503, "This wiki is paused", "60"),
        ("www.acme.markitup.io", 404, "There is no wiki here", None),
        ("acme.example.org", 404, "There is no wiki here", None),
        ("", 404, "There is no wiki here", None),
    ],
)
def test_the_page_says_why_nothing_answers(
    client: FlaskClient, host: str, code: int, title: str, retry: str | None
) -> None:
    """By the customer's status, whatever name it was asked for by; it tries again where that helps."""
    response = client.get("/internal/placard", query_string={"host": host})
    assert response.status_code == code
    assert f"<h1>{title}</h1>" in response.text
    assert response.headers.get("Retry-After") == retry
    assert ('http-equiv="refresh"' in response.text) is (retry is not None)
    assert response.headers["Cache-Control"] == "no-store"


def test_the_page_repeats_nothing_of_the_request(client: FlaskClient) -> None:
    """A host name is anything that a client can send."""
    response = client.get("/internal/placard", query_string={"host": "<script>alert(1)</script>.markitup.io"})
    assert response.status_code == 404
    assert "<script" not in response.text


def test_a_name_of_somebody_else_says_nothing_about_customers(client: FlaskClient) -> None:
    """No id, plan or Stripe number is in any page."""
    for host in ("acme.markitup.io", "cobalt.markitup.io", "dune.markitup.io"):
        text = client.get("/internal/placard", query_string={"host": host}).text
        assert not [word for word in ("eu-1", "acme", "cobalt", "dune", ">pro", "example.") if word in text]


def test_an_edit_counts_at_once(client: FlaskClient, write: Write) -> None:
    """A customer that leaves gets no certificate from the next question on."""
    question = "/internal/ask?domain=wiki.example.org&cell=eu-1"
    assert client.get(question).status_code == 200
    leaving = "status: deleting\n    delete_after: 2099-01-01"
    write(CUSTOMERS.replace("status: active", leaving, 1))
    assert client.get(question).status_code == 404


@pytest.mark.parametrize("path", ["/internal/ask", "/internal/placard"])
def test_nothing_is_changed_by_asking(client: FlaskClient, path: str) -> None:
    """Only GET is answered."""
    assert client.post(path).status_code == 405


def test_without_any_registry_nobody_is_called_unknown(client: FlaskClient, path: Path) -> None:
    """A service that never read a sound file answers 503 and that it is away, not that there is no wiki."""
    path.write_text("customers: [")
    response = client.get("/internal/placard", query_string={"host": "acme.markitup.io"})
    assert (response.status_code, "Back in a moment" in response.text) == (503, True)
    path.write_text(CUSTOMERS)
    assert client.get("/internal/placard", query_string={"host": "nobody.markitup.io"}).status_code == 404
