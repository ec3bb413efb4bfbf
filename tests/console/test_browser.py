"""The pages in a real browser: what an engineer does with them, by mouse and by keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import dagster as dg
import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.console.conftest import dagster_ui
from tests.console.showcase import FAILED_TRACE, HOSTILE, Showcase, set_up
from tests.platform import Platform
from tests.servers.asgi import serving


@pytest.fixture(scope="module")
def showcase(tmp_path_factory: pytest.TempPathFactory, clips: Clips) -> Iterator[Showcase]:
    """An installation with something of everything."""
    folder = tmp_path_factory.mktemp("showcase")
    settings = Settings.load(_env_file=None, home=folder / "home", retry_base_s=0.0, scratch_reserve_mb=1)
    with MediaJobs(settings) as media:
        yield set_up(Platform(media), clips, folder / "given")


@pytest.fixture(scope="module")
def address(showcase: Showcase, instance: dg.DagsterInstance) -> Iterator[str]:
    """Where its console is."""
    media = showcase.platform.media
    with serving(console_app(media, FromDagster(media, instance), dagster_ui)) as url:
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


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A new window. Nothing that it asks for is elsewhere, and no script or policy complains."""
    context = browser.new_context(base_url=address)
    context.set_default_timeout(20_000)
    asked: list[str] = []
    faults: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("console", lambda message: faults.append(message.text) if "Security Policy" in message.text else None)
    yield context.new_page()
    context.close()
    assert asked
    assert [each for each in asked if not each.startswith((f"{address}/", "data:", "blob:"))] == []
    assert faults == []


def test_a_failed_thumbnail_is_found_from_its_trace_to_the_line_of_ffmpeg(page: Page) -> None:
    """In two clicks: the id is pasted, the error is followed."""
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type(FAILED_TRACE)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/traces/{FAILED_TRACE}$"))
    row = page.locator("[data-row]", has_text="upload_thumb_v1")
    row.get_by_role("link", name="INPUT_TRUNCATED").click()
    line = page.locator(".stderr mark", has_text="moov atom not found").first
    expect(line).to_be_visible()


def test_filters_are_in_the_address_and_survive_a_reload(page: Page) -> None:
    """And what is empty is left out."""
    page.goto("/jobs")
    page.get_by_label("Type").select_option("upload_thumb_v1")
    page.get_by_text("dead", exact=True).first.click()
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(r"/jobs\?type=upload_thumb_v1&status=dead$"))
    for _ in range(2):
        expect(page.get_by_role("checkbox", name="dead")).to_be_checked()
        expect(page.get_by_label("Type")).to_have_value("upload_thumb_v1")
        expect(page.locator("tbody [data-row]")).to_have_count(1)
        page.reload()


def test_a_view_is_saved_and_forgotten(page: Page) -> None:
    """Under a name, in this browser; it is there on the next visit."""
    page.goto("/jobs?status=dead")
    page.once("dialog", lambda dialog: dialog.accept("Broken ones"))
    page.get_by_role("button", name="Save this view").click()
    page.goto("/jobs")
    page.get_by_role("link", name="Broken ones").click()
    expect(page).to_have_url(re.compile(r"/jobs\?status=dead$"))
    expect(page.get_by_role("link", name="Broken ones")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("button", name="Save this view")).to_have_count(0)
    page.get_by_role("button", name="Forget the view Broken ones").click()
    page.reload()
    expect(page.get_by_role("link", name="Broken ones")).to_have_count(0)


@pytest.mark.parametrize("where", ["/jobs", "/jobs/JOB", "/attempts/JOB", "/traces/TRACE"])
def test_progress_moves_without_a_reload(page: Page, showcase: Showcase, where: str) -> None:
    """In the list, and on every page of the job."""
    job = showcase.running.job
    showcase.progress(0.42)
    page.goto(where.replace("JOB", job.id).replace("TRACE", job.trace_id))
    page.evaluate("window.isSamePage = true")
    expect(page.locator(".progress-words").first).to_contain_text("42 %")
    showcase.progress(0.87)
    expect(page.locator(".progress-words").first).to_contain_text("87 %")
    assert page.evaluate("window.isSamePage")


