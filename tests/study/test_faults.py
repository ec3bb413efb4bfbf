"""What can go wrong with a guide beside the model: scripts, lengths, disks, and workers that die."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.inventory.claims import Verdict, judge
from mediajobs_dagster.job_types.study_guide import StudyGuide
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import AttemptStatus, utc_now
from mediajobs_dagster.records import Record, StageEnded
from mediajobs_dagster.study import typesetting
from mediajobs_dagster.study.document import About, document_of_assessment, document_of_notes
from mediajobs_dagster.study.extractive import write_notes
from mediajobs_dagster.study.model import Asked
from mediajobs_dagster.study.questions import write_assessment
from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.system import MediaJobs
from tests.platform import AllGone, Platform
from tests.study.guides import Guides, registry
from tests.study.language_model import running_model
from tests.study.talks import NAMES, text_of, transcript_of

OpenPlatform = Callable[..., Platform]

ARABIC = """الخوارزمية هي مجموعة من الخطوات التي تحل مسألة معينة.
تتعلم الشبكة العصبية من البيانات عن طريق تعديل الأوزان.
كل طبقة في الشبكة العصبية تحول البيانات إلى تمثيل جديد.
معدل التعلم يحدد حجم الخطوة في كل مرة.
إذا كان معدل التعلم كبيرا فإن التدريب لا يستقر.
البيانات الجيدة أهم من الخوارزمية نفسها.
نقسم البيانات إلى مجموعة تدريب ومجموعة اختبار.
الشبكة العصبية الكبيرة تحتاج إلى بيانات كثيرة."""
HINDI = """न्यूरल नेटवर्क डेटा से सीखता है और अपने वज़न बदलता है।
सीखने की दर हर कदम का आकार तय करती है।
अगर सीखने की दर बहुत बड़ी हो तो प्रशिक्षण स्थिर नहीं रहता।
हर परत डेटा को एक नए रूप में बदलती है।
अच्छा डेटा एल्गोरिदम से ज़्यादा ज़रूरी है।
हम डेटा को प्रशिक्षण और परीक्षण में बाँटते हैं।
बड़ा न्यूरल नेटवर्क बहुत सारा डेटा चाहता है।
प्रशिक्षण के बाद हम परीक्षण डेटा पर जाँच करते हैं।"""
CHINESE = """神经网络从数据中学习,并且不断调整自己的权重。
学习率决定每一步的大小。学习率太大,训练就不稳定。
每一层都把数据变成新的表示。
好的数据比算法更重要。
我们把数据分成训练集和测试集。
大的神经网络需要很多数据。
训练结束以后,我们在测试集上检查神经网络。"""


@pytest.mark.parametrize(
    ("text", "language", "term"),
    [(ARABIC, "ar", "الشبكة العصبية"), (HINDI, "hi", "डेटा"), (CHINESE, "zh", "神经网络")],
    ids=["Arabic", "Hindi", "Chinese"],
)
def test_other_scripts_have_notes_questions_and_pages(text: str, language: str, term: str) -> None:
    """What is said is found again, in sentences of its own script, and set in type."""
    talk = Talk.of(transcript_of(text, language=language), "Title")
    notes = write_notes(talk, Asked())
    assert notes.key_points
    assert all(point.text in text.replace("\n", " ") for point in notes.key_points)
    assert any(term in each.term or each.term in term for each in notes.terms), notes.terms
    assessment = write_assessment(talk, notes, Asked(questions=6))
    assert len(assessment.questions) >= 4
    about = About("Made by a test.")
    for document in (document_of_notes(notes, about), document_of_assessment(assessment, about, language=language)):
        assert all(page.startswith(b"\x89PNG") for page in typesetting.pictures_of(document))
        in_our_fonts = set(talk.passages[0].text) - set(typesetting.without_glyphs(document))
        assert bool(in_our_fonts - set("。,")) is (language != "zh")


def test_a_talk_of_very_many_words_is_bounded() -> None:
    """Ten times as long is not a hundred times as much work, and the guide does not grow with it."""
    lines = [line for name in NAMES for line in text_of(name).splitlines() if line.strip()]
    text = "\n".join(f"{line[:-1]} in part {number}." for number in range(30) for line in lines)
    talk = Talk.of(transcript_of(text), "Long")
    assert talk.words > 60_000
    notes = write_notes(talk, Asked())
    assert len(notes.key_points) <= 15
    assert len(notes.outline) <= 24
    assert len(write_assessment(talk, notes, Asked(questions=60)).questions) == 60


def test_what_has_no_full_stop_is_cut() -> None:
    """Captions without punctuation, as sites make them, and one word of a million letters."""
    words = " ".join(text_of("sourdough").replace(".", "").replace(",", "").split()).lower()
    talk = Talk.of(transcript_of(words), "Captions")
    assert max(passage.length for passage in talk.passages) <= 60
    assert write_notes(talk, Asked()).key_points
    endless = Talk.of(transcript_of("a" * 1_000_000), "Endless")
    notes = write_notes(endless, Asked())
    assert typesetting.pictures_of(document_of_notes(notes, About("")))


def test_a_full_disk_ends_the_attempt_and_nothing_else(
    open_platform: OpenPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PDFs do not fit any more: an outage, after which the job goes on without writing anything twice."""
    guides = Guides(open_platform(registry=registry()))
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        outcome = guides.make(upload)
    assert outcome.error
    assert (outcome.error.code, outcome.error.is_outage) == ("DISK_FULL", True)
    assert guides.platform.leftovers() == []
    assert list(guides.platform.storage.list("notes/")) == []
    kept = [each.modified for each in guides.platform.storage.list("checkpoints/")]
    assert len(kept) == 2
    (again,) = guides.platform.work()
    assert again.status is AttemptStatus.SUCCESS, again.error


