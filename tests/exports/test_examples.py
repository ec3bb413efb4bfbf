"""The examples and the document about timelines: rendered for real, and held against the code."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.intake.export_requests import ExportRequests
from mediajobs_dagster.media.demo_clip import make_demo_clip, make_demo_music
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import JsonObject, Value
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.timelines import model as timeline
from mediajobs_dagster.timelines.documents import read_document
from mediajobs_dagster.timelines.layout import canvas_size
from mediajobs_dagster.timelines.model import timeline_schema
from mediajobs_dagster.timelines.parsing import parse_timeline
from mediajobs_dagster.timelines.times import time_to_json
from tests.exports.barcodes import Pixels, decode
from tests.exports.conftest import Renders

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"
DOCUMENT = (ROOT / "docs" / "timeline.md").read_text()
PUBLISHED = ROOT / "docs" / "timeline.schema.json"
WRITE = ["-m", "mediajobs_dagster.timelines.model"]


# --- rendered --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """What the demo makes, and what the script beside the examples makes."""
    folder = tmp_path_factory.mktemp("media")
    runner = Runner.from_settings(Settings.load(_env_file=None, home=folder / "home"))
    make_demo_clip(runner, folder / "demo.mp4")
    make_demo_music(runner, folder / "music.m4a")
    subprocess.run([sys.executable, EXAMPLES / "media.py", folder], cwd=ROOT, check=True)
    return tuple(path for path in sorted(folder.iterdir()) if path.is_file())


@pytest.fixture
def export(render: Renders, media: tuple[Path, ...]) -> Export:
    """Renders an example as a draft."""
    render.add(*media)
    return Export(render)


class Export:
    """Renders examples."""

    def __init__(self, render: Renders) -> None:
        self._platform = render.platform

    def __call__(self, name: str, *, smaller: int = 1) -> tuple[tuple[int, int], Pixels, float]:
        """Its width and height; and rendered so many times smaller, its frames and its length, seconds."""
        document = read_document(EXAMPLES / name)
        exports = ExportRequests(self._platform.history, self._platform.storage)
        prepared = exports.prepare(document.content, document.faults)
        known = {key: upload.media_info for key, upload in prepared.uploads.items() if upload.media_info}
        size = canvas_size(prepared.timeline, known)
        if smaller > 1:
            canvas = {"width": size[0] // smaller, "height": size[1] // smaller, "preset": None}
            prepared = exports.prepare({**document.content, "canvas": document.content["canvas"] | canvas})
        exports.request(prepared, params={"profile": "draft"})
        outcomes = self._platform.work()
        attempt = self._platform.history.attempts.get(outcomes[0].attempt_id)
        manifest = Manifest.model_validate(attempt.manifest)
        assert not manifest.errors
        (output,) = manifest.outputs
        assert output.media_info
        return size, decode(self._platform.output(output.key)), output.media_info.duration_seconds


def ink(frames: Pixels, first: int, second: int, area: tuple[float, float, float, float]) -> float:
    """How much two frames differ within left, top, right and bottom, shares of the picture: steps, on average."""
    height, width = frames.shape[1:3]
    left, top, right, bottom = area
    part = np.s_[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    return float(np.abs(frames[first][part].astype(int) - frames[second][part]).mean())


def test_a_talk(export: Export) -> None:
    """7.5 s in full HD; the last picture is held; the lower third and the captions come and go."""
    size, frames, seconds = export("talk.json", smaller=3)
    assert size == (1920, 1080)
    assert frames.shape == (225, 360, 640, 3)
    assert seconds == pytest.approx(7.5, abs=1 / 30)
    held = (0, 0.2, 1, 0.7)
    assert ink(frames, 211, 224, held) < 1 < ink(frames, 190, 203, held)
    lower_third = (0.05, 0.82, 0.18, 0.95)
    assert ink(frames, 10, 11, lower_third) < 5 < ink(frames, 10, 40, lower_third)
    white = [(frame[293:343, 200:433] > 220).all(axis=2).sum() for frame in frames[[5, 30, 70, 100]]]
    assert max(white[0], white[2]) < 10 < 60 < min(white[1], white[3])


def test_upright(export: Export) -> None:
    """8 s of 1080x1920; in the middle of the fade there is its colour alone; the visualiser follows the voice."""
    size, frames, seconds = export("vertical.json", smaller=3)
    assert size == (1080, 1920)
    assert frames.shape == (240, 640, 360, 3)
    assert seconds == pytest.approx(8, abs=1 / 30)
    middle = frames[59:61, 233:400].astype(int)
    assert np.abs(middle - (0x2B, 0x10, 0x55)).mean() < 12
    beside = (0.5, 0.14, 0.95, 0.27)
    assert ink(frames, 165, 166, beside) < 5 < ink(frames, 149, 170, beside)
    waves = np.abs(frames[:, 480:567, 60:300].astype(int) - (0xFF, 0xD5, 0xA5)).sum(axis=3) < 35
    assert not waves[:30].any()
    assert waves[30:40].sum(axis=(1, 2)).max() > 200


def test_an_edit_of_another_program(export: Export) -> None:
    """As long as it was there: 225 frames. The gap is black, and the second track lies over all of the canvas."""
    size, frames, seconds = export("edit.otio")
    assert size == (1280, 720)
    assert frames.shape == (225, 720, 1280, 3)
    assert seconds == pytest.approx(7.5, abs=1 / 30)
    assert frames[106:119:4].max() < 20
    assert min(frames[104].max(), frames[121].max()) > 100
    assert min(ink(frames, 74, 75, (0, 0, 1, 1)), ink(frames, 104, 105, (0, 0, 1, 1))) > 20
    notes = read_document(EXAMPLES / "edit.otio").notes
    assert all("is looked up by its name" in note for note in notes), notes


def test_everything(export: Export) -> None:
    """All elements in one timeline: 13 s."""
    size, frames, seconds = export("everything.json", smaller=4)
    assert size == (1280, 720)
    assert frames.shape == (390, 180, 320, 3)
    assert seconds == pytest.approx(13, abs=1 / 30)
    document = read_document(EXAMPLES / "everything.json").content
    kinds = {part["kind"] for name in ("track", "layers") for part in document[name]}
    known = re.findall(r'kind: Literal\["(\w+)"\]\n', inspect.getsource(timeline))
    assert kinds | {"dissolve", "fade", "blur"} == set(known)


def test_the_edit_is_what_its_script_writes(tmp_path: Path) -> None:
    """Byte by byte."""
    subprocess.run([sys.executable, EXAMPLES / "edit.py", tmp_path / "edit.otio"], check=True)
    assert (tmp_path / "edit.otio").read_text() == (EXAMPLES / "edit.otio").read_text()


# --- the schema ------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_code() -> None:
    """Byte by byte what the command prints."""
    command = [sys.executable, "-W", "ignore", *WRITE]
    written = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert PUBLISHED.read_text() == written, f"run: python {' '.join(WRITE)} > docs/{PUBLISHED.name}"
    jsonschema.Draft202012Validator.check_schema(timeline_schema())


def documents() -> Iterator[tuple[str, JsonObject]]:
    """All timelines in JSON, those in the document too."""
    for path in sorted(EXAMPLES.glob("*.json")):
        yield path.name, read_document(path).content
    for number, text in enumerate(re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)):
        yield f"timeline.md, {number}", json.loads(text)


def test_every_example_fits_the_schema_and_is_read() -> None:
    """A field too many does neither."""
    found = dict(documents())
    assert {"talk.json", "vertical.json", "everything.json", "timeline.md, 0"} <= set(found)
    schema = json.loads(PUBLISHED.read_text())
    for name, document in found.items():
        jsonschema.validate(document, schema)
        assert not parse_timeline(document).faults, name
        spoilt = document | {"track": [document["track"][0] | {"colour": 1}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spoilt, schema)
        assert parse_timeline(spoilt).faults


# --- the document ----------------------------------------------------------------------------------------------------


def tables() -> dict[str, dict[str, str]]:
    """Of each model that the document has a table of: its fields, and what stands as their defaults."""
    found = re.findall(r"<!-- fields: (\w+) -->\n\|.*\n\|.*\n((?:\|.*\n)+)", DOCUMENT)
    rows = {model: re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE) for model, table in found}
    return {model: dict(fields) for model, fields in rows.items()}


def models() -> dict[str, type[Value]]:
    """All models of the format."""
    classes = [each for each in vars(timeline).values() if inspect.isclass(each) and issubclass(each, Value)]
    return {each.__name__: each for each in classes if each.__module__ == timeline.__name__}


def test_the_document_has_all_fields() -> None:
    """Each model has a table of the fields of its own, in order, and no others."""
    wanted = {
        name: [model.model_fields[field].alias for field in vars(model)["__annotations__"]]
        for name, model in models().items()
    }
    assert {name: list(rows) for name, rows in tables().items()} == wanted


def test_the_document_has_the_right_defaults() -> None:
    """What is required says so; numbers, texts, true and false are those of the code."""
    said, wanted = dict[str, str](), dict[str, str]()
    for name, rows in tables().items():
        for field in models()[name].model_fields.values():
            assert field.alias
            default: object = field.default
            if field.alias not in rows:
                continue  # one that it shares with others
            if field.is_required():
                wanted[f"{name}.{field.alias}"] = "required"
            elif isinstance(default, bool | int | float | str | Fraction):
                plain = time_to_json(Fraction(str(default))) if isinstance(default, float | Fraction) else default
                wanted[f"{name}.{field.alias}"] = f"`{json.dumps(plain)}`"
            else:
                continue
            said[f"{name}.{field.alias}"] = rows[field.alias]
    assert said == wanted
    assert len(said) > 80


def test_the_document_has_the_limits() -> None:
    """As numbers."""
    for said in (f"{timeline.MAX_SECONDS // 60} minutes", f"| {timeline.MAX_CLIPS} |", f"{timeline.MAX_ITEMS} of each"):
        assert said in DOCUMENT
    assert f"{timeline.MAX_CAPTIONS:,} characters" in DOCUMENT
    for preset in timeline.PRESETS:
        assert f"`{preset}`" in DOCUMENT
