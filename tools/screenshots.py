"""`python -m tools.screenshots`: writes docs/images/console-*.png, pictures of the console on data made for them."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from mediajobs_dagster.console.app import console_app
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


def main() -> None:
    """Every page, light and dark, and as wide as a phone."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("Install Chromium: apt-get install chromium")
    with _console() as (address, showcase), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme, width in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
            viewport = {"width": width, "height": _HEIGHT}
            context = browser.new_context(base_url=address, color_scheme=scheme, viewport=viewport)  # pyright: ignore[reportArgumentType]  # a type of its own for a dict
            page = context.new_page()
            for name, path in _pages(showcase).items():
                _shoot(page, path, FOLDER / f"console-{name}-{'phone' if width == PHONE else scheme}.png")
            context.close()
        browser.close()


@contextmanager
def _console() -> Generator[tuple[str, Showcase]]:
    with TemporaryDirectory() as text:
        folder = Path(text)
        settings = Settings.load(_env_file=None, home=folder / "home", retry_base_s=0.0, scratch_reserve_mb=1)
        (folder / "clips").mkdir()
        with MediaJobs(settings) as media, open_instance(settings) as instance:
            showcase = set_up(Platform(media), Clips(folder / "clips", find_tools()), folder / "given")
            media.inventory.take()
            with serving(console_app(media, FromDagster(media, instance), dagster_ui)) as address:
                yield address, showcase


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
