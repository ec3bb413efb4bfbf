"""`python -m tools.screenshots`: writes docs/images/console-*.png, pictures of the console on data made for them."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.history.tokens import Scope
from mediajobs_dagster.history.users import Role
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.console.conftest import dagster_ui
from tests.console.showcase import FAILED_TRACE, Showcase, set_up
from tests.platform import Platform
from tests.servers.asgi import serving

FOLDER = Path(__file__).parents[1] / "docs" / "images"
WIDE, PHONE = 1280, 390
_HEIGHT = 860
_TALLEST = 1600
"""What is below is cut off, pixels."""
Scheme = Literal["light", "dark"]
USER = "engineer"
_PASSWORD = "only for these pictures"  # of an installation that ends with them


def main() -> None:
    """Every page, light and dark, and as wide as a phone."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("Install Chromium: apt-get install chromium")
    with _console() as (address, guarded, showcase), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme, width in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
            viewport = {"width": width, "height": _HEIGHT}
            context = browser.new_context(base_url=address, color_scheme=scheme, viewport=viewport)  # pyright: ignore[reportArgumentType]  # a type of its own for a dict
            page = context.new_page()
            suffix = "phone" if width == PHONE else scheme
            for name, path in _pages(showcase).items():
                _shoot(page, path, FOLDER / f"console-{name}-{suffix}.png")
            _shoot(page, f"{guarded}/login", FOLDER / f"console-login-{suffix}.png")
            page.get_by_label("Name").fill(USER)
            page.get_by_label("Password").fill(_PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{guarded}/")
            for name in ("access", "audit"):
                _shoot(page, f"{guarded}/{name}", FOLDER / f"console-{name}-{suffix}.png")
            context.close()
        browser.close()


@contextlib.contextmanager
def _console() -> Generator[tuple[str, str, Showcase]]:
    """The addresses of a console without a login, and of one with it; and what is on them."""
    # Of a folder of its own: pictures show what was added by its path.
    with TemporaryDirectory() as text, contextlib.chdir(text):
        folder = Path()
        settings = Settings.load(_env_file=None, home=folder / "home", retry_base_s=0.0, scratch_reserve_mb=1)
        (folder / "clips").mkdir()
        with MediaJobs(settings) as media, open_instance(settings) as instance:
            showcase = set_up(Platform(media), Clips(folder / "clips", find_tools()), folder / "given")
            media.inventory.take()
            _let_in(media)
            outside = FromDagster(media, instance)
            guarded_app = console_app(media, outside, dagster_ui, login=True)
            with serving(console_app(media, outside, dagster_ui)) as address, serving(guarded_app) as guarded:
                yield address, guarded, showcase


def _let_in(media: MediaJobs) -> None:
    media.users.add(USER, Role.OPERATOR, _PASSWORD)
    media.users.add("editor", Role.VIEWER, _PASSWORD)
    media.tokens.create("backend", Scope.OPERATOR, user=USER)
    media.tokens.create("prometheus", Scope.METRICS)
    media.breakers.open("upload_edit_proxy_v1", reason="The encoder is being replaced.")
    media.breakers.close("upload_edit_proxy_v1")


def _pages(showcase: Showcase) -> dict[str, str]:
    broken = showcase.platform.job(showcase.broken, "upload_thumb_v1")
    return {
        "overview": "/",
        "jobs": "/jobs",
        "job": f"/jobs/{showcase.edit.id}",
        "attempt": f"/attempts/{showcase.edit.id}",
        "commands": f"/attempts/{showcase.edit.id}/commands",
        "errors": f"/attempts/{broken.id}/errors",
        "trace": f"/traces/{showcase.edit.trace_id}",
        "failed-trace": f"/traces/{FAILED_TRACE}",
        "uploads": "/uploads",
        "upload": f"/uploads/{showcase.good.id}",
        "schedules": "/schedules",
        "webhooks": "/webhooks",
        "webhook": f"/webhooks/{showcase.platform.media.webhooks.deliveries()[0].id}",
        "storage": "/storage",
        "capacity": "/capacity",
    }


def _shoot(page: Page, path: str, file: Path) -> None:
    page.goto(path, wait_until="load")
    for video in page.locator("video").all():
        video.evaluate(
            """v => new Promise(done => {
                v.onseeked = () => done();
                const seek = () => { v.currentTime = v.duration / 2; };
                if (v.readyState >= 1) seek(); else v.onloadedmetadata = seek;
            })"""
        )
    for picture in page.locator(".result img").all():
        picture.evaluate("i => { i.loading = 'eager'; return i.decode(); }")
    height = min(_TALLEST, page.evaluate("document.documentElement.scrollHeight"))
    width = page.evaluate("innerWidth")
    shown = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    with Image.open(io.BytesIO(shown)) as picture:
        picture.convert("RGB").quantize(128).save(file, optimize=True)
    print(file.relative_to(FOLDER.parents[1]))  # noqa: T201  # what it is for


if __name__ == "__main__":
    main()
