"""A picture of any kind has a preview that Dagster's page shows at once; one that cannot be decoded fails no run."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from mediajobs_dagster.orchestration.metadata import small_picture

BEGIN = "![preview](data:image/webp;base64,"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "I;16"])
def test_any_picture_has_a_preview(mode: str) -> None:
    content = io.BytesIO()
    Image.new(mode, (300, 200)).save(content, "PNG")
    small = small_picture(content.getvalue())
    assert small is not None
    with Image.open(io.BytesIO(base64.b64decode(small.removeprefix(BEGIN)))) as preview:
        assert (preview.format, max(preview.size)) == ("WEBP", 160)


def test_a_busy_picture_is_scaled_down_until_it_is_shown_at_once() -> None:
    """The page of a materialization shows Markdown of less than 1,000 characters, and hides a longer one."""
    content = io.BytesIO()
    Image.effect_noise((640, 360), 120).save(content, "PNG")
    small = small_picture(content.getvalue())
    assert small is not None
    assert len(small) < 1000
    with Image.open(io.BytesIO(base64.b64decode(small.removeprefix(BEGIN)))) as preview:
        assert max(preview.size) >= 32


def test_what_is_no_picture_has_none() -> None:
    assert small_picture(b"<svg/>") is None
