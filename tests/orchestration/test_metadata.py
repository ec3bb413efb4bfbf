"""A picture of any kind has a preview, and one that cannot be decoded fails no run."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from mediajobs_dagster.orchestration.metadata import _small_jpeg


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "I;16"])
def test_any_picture_has_a_preview(mode: str) -> None:
    content = io.BytesIO()
    Image.new(mode, (300, 200)).save(content, "PNG")
    small = _small_jpeg(content.getvalue())
    assert small is not None
    with Image.open(io.BytesIO(base64.b64decode(small))) as preview:
        assert (preview.format, max(preview.size)) == ("JPEG", 160)


def test_what_is_no_picture_has_none() -> None:
    assert _small_jpeg(b"<svg/>") is None
