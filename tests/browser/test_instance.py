"""What people see, in a real browser: an instance's first note, and the pages for names that don't answer."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import docker
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from edge.caddyfile import fallback_page
from localcloud.images import ensure_markitup, ensure_tenant
from registry.cells import Cell
from tests.integration.images.yard import HARDENED, PASSWORD, SECRETS, Yard
from webhook.app import create_app
from webhook.registry_view import RegistryView

CHROMIUM = "/usr/bin/chromium"
CUSTOMERS = """\
customers:
  active:
    subdomain: active
    plan: personal
    status: active
    cell: eu-1
  paused:
    subdomain: paused
    plan: personal
    status: suspended
    cell: eu-1
  leaving:
    subdomain: leaving
    plan: personal
    status: deleting
    cell: eu-1
    delete_after: 2099-01-01
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not the plugin's, which lasts for the whole session: its event loop would be in the way of others' tests.
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def instance() -> Iterator[str]:
    """Run a tenant as a cell does, with a published port; its address."""
    with ExitStack() as stack:
        client = docker.from_env()
        stack.callback(client.close)
        image = ensure_tenant(client, ensure_markitup(client, print), print)
        network = client.networks.create(f"test-{uuid.uuid4().hex[:12]}")
        stack.callback(network.remove)
        yard = Yard(client=client, network=network, stack=stack)
        environment = SECRETS | {"USER_LIMIT": "5", "STORAGE_LIMIT": "5120"}
        ports = {"3000/tcp": ("127.0.0.1", None)}
        tenant = yard.start(image, volume=yard.volume(), environment=environment, ports=ports, **HARDENED)
        tenant.container.reload()
        yield f"http://127.0.0.1:{tenant.container.ports['3000/tcp'][0]['HostPort']}/"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the control service; its address."""
    path = tmp_path_factory.mktemp("registry") / "customers.yaml"
    path.write_text(CUSTOMERS)
    cells = {"eu-1": Cell(region="eu", location="nbg1", server_types=("cx43",))}
    view = RegistryView(path, cells=cells, domain="markitup.io", clock=lambda: date(2026, 11, 24))
    server = make_server("127.0.0.1", 0, create_app(view), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="control")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_note_is_there_after_a_reload(page: Page, instance: str) -> None:
    """Somebody signs up, writes a note, loads the page again, and is still somebody with a note."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(instance)
    page.get_by_label("Name", exact=True).fill("Ann")
    page.get_by_label("E-mail").fill("ann@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.locator("#who")).to_have_text("Ann")
    page.get_by_label("Title").fill("Plan")
    page.get_by_label("Markdown").fill("# Plan\n\nTake over the world.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    page.reload()
    expect(page.locator("#who")).to_have_text("Ann")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_label("Markdown")).to_have_value("# Plan\n\nTake over the world.")
    assert problems == []


PLACARDS = [
    ("active", 503, "This wiki is starting"),
    ("paused", 503, "This wiki is paused"),
    ("leaving", 410, "This wiki has been closed"),
    ("nobody", 404, "There is no wiki here"),
]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(("name", "status", "title"), PLACARDS)
def test_placards_fit(page: Page, control: str, width: int, name: str, status: int, title: str) -> None:
    """Each page says what is the matter and fits a phone and a desktop without scrolling sideways."""
    page.set_viewport_size({"width": width, "height": 740})
    response = page.goto(f"{control}/internal/placard?host={name}.markitup.io")
    assert response is not None
    assert response.status == status
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    assert is_readable(page, width)


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_without_the_control_service_fits(page: Page, tmp_path: Path, width: int) -> None:
    """So does the page that Caddy shows by itself."""
    (tmp_path / "fallback.html").write_text(fallback_page())
    page.set_viewport_size({"width": width, "height": 740})
    page.goto((tmp_path / "fallback.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("Back in a moment")
    assert is_readable(page, width)


def is_readable(page: Page, width: int) -> bool:
    """Whether nothing reaches over the sides and the text is as large as on any page."""
    layout = page.evaluate(
        """() => ({
            scroll: document.documentElement.scrollWidth,
            inner: window.innerWidth,
            right: Math.max(...[...document.body.querySelectorAll('*')].map((e) => e.getBoundingClientRect().right)),
            left: Math.min(...[...document.body.querySelectorAll('*')].map((e) => e.getBoundingClientRect().left)),
            size: parseFloat(getComputedStyle(document.querySelector('p')).fontSize),
        })"""
    )
    fits = layout["scroll"] <= layout["inner"] == width and 0 <= layout["left"] <= layout["right"] <= width
    return fits and layout["size"] >= 16