def _die_in(stage: str, home: str, settings: dict[str, object]) -> None:
    """Work the queue off in a process that is killed when a stage has ended."""

    def die(record: Record) -> None:
        if isinstance(record, StageEnded) and record.stage == stage:
            os.kill(os.getpid(), signal.SIGKILL)

    from mediajobs_dagster.settings import Settings

    options: dict[str, object] = {"home": home, "scratch_reserve_mb": 1, "private_addresses": "127.0.0.0/8"}
    media = MediaJobs(Settings.load(_env_file=None, **options, **settings), registry())
    with media.worker() as worker:
        dispatch = media.dispatcher.next(StudyGuide.name, batch_size=1)
        assert isinstance(dispatch, Dispatch)
        work_off(worker, StudyGuide(), dispatch.id, run_id="run", listeners=Listeners([die]))


@pytest.mark.parametrize(
    ("stage", "asked"),
    [
        ("fetch_transcript", ["PartNotes", "Questions"]),
        ("generate_notes", ["PartNotes", "Questions"]),
        ("generate_assessment", ["PartNotes", "Questions"]),
        ("write_files", ["PartNotes", "Questions"]),
        ("export_pdfs", ["PartNotes", "Questions"]),
    ],
)
def test_a_killed_workers_next_attempt_pays_for_nothing_twice(
    open_platform: OpenPlatform, tmp_path: Path, stage: str, asked: list[str]
) -> None:
    """SIGKILL after any stage: the job comes back, and the model is asked once for each thing."""
    with running_model() as model:
        guides = Guides(open_platform(registry=registry(), lease_s=1.0, **model.settings))
        platform = guides.platform
        upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))
        guides.enqueue(upload)
        settings = {**model.settings, "lease_s": 1.0}
        doomed = multiprocessing.get_context("spawn").Process(
            target=_die_in, args=(stage, str(platform.settings.home), settings)
        )
        doomed.start()
        doomed.join(60)
        assert doomed.exitcode == -signal.SIGKILL
        wait_until(lambda: bool(recover(platform.history, platform.settings, AllGone(), settling_s=0).lost))
        (again,) = [each for each in platform.work() if each.job.job_type == StudyGuide.name]
        assert again.status is AttemptStatus.SUCCESS, again.error
    assert [request.form for request in model.requests] == asked
    assert list(platform.storage.list("checkpoints/")) == []
    assert [attempt.status for attempt in platform.attempts(upload, StudyGuide.name)] == [
        AttemptStatus.LOST,
        AttemptStatus.SUCCESS,
    ]


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    import time

    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_old_checkpoints_are_left_over(open_platform: OpenPlatform, tmp_path: Path) -> None:
    """One that nobody went on from for a week goes with the sweep; a younger one is alive."""
    guides = Guides(open_platform(registry=registry(), max_attempts=1))
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))
    platform = guides.platform
    (tmp_path / "result").write_text(json.dumps({"result": {}}))
    key = f"checkpoints/study_guide_v1/{upload.id}/{'0' * 32}.json"
    stat = platform.storage.put(tmp_path / "result", key, content_type="application/json")
    verdicts = [
        judge([stat], platform.history, now=utc_now() + timedelta(days=days))[0].verdict for days in (0.1, 6.9, 7.1)
    ]
    assert verdicts == [Verdict.LIVE, Verdict.LIVE, Verdict.LEFT_OVER]


def test_no_text_is_markup_in_a_pdf() -> None:
    """Commands of Typst in a talk are set as they are said: nothing is run, read or fetched."""
    evil = (
        '#panic("boom") #read("/etc/passwd") *bold* $x$ @label <tag> = Heading #import "@preview/cetz:0.3.0" \\ `raw`'
    )
    talk = Talk.of(transcript_of("\n".join(f"{evil} {word} number {word}." for word in ["one", "two", "three"])), evil)
    notes = write_notes(talk, Asked(subject=evil))
    document = document_of_notes(notes, About(evil, "https://example.com/a b"))
    assert document.source is None
    assert typesetting.pictures_of(document)
    assert re.search(re.escape('#panic("boom")'), document.title)