def test_the_video_plays_and_seeks(page: Page, showcase: Showcase) -> None:
    """By the bar, and by a click into the waveform."""
    page.goto(f"/jobs/{showcase.edit.id}")
    video = page.locator("video")
    video.evaluate(f"v => v.readyState >= 1 || {_when('onloadedmetadata')}")
    assert video.evaluate("v => v.duration") == pytest.approx(2.4, abs=0.2)
    video.evaluate(f"v => {{ v.muted = true; v.play(); return {_when('ontimeupdate', 'v.currentTime > 0.1')}; }}")
    video.evaluate(f"v => {{ v.pause(); window.sought = {_when('onseeked')}; }}")
    wave = page.locator("[data-wave]")
    box = wave.bounding_box()
    assert box
    wave.click(position={"x": box["width"] / 2, "y": 40})
    assert page.evaluate("() => window.sought") == pytest.approx(1.2, abs=0.1)


def _when(event: str, condition: str = "true") -> str:
    """A promise in JavaScript: of the time of the video `v` at an event; it fails when the video cannot be read."""
    told = f"v.{event} = () => {{ if ({condition}) done(v.currentTime); }}; v.onerror = () => fail(v.error.message);"
    return f"new Promise((done, fail) => {{ {told} if (v.error) v.onerror(); }})"


def test_the_picture_is_there(page: Page, showcase: Showcase) -> None:
    """With its true size."""
    job = showcase.platform.job(showcase.hostile, "upload_thumb_v1")
    page.goto(f"/jobs/{job.id}")
    width = page.locator(".result img").evaluate("i => i.decode().then(() => i.naturalWidth)")
    assert width == 640


def test_the_keyboard_is_enough(page: Page) -> None:
    """Next, before, open; and the list of keys."""
    page.goto("/jobs")
    rows = page.locator("tbody [data-row]")
    page.keyboard.press("j")
    expect(rows.nth(0).locator(".row-link")).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1).locator(".row-link")).to_be_focused()
    page.keyboard.press("k")
    name = rows.nth(0).locator(".row-link").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(name)
    page.wait_for_load_state()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_keys_can_be_turned_off(page: Page) -> None:
    """For all pages of this browser, until they are turned on again."""
    page.goto("/jobs")
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use these keys").uncheck()
    page.get_by_role("button", name="Close").click()
    page.goto("/jobs")
    page.keyboard.press("?")
    page.keyboard.press("j")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("tbody [data-row] .row-link").first).not_to_be_focused()
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use these keys").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_r_retries_the_row_after_asking(page: Page, showcase: Showcase) -> None:
    """Declined, nothing happens; accepted, the job is queued, and its page follows it to its end."""
    jobs = showcase.platform.history.jobs
    job = showcase.platform.job(showcase.broken, "upload_audio_envelope_v1")
    answers = iter([False, True])
    page.on("dialog", lambda dialog: dialog.accept() if next(answers) else dialog.dismiss())
    page.goto("/jobs?status=dead&type=upload_audio_envelope_v1")
    page.keyboard.press("j")
    page.keyboard.press("r")
    assert jobs.get(job.id).status is JobStatus.DEAD
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile(f"/jobs/{job.id}$"))
    expect(page.locator(".status").first).to_have_text("queued")
    jobs.cancel(job.id)
    expect(page.locator(".status").first).to_have_text("cancelled")
    expect(page.locator("[data-page-actions]").get_by_role("button", name="Retry")).to_be_visible()


def test_times_are_those_of_the_reader(browser: Browser, address: str, showcase: Showcase) -> None:
    """With UTC when pointed at."""
    context = browser.new_context(base_url=address, timezone_id="Asia/Tokyo", locale="en-GB")
    page = context.new_page()
    page.goto(f"/jobs/{showcase.edit.id}")
    time = page.locator("dl.facts time").first
    utc = showcase.platform.history.jobs.get(showcase.edit.id).created_at
    expect(time).to_have_attribute("title", f"{utc:%Y-%m-%d %H:%M:%S} UTC")
    expect(time).to_contain_text(f"{(utc.hour + 9) % 24:02}:{utc:%M:%S}")
    context.close()


def test_it_works_without_scripts(browser: Browser, address: str, showcase: Showcase) -> None:
    """Filters, tabs and actions are links and forms."""
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/attempts/{showcase.edit.id}")
    page.get_by_role("link", name="ffmpeg commands").click()
    expect(page.locator("pre.graph").nth(1)).to_contain_text("xfade")
    page.goto("/jobs?status=dead")
    page.get_by_role("link", name="Retry all that match").click()
    expect(page.locator("h1")).to_have_text(re.compile(r"^Retry \d+ jobs?\?$"))
    context.close()


