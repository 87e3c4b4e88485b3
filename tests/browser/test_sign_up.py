"""Signing up in a real browser: the form, Stripe's page, and the page that waits until the wiki answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from registry.customers import Status
from tests.webhook.sign_up_desk import SignUps, served_sign_ups

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not the plugin's, which lasts for the whole session: its event loop would be in the way of others' tests.
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SignUps]:
    """The sign-up pages, served, with a simulated Stripe."""
    with served_sign_ups(tmp_path) as opened:
        yield opened


@pytest.fixture(params=[True, False], ids=["with-javascript", "without-javascript"])
def scripted(request: pytest.FixtureRequest) -> bool:
    """Whether the visitor's browser runs scripts."""
    return bool(request.param)


@pytest.fixture
def page(browser: Browser, scripted: bool) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=scripted, viewport={"width": 380, "height": 740})
    context.set_default_timeout(20_000)
    problems: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if "Security" in message.text else None)
    yield opened
    context.close()
    assert problems == []


def fill(page: Page, name: str) -> None:
    """Fill the form in."""
    page.get_by_label("Personal").check()
    page.get_by_label("Yearly").check()
    page.get_by_label("Address of your wiki").fill(name)
    page.get_by_label("Your e-mail address").fill("gil@example.org")


def test_from_the_form_to_the_wiki(page: Page, desk: SignUps, *, scripted: bool) -> None:
    """A name that is taken, one that is free, payment, and the link as soon as the wiki answers."""
    page.goto(f"{desk.public_url}/checkout")
    fill(page, "acme")
    expect(page.get_by_text("$79.90 a year")).to_be_visible()
    expect(page.get_by_text("$7.99 a month")).to_be_hidden()
    if not scripted:
        page.get_by_role("button", name="Continue to payment").click()
        expect(page.get_by_role("alert")).to_contain_text("is taken")
    expect(page.locator("#subdomain-problem")).to_have_text("“acme” is taken. Try another name.")
    field = page.get_by_label("Address of your wiki")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("glade")
    if scripted:
        expect(page.get_by_role("status")).to_have_text("glade is free.")
        expect(field).not_to_have_attribute("aria-invalid", "true")
    assert fits(page, scripted=scripted)
    page.get_by_role("button", name="Continue to payment").click()
    expect(page).to_have_url(f"{desk.world.base}/pay/{desk.sessions()[0].id}")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page).to_have_title("Your wiki – MarkItUp hosting")
    expect(page.locator("li.done")).to_have_text(["Name reserved", "Paid"])
    expect(page.get_by_role("link", name="Open your wiki")).to_be_hidden()
    customer_id = desk.sessions()[0].client_reference_id
    desk.put(customer_id, status=Status.PENDING)
    expect(page.get_by_text("is being set up")).to_be_visible()
    desk.put(customer_id)
    link = page.get_by_role("link", name="Open your wiki")
    expect(link).to_have_attribute("href", "https://glade.markitup.io:8443")
    expect(page).to_have_title("Your wiki is ready – MarkItUp hosting")
    expect(page.locator("li.done")).to_have_count(4)
    assert fits(page, scripted=scripted)


def test_back_from_stripe(page: Page, desk: SignUps) -> None:
    """By Stripe's own way the name is given back, and the form begins again as it was."""
    page.goto(f"{desk.public_url}/checkout?plan=personal")
    fill(page, "glade")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing was charged")
    assert desk.reservations() == {}
    page.get_by_role("link", name="Start again").click()
    expect(page.get_by_label("Address of your wiki")).to_have_value("glade")
    expect(page.get_by_label("Your e-mail address")).to_have_value("gil@example.org")
    expect(page.get_by_label("Yearly")).to_be_checked()


def test_back_by_the_browser_s_own_way(page: Page, desk: SignUps) -> None:
    """The name is still theirs, and the button can be pressed again."""
    page.goto(f"{desk.public_url}/checkout")
    fill(page, "glade")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay", exact=True).wait_for()
    page.go_back()
    fill(page, "glade")
    page.get_by_label("Pro").check()
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay", exact=True).wait_for()
    assert [each.status for each in desk.sessions()] == ["open", "expired"]


def fits(page: Page, *, scripted: bool) -> bool:
    """Whether nothing reaches over the sides; only a browser with scripts can be asked."""
    return not scripted or page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
