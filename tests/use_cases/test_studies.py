"""Study guides are asked for by addresses, files and uploads, and found again by their trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import CallbackInvalidError, ParametersError, RequestError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.use_cases.studies import Studied
from mediajobs_dagster.use_cases.study_plans import INGEST, SILENT, STUDY_GUIDE, TRANSCRIPT
from tests.clips import Clips
from tests.ingest.site import running_site
from tests.platform import Platform
from tests.talks import make_talk

OpenPlatform = Callable[..., Platform]


@pytest.fixture(scope="session")
def talk(clips: Clips) -> Path:
    """Six seconds of sound with subtitles inside."""
    return make_talk(clips, clips.folder / "bees.mp4")


@pytest.fixture
def platform(open_platform: OpenPlatform) -> Platform:
    """Without retries."""
    return open_platform(max_attempts=1)


def work_all(platform: Platform) -> None:
    """Work until nothing is left to do."""
    while platform.work():
        pass


def statuses(platform: Platform, studied: Studied) -> dict[str, JobStatus]:
    """What became of the jobs of a trace, by their type."""
    jobs = platform.history.jobs.list(JobFilter(trace_id=studied.trace_id))
    return {job.job_type: job.status for job in jobs}


def test_a_file_becomes_a_guide(platform: Platform, talk: Path) -> None:
    """First its transcript; until the guide is there, the job before it says how far it is."""
    studied = platform.media.studies.ask(str(talk), params={"subject": "Nature"})
    (asked,) = studied.jobs
    assert (asked.job.job_type, asked.created, studied.skipped) == (TRANSCRIPT, True, ())
    (waiting,) = platform.media.studies.guides(studied.trace_id)
    assert (waiting.job.job_type, waiting.is_there, waiting.keys) == (TRANSCRIPT, False, ())
    work_all(platform)
    (guide,) = platform.media.studies.guides(studied.trace_id)
    assert (guide.title, guide.job.job_type, guide.is_there) == ("bees.mp4", STUDY_GUIDE, True)
    names = [(key.split("/")[1], key.rpartition("/")[2]) for key in guide.keys]
    assert names == [
        *(("Nature", "bees.md"), ("Nature", "Assessment_bees.md")),
        *(("Nature", "bees.pdf"), ("Nature", "Assessment_bees.pdf")),
    ]
    assert "queen" in platform.output(guide.keys[0]).read_text()


def test_what_is_there_is_not_made_again(platform: Platform, talk: Path) -> None:
    """Asked for a second time, by the id of the upload, both jobs find their outputs up to date; `force` makes both."""
    first = platform.media.studies.ask(str(talk))
    work_all(platform)
    upload = first.jobs[0].job.subject_id
    again = platform.media.studies.ask(upload)
    work_all(platform)
    assert statuses(platform, again) == {TRANSCRIPT: JobStatus.SKIPPED, STUDY_GUIDE: JobStatus.SKIPPED}
    (guide,) = platform.media.studies.guides(again.trace_id)
    assert guide.is_there
    assert len(guide.keys) == 4
    forced = platform.media.studies.ask(upload, force=True)
    work_all(platform)
    assert statuses(platform, forced) == {TRANSCRIPT: JobStatus.COMPLETED, STUDY_GUIDE: JobStatus.COMPLETED}


def test_an_address_becomes_a_guide(platform: Platform, talk: Path) -> None:
    """Fetched, transcribed and written, all in one trace; an address that cannot be fetched ends its chain."""
    with running_site() as site:
        there = site.has("/bees.mp4", talk.read_bytes())
        studied = platform.media.studies.ask(there, f"{site.url}/nothing.mp4")
        work_all(platform)
    found = {guide.title: guide for guide in platform.media.studies.guides(studied.trace_id)}
    assert len(found) == 2
    made = [guide for guide in found.values() if guide.is_there]
    (missing,) = (guide for guide in found.values() if not guide.is_there)
    assert len(made) == 1
    assert (missing.job.job_type, missing.job.status) == ("ingest_video_v1", JobStatus.DEAD)
    assert missing.error_code


def test_of_a_folder_what_can_be_heard(platform: Platform, talk: Path, clips: Clips, tmp_path: Path) -> None:
    """A video without sound is skipped, with the reason."""
    folder = tmp_path / "talks"
    folder.mkdir()
    for path in (talk, clips.no_audio()):
        (folder / path.name).write_bytes(path.read_bytes())
    studied = platform.media.studies.ask(str(folder))
    assert len(studied.jobs) == 1
    assert [(each.location, each.code) for each in studied.skipped] == [(clips.no_audio().name, SILENT.code)]


def test_a_plan_changes_nothing(platform: Platform, talk: Path, clips: Clips, tmp_path: Path) -> None:
    """It tells what would be made of a folder: of what is new, and of what cannot be heard."""
    folder = tmp_path / "talks"
    folder.mkdir()
    for path in (talk, clips.no_audio()):
        (folder / path.name).write_bytes(path.read_bytes())
    plan = platform.media.studies.plan(str(folder))
    assert [(Path(each.title).name, each.makes) for each in plan.talks] == [(talk.name, (TRANSCRIPT, STUDY_GUIDE))]
    assert [(Path(each.location).name, each.code) for each in plan.skipped] == [(clips.no_audio().name, SILENT.code)]
    assert platform.history.jobs.list(JobFilter()) == []
    assert platform.media.uploads() == []


def test_a_plan_tells_what_is_up_to_date(platform: Platform, talk: Path) -> None:
    """What is asked for then, is made: nothing of a fresh guide, the guide alone for other questions."""
    studies = platform.media.studies
    upload = studies.ask(str(talk)).jobs[0].job.subject_id
    work_all(platform)

    def makes(*names: str, **asked: Any) -> list[tuple[str, ...]]:
        return [each.makes for each in studies.plan(*names, **asked).talks]

    assert makes(str(talk), upload) == [()]
    assert makes(upload, params={"questions": 3}) == [(STUDY_GUIDE,)]
    assert makes(upload, transcript={"language": "en"}) == [(TRANSCRIPT, STUDY_GUIDE)]
    assert makes(upload, force=True) == [(TRANSCRIPT, STUDY_GUIDE)]
    (guide,) = studies.guides(studies.ask(upload).trace_id)
    assert guide.job.status is JobStatus.QUEUED
    platform.output(platform.current_keys(platform.history.uploads.get(upload), STUDY_GUIDE)[0]).unlink()
    assert makes(upload) == [(STUDY_GUIDE,)]


def test_a_plan_of_an_address(platform: Platform, talk: Path) -> None:
    """A video that was fetched is planned as its upload; one that was deleted would be fetched again."""
    with running_site() as site:
        there = site.has("/bees.mp4", talk.read_bytes())
        plan = platform.media.studies.plan
        assert [each.makes for each in plan(there).talks] == [(INGEST, TRANSCRIPT, STUDY_GUIDE)]
        assert site.asked("/bees.mp4") == []
        platform.media.studies.ask(there)
        work_all(platform)
    assert [each.makes for each in plan(there).talks] == [()]
    assert [each.makes for each in plan(there, force=True).talks] == [(INGEST, TRANSCRIPT, STUDY_GUIDE)]
    platform.media.delete_upload(platform.media.uploads()[0].id)
    assert [each.makes for each in plan(there).talks] == [(INGEST, TRANSCRIPT, STUDY_GUIDE)]


def test_a_transcript_that_fails_ends_the_chain(platform: Platform, clips: Clips) -> None:
    """The guide says which job failed, and why."""
    upload = platform.register(clips.no_audio())
    studied = platform.media.studies.ask(upload.id)
    work_all(platform)
    (guide,) = platform.media.studies.guides(studied.trace_id)
    assert (guide.job.job_type, guide.job.status, guide.error_code) == (TRANSCRIPT, JobStatus.DEAD, "INPUT_NO_AUDIO")


def test_bad_requests_change_nothing(platform: Platform, talk: Path) -> None:
    """A name that is nothing, an empty one, a file where none may be named, and parameters that are refused."""
    ask = platform.media.studies.ask
    for names, options, error in (
        (("nosuch",), {}, RequestError),
        (("",), {}, RequestError),
        (("a" * 300,), {}, RequestError),
        ((str(talk),), {"with_files": False}, RequestError),
        ((str(talk),), {"params": {"difficulty": "fiendish"}}, ParametersError),
        ((str(talk),), {"transcript": {"language": "not a language"}}, ParametersError),
        ((str(talk),), {"callback": "http://10.0.0.1/hook"}, CallbackInvalidError),
    ):
        with pytest.raises(error):
            ask(*names, **options)
    assert platform.history.jobs.list(JobFilter()) == []