PAGES = [
    *("/", "/jobs", "/jobs?status=nope", "/jobs/bulk/retry?status=dead", "/jobs/JOB", "/jobs/RUNNING"),
    *("/attempts/JOB", "/attempts/JOB/commands", "/attempts/JOB/storage", "/attempts/JOB/resources", "/traces/TRACE"),
    *(
        "/uploads",
        "/uploads/UPLOAD",
        "/storage?candidates=1",
        "/capacity",
        "/search?q=edit",
        "/schedules",
        "/webhooks",
        "/webhooks/TOLD",
        "/nowhere",
    ),
]
DARK = ("/", "/jobs", "/attempts/JOB", "/attempts/JOB/commands")
"""Where all colours are."""


def test_nothing_keeps_people_out(browser: Browser, address: str, showcase: Showcase) -> None:
    """Axe finds nothing serious on any page, and no bad contrast in the dark; and no page is wider than a phone."""
    context = browser.new_context(base_url=address, viewport={"width": 390, "height": 844})
    page = context.new_page()
    failed = showcase.platform.job(showcase.broken, "upload_thumb_v1")
    found: dict[str, list[str]] = {}
    for path in [*PAGES, f"/attempts/{failed.id}/errors"]:
        page.emulate_media(color_scheme="light")
        page.goto(
            path.replace("JOB", showcase.edit.id)
            .replace("RUNNING", showcase.running.job.id)
            .replace("TOLD", showcase.platform.media.webhooks.deliveries()[0].id)
            .replace("TRACE", showcase.edit.trace_id)
            .replace("UPLOAD", showcase.good.id)
        )
        faults = serious(page)
        if path in DARK:
            page.emulate_media(color_scheme="dark")
            faults += serious(page, rules=["color-contrast"])
        width = page.evaluate("document.documentElement.scrollWidth")
        faults += [f"{width} pixels wide"] if width > 390 else []
        if faults:
            found[path] = faults
    context.close()
    assert found == {}


def serious(page: Page, **only: list[str]) -> list[str]:
    """What axe finds, each with the first place where it is."""
    options = {"runOnly": {"type": "rule", "values": only["rules"]}} if only else {}
    violations: list[Any] = Axe().run(page, options=options)["violations"]
    bad = [each for each in violations if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {each['nodes'][0]['html'][:150]}" for each in bad]


def test_a_hostile_name_is_only_a_name(page: Page, showcase: Showcase) -> None:
    """It is shown as it is, and nothing of it runs."""
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    for path in ("/jobs", "/uploads", f"/uploads/{showcase.hostile.id}", "/search?q=onerror"):
        page.goto(path)
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
    assert alerts == []


def test_new_jobs_show_up_without_a_reload(page: Page, showcase: Showcase) -> None:
    """At once where there were none; above a list they are offered, so that no row moves under the reader's hand."""
    media = showcase.platform.media
    page.goto("/jobs?type=upload_thumb_v1&text=backstage")
    page.evaluate("window.isSamePage = true")
    expect(page.get_by_text("No job matches")).to_be_visible()
    page.get_by_role("textbox", name="Error code").fill("STALLE")  # a reader is in the middle of something
    jobs = [media.submit("Backstage, upright.mp4", ["upload_thumb_v1"]).jobs[0]]
    expect(page.locator("tbody [data-row]")).to_have_count(1)
    expect(page.get_by_role("textbox", name="Error code")).to_have_value("STALLE")
    expect(page.get_by_role("textbox", name="Error code")).to_be_focused()
    jobs += media.submit("Backstage, upright.mp4", ["upload_thumb_v1"], force=True).jobs
    offer = page.get_by_role("link", name="Show 1 new job")
    expect(offer).to_be_visible()
    expect(page.locator("tbody [data-row]")).to_have_count(1)
    assert page.evaluate("window.isSamePage")

    offer.click()
    expect(page.locator("tbody [data-row]")).to_have_count(2)
    expect(offer).to_have_count(0)
    for job in jobs:
        media.cancel(job.job.id)


def test_a_list_at_rest_is_no_fault(page: Page) -> None:
    """What is said of it has the colour of all that is well."""
    page.goto("/jobs?status=dead")
    state = page.locator("[data-live-state]")
    colour = "e => getComputedStyle(e, '::before').backgroundColor"
    expect(state).to_have_text("Nothing under way")
    at_rest = state.evaluate(colour)
    page.goto("/jobs?status=processing")
    expect(state).to_have_text("Live")
    assert state.evaluate(colour) == at_rest
