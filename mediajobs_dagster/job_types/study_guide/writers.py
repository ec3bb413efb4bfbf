"""Who writes a study guide. Another package adds a writer by an entry point in the group `mediajobs.study_writers`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Protocol

from mediajobs_dagster.errors import JobSettingsError, SettingsError
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.plugins import STUDY_WRITERS, installed
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.study.extractive import write_notes
from mediajobs_dagster.study.model import Asked, Assessment, Notes
from mediajobs_dagster.study.questions import write_assessment
from mediajobs_dagster.study.talk import Talk


class StudyWriter(Protocol):
    """Writes notes and assessments. An entry point names an instance; it has to be stateless."""

    @property
    def name(self) -> str:
        """Its name in MEDIAJOBS_STUDY_WRITER and in the parameter `writer`."""
        ...

    def check_settings(self, settings: Settings) -> None:
        """Raise JobSettingsError if it cannot write with these settings; asks nobody."""
        ...

    def identity(self, settings: Settings) -> JsonObject:
        """All that what it writes depends on beside the talk and what is asked for, such as the name of a model."""
        ...

    def imprint(self, settings: Settings) -> str:
        """What a guide says of how it was written: a sentence or two."""
        ...

    def write_notes(self, talk: Talk, asked: Asked, bench: Bench) -> Notes:
        """The notes of a talk in which something is said."""
        ...

    def write_assessment(self, talk: Talk, notes: Notes, asked: Asked, bench: Bench) -> Assessment:
        """Questions about the talk."""
        ...


class ExtractiveWriter:
    """Chooses sentences of the talk, and leaves words out of them for questions. Asks no service."""

    name = "extractive"

    def check_settings(self, settings: Settings) -> None:
        del settings

    def identity(self, settings: Settings) -> JsonObject:
        del settings
        return {"writer": self.name, "version": 1}

    def imprint(self, settings: Settings) -> str:
        del settings
        return (
            "Chosen by rank from the talk's own sentences by the built-in extractive writer: nothing was put into "
            "other words, and nobody has checked what the talk says."
        )

    def write_notes(self, talk: Talk, asked: Asked, bench: Bench) -> Notes:
        return write_notes(talk, asked, bench.check)

    def write_assessment(self, talk: Talk, notes: Notes, asked: Asked, bench: Bench) -> Assessment:
        return write_assessment(talk, notes, asked, bench.check)


def writer_of(name: str) -> StudyWriter:
    """The writer of that name. Raises JobSettingsError for one that is not there."""
    from mediajobs_dagster.job_types.study_guide.model_writer import ModelWriter

    own: dict[str, Callable[[], StudyWriter]] = {ExtractiveWriter.name: ExtractiveWriter, ModelWriter.name: ModelWriter}
    if name in own:
        return own[name]()
    points = {point.name: point for point in installed(STUDY_WRITERS)}
    if name not in points:
        known = ", ".join([*own, *sorted(points)])
        raise JobSettingsError(f"There is no writer of study guides called {name[:80]!r}. Known are: {known}.")
    return _loaded(points[name])


def _loaded(point: EntryPoint) -> StudyWriter:
    try:
        return point.load()
    except Exception as error:  # whatever another package raises as it is imported
        raise SettingsError(f"The writer {point.name} ({point.value}) cannot be loaded: {error}.") from error
