"""Logging in and out in a real browser, where the cookie has to be kept; and what a viewer sees there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.gate.gate import Gate
from mediajobs_dagster.gate.names import Names
from mediajobs_dagster.history.users import Role
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.console.conftest import dagster_ui
from tests.servers.asgi import serving

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaJobs]:
    """An installation with a viewer and an operator."""
    with MediaJobs(Settings.load(_env_file=None, home=tmp_path_factory.mktemp("browser") / "home")) as media:
        media.users.add("vera", Role.VIEWER, PASSWORD)
        media.users.add("olga", Role.OPERATOR, PASSWORD)
        yield media


@pytest.fixture(scope="module")
def address(media: MediaJobs, instance: Any) -> Iterator[str]:
    """Its console, behind the gate."""
    app = console_app(media, FromDagster(media, instance), dagster_ui, login=True)
    with serving(Gate(app, Names.of("127.0.0.1", ()))) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of the machine."""
    program = shutil.which("chromium")
    assert program, "Install Chromium: apt-get install chromium"
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        stack.callback(launched.close)
        yield launched


@pytest.fixture(params=["127.0.0.1", "localhost"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A new window without cookies, at each name of the server; no script and no policy complains."""
    context = browser.new_context(base_url=address.replace("127.0.0.1", request.param))
    context.set_default_timeout(20_000)
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("console", lambda message: faults.append(message.text) if "Security Policy" in message.text else None)
    yield context.new_page()
    context.close()
    assert faults == []


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill in the form, by keyboard alone."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_one_logs_in_goes_on_and_logs_out(page: Page) -> None:
    """From a link to a page, over the page that logs in, to that page; after the way out it is closed again."""
    page.goto("/jobs?status=dead")
    expect(page).to_have_url(re.compile(r"/login\?next=/jobs"))
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_role("navigation")).to_have_count(0)
    log_in(page, "olga", "a wrong password")
    expect(page.get_by_role("alert")).to_have_text("Name and password do not fit.")
    expect(page.get_by_label("Name")).to_have_value("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/jobs\?status=dead$"))
    expect(page.get_by_role("link", name="olga")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert (cookie.get("name"), cookie.get("httpOnly"), cookie.get("secure")) == ("__Host-mediajobs", True, True)
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile(r"/login$"))
    assert page.context.cookies() == []
    page.goto("/jobs")
    expect(page).to_have_url(re.compile(r"/login\?next=/jobs$"))


def test_a_viewer_has_no_buttons_that_change_something(page: Page) -> None:
    """But for those that concern the viewer; an operator has them."""
    page.goto("/schedules")
    log_in(page, "vera")
    expect(page).to_have_url(re.compile(r"/schedules$"))
    expect(page.get_by_role("button", name="Run now")).to_have_count(0)
    page.goto("/access")
    expect(page.get_by_role("heading", name="Change your password")).to_be_visible()
    expect(page.get_by_role("button", name="Change it")).to_be_visible()
    expect(page.get_by_role("heading", name="Tokens")).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    page.goto("/schedules")
    log_in(page, "olga")
    expect(page.get_by_role("button", name="Run now").first).to_be_visible()


def test_an_operator_makes_a_token(page: Page, media: MediaJobs) -> None:
    """Sees its secret once, and revokes it."""
    page.goto("/access")
    log_in(page, "olga")
    page.locator("form[action='/access/tokens']").get_by_label("Name").fill("ci")
    page.get_by_role("button", name="Make a token").click()
    secret = page.locator(".secret").inner_text()
    assert media.logins.by_token(secret)
    page.goto("/access")
    expect(page.locator(".secret")).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke ci").first.click()
    expect(page).to_have_url(re.compile(r"/access$"))
    assert media.logins.by_token(secret) is None
    page.goto("/audit")
    expect(page.get_by_role("cell", name="token revoke").first).to_be_visible()


def test_nothing_keeps_people_out(browser: Browser, address: str) -> None:
    """Axe finds nothing serious, in the light and in the dark; and no page is wider than a phone."""
    context = browser.new_context(base_url=address, viewport={"width": 390, "height": 844})
    page, found = context.new_page(), dict[str, list[str]]()
    page.goto("/login")
    log_in(page, "olga", "a wrong password")  # with the sentence that says so
    expect(page.get_by_role("alert")).to_be_visible()
    for path in ("", "/access", "/audit", "/"):
        if path:
            page.goto(path)
        if path == "/access" and "/login" in page.url:
            log_in(page, "olga")
            expect(page).to_have_url(re.compile(r"/access$"))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]  # one of the words it takes
            violations: list[Any] = Axe().run(page)["violations"]
            bad = [each for each in violations if each["impact"] in ("serious", "critical")]
            found[f"{path} {scheme}"] = [f"{each['id']}: {each['nodes'][0]['html'][:150]}" for each in bad]
        width = page.evaluate("document.documentElement.scrollWidth")
        found[f"{path} width"] = [f"{width} pixels"] if width > 390 else []
    context.close()
    assert {where: faults for where, faults in found.items() if faults} == {}
