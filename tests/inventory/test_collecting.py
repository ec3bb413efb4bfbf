"""What `storage gc` removes, and above all what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from mediajobs_dagster.errors import KeyRefusedError, NotFoundError, RequestError, StorageDeniedError
from mediajobs_dagster.inventory.collecting import Collected
from mediajobs_dagster.inventory.inventory import GC, RESTORE
from mediajobs_dagster.models import AttemptStatus, JobStatus, new_id, result_origin, utc_now
from mediajobs_dagster.storage import ObjectStat, Undo
from mediajobs_dagster.storage.local import LocalStorage
from tests.attempts.test_storage_sweep import begin_writing
from tests.history.factories import a_new_job, an_upload, claimed, ended
from tests.inventory.conftest import DAY, MakeMap, Store

Meanwhile = Callable[[], object]


def reasons(found: Collected) -> dict[str, str]:
    """Why each object goes, by key."""
    return {each.key: each.reason for each in found.objects}


def test_each_object_that_goes_has_its_reason(store: Store, a_map: MakeMap) -> None:
    """Nothing goes without being asked for; then exactly that, and it is on record who did it."""
    subject = store.upload().id
    lost, running = store.lost(), store.running()
    replaced, current = store.output(subject), store.output(subject)
    old, unknown, foreign = store.put("cache/old"), store.put("thumbs/uploads/x/thumb.jpg"), store.put("backups/a")
    inventory = store.inventory(storage_map=a_map(thumbs=None, cache=1))

    dry = inventory.collect()

    assert reasons(dry) == {
        lost: "its attempt was lost",
        replaced: "a newer success replaced it",
        old: "it is past the 1 day of cache/ in the storage map",
    }
    assert (dry.is_dry, dry.gone.objects, dry.gone.bytes, dry.removal_id) == (True, 3, 15, None)
    assert {lost, replaced, old} < store.there()
    assert store.history.actions.list() == []

    done = inventory.collect(delete=True)

    assert (done.gone, done.reasons, done.failed, done.kept) == (dry.gone, dry.reasons, 0, 0)
    source = f"uploads/{subject}/source"
    assert store.there() == {source, running, current, unknown, foreign}
    (action,) = store.history.actions.list()
    assert (action.id, action.action, action.count) == (done.removal_id, GC, 3)
    assert action.details is not None
    assert action.details["gone"] == {"objects": 3, "bytes": 15}
    assert action.who
    assert inventory.collect(delete=True).gone.objects == 0
    assert len(store.history.actions.list()) == 1  # what removes nothing is no action


def test_what_is_younger_than_a_day_stays(store: Store, a_map: MakeMap) -> None:
    """Whatever is said of it; and no younger age can be asked for."""
    store.days = 0.99
    lost = store.lost()
    store.put("cache/new")
    inventory = store.inventory(storage_map=a_map(thumbs=None, cache=0))
    assert inventory.collect(delete=True).gone.objects == 0
    with pytest.raises(RequestError, match="Nothing younger than a day"):
        inventory.collect(older_than=timedelta(hours=23))
    assert lost in store.there()


def test_an_age_and_a_prefix_narrow_it(store: Store, a_map: MakeMap) -> None:
    """Only keys that begin so, and only what is older; what the history names is known all the same."""
    one = store.lost("s1")
    store.lost("t1")
    store.put("cache/a")
    named = store.upload(key="cache/named")
    inventory = store.inventory(storage_map=a_map(thumbs=None, cache=0))
    assert set(reasons(inventory.collect(prefix="thumbs/uploads/s"))) == {one}
    assert set(reasons(inventory.collect(prefix="cache/"))) == {"cache/a"}
    assert inventory.collect(older_than=3 * DAY).gone.objects == 0
    assert inventory.collect(older_than=DAY).looked_at == 4
    assert named.storage_key not in reasons(inventory.collect())
    with pytest.raises(KeyRefusedError):
        inventory.collect(prefix="../")
    with pytest.raises(RequestError, match=r"begins with cahce/. The storage map knows .*cache/"):
        inventory.collect(prefix="cahce/", delete=True)


def test_the_sources_of_live_jobs_stay(local: Store, a_map: MakeMap) -> None:
    """Past their retention: of a job that waits, of one that is worked on; and an export that was replaced."""
    waiting, working, exported = local.upload(key="cache/1"), local.upload(key="cache/2"), local.upload()
    local.history.jobs.enqueue([a_new_job(subject_id=waiting.id)])
    claimed(local.history, subject_id=working.id)
    claim = claimed(local.history, subject_id=exported.id)
    key = local.put(f"renders/{claim.attempt.id}/video.mp4")
    export = an_upload(storage_key=key, origin=result_origin(claim.job.id, "video.mp4"))
    result = {"outputs": [{"key": key, "bytes": 5}]}
    local.history.leases.finish(ended(claim, result=result), job_status=JobStatus.COMPLETED, uploads=[export])
    local.output(exported.id)  # it replaces the render as the current output
    assert local.inventory(storage_map=a_map(cache=0, renders=0, thumbs=0)).collect().gone.objects == 0


def test_a_retention_holds_what_is_left_over(store: Store, a_map: MakeMap) -> None:
    """The map says how long something is kept, whoever made it."""
    lost = store.lost()
    assert store.inventory(storage_map=a_map(thumbs=3)).collect().gone.objects == 0
    assert set(reasons(store.inventory(storage_map=a_map(thumbs=2)).collect())) == {lost}


def test_forgotten_parts_go(store: Store) -> None:
    """Multipart uploads and half-written files of writers that are dead; not those of a running attempt."""
    lost, running = store.lost(), store.running()
    begin_writing(store.storage, lost)
    begin_writing(store.storage, running)
    begin_writing(store.storage, f"uploads/{new_id()}/source")
    found = store.inventory().collect()
    assert (found.gone.objects, found.unfinished) == (1, 1)
    store.days = 8
    done = store.inventory().collect(delete=True)
    assert done.unfinished == 2
    assert sum(not isinstance(each, ObjectStat) for each in store.storage.walk()) == 1


# --- what happens meanwhile ------------------------------------------------------------------------------------------


def interrupted(store: Store, meanwhile: Meanwhile) -> Store:
    """The store, in which something happens once it was gone through, and before anything is removed."""

    class Meantime(type(store.storage)):  # type: ignore[misc]  # whichever kind it is
        is_walked = False

        @override
        def walk(self, prefix: str = ""):
            yield from super().walk(prefix)
            if not Meantime.is_walked:
                Meantime.is_walked = True
                meanwhile()

    changed = store.storage.observed(lambda _: None)
    changed.__class__ = Meantime
    return replace(store, storage=changed)


def test_an_object_that_is_published_meanwhile_stays(store: Store, a_map: MakeMap) -> None:
    """A new key was never listed; one that was there before, and is replaced meanwhile, is another object."""
    old, same = store.put("cache/old"), store.put("cache/same", "abcde")

    def publish() -> None:
        store.put("cache/new")
        store.put(old, "other")
        if not isinstance(store.storage, LocalStorage):
            store.storage.delete(same)
        store.put(same, "fghij")

    done = interrupted(store, publish).inventory(storage_map=a_map(cache=0)).collect(delete=True)
    assert (done.gone.objects, done.kept) == (0, 2)
    assert store.there() == {"cache/new", old, same}


def test_an_upload_that_is_registered_meanwhile_stays(store: Store, a_map: MakeMap) -> None:
    """One that lay in the storage already, and is added where it is, after its name was looked for."""
    key = store.put("cache/a")
    inventory = store.inventory(storage_map=a_map(cache=0))
    named = store.history.named_objects.all

    def late():
        yield from named()
        store.history.uploads.add(an_upload(storage_key=key, created_at=utc_now() + store.days * DAY))

    store.history.named_objects.all = late  # type: ignore[method-assign]  # the moment after it
    assert inventory.collect(delete=True).gone.objects == 0
    assert key in store.there()


def test_an_attempt_is_asked_about_at_the_last_moment(local: Store) -> None:
    """One that was running as its object was listed, and has succeeded when it is judged, keeps it."""
    claim = claimed(local.history, subject_id="s")
    key = local.put(f"thumbs/uploads/s/{claim.attempt.id}/thumb.jpg")
    named = local.history.named_objects.all
    result = {"outputs": [{"key": key, "bytes": 5}]}

    def late():
        yield from named()
        local.history.leases.finish(ended(claim, result=result), job_status=JobStatus.COMPLETED)

    local.history.named_objects.all = late  # type: ignore[method-assign]  # the moment after it
    assert local.inventory().collect(delete=True).gone.objects == 0
    assert key in local.there()


def test_an_object_that_is_gone_meanwhile_is_no_failure(store: Store) -> None:
    """The sweep of the daemon may have been quicker."""
    lost = store.lost()
    done = interrupted(store, lambda: store.storage.delete(lost)).inventory().collect(delete=True)
    assert (done.gone.objects, done.failed, done.kept) == (0, 0, 1)


def test_an_object_that_the_storage_keeps_hides_no_other(local: Store) -> None:
    """It is told with its reason, and the others go."""
    stays, goes = local.lost("a"), local.lost("b")

    class Locked(LocalStorage):
        @override
        def _set_aside(self, key: str, trash: str) -> None:
            if key == stays:
                raise StorageDeniedError("Locked by its owner.")
            super()._set_aside(key, trash)

    assert isinstance(local.storage, LocalStorage)
    done = replace(local, storage=Locked(local.storage.root)).inventory().collect(delete=True)
    assert (done.gone.objects, done.failed) == (1, 1)
    assert [each.fault for each in done.objects if each.key == stays] == ["Locked by its owner."]
    assert local.there() == {stays}
    assert goes not in local.there()


def test_an_interrupt_leaves_a_record_of_what_was_removed(local: Store) -> None:
    """The action has what went until then."""
    local.lost("a")
    local.lost("b")
    removed = 0

    class Slow(LocalStorage):
        @override
        def _set_aside(self, key: str, trash: str) -> None:
            nonlocal removed
            if removed:
                raise KeyboardInterrupt
            removed += 1
            super()._set_aside(key, trash)

    assert isinstance(local.storage, LocalStorage)
    with pytest.raises(KeyboardInterrupt):
        replace(local, storage=Slow(local.storage.root)).inventory().collect(delete=True)
    (action,) = local.history.actions.list()
    assert action.count == 1
    assert len(local.there()) == 1


# --- undone ----------------------------------------------------------------------------------------------------------


def test_a_removal_can_be_undone_in_a_local_folder(local: Store) -> None:
    """For a week it lies in the trash, which neither the sweep nor a report takes for left over; then it goes."""
    lost, other = local.lost("a"), local.lost("b")
    stat = local.storage.stat(lost)
    inventory = local.inventory()
    done = inventory.collect(delete=True)
    assert (done.undo, local.there()) == (Undo.TRASH, set())
    assert inventory.collect(delete=True).gone.objects == 0
    report = inventory.take()
    assert (report.objects, report.left_over.objects, report.not_in_history.objects) == (2, 0, 0)

    local.put(other, "taken by now")
    back = inventory.restore(done.removal_id or "")
    assert (back.back, back.taken) == (1, (other,))
    assert local.there() == {lost, other}
    assert local.storage.stat(lost) == stat
    assert [action.action for action in local.history.actions.list()] == [RESTORE, GC]
    with pytest.raises(NotFoundError, match="holds nothing of a removal"):
        inventory.restore(new_id())

    local.days = 7.1
    again = local.inventory().collect(delete=True, prefix=".trash/")
    assert (again.gone.objects, again.gone.bytes) == (1, 5)
    assert not list(local.storage.list(".trash/"))
    assert isinstance(local.storage, LocalStorage)
    assert not (local.storage.root / ".trash").exists()


def test_versions_are_asked_for(store: Store) -> None:
    """A folder has its trash; a server that does not know versions is taken to keep none."""
    undo = store.storage.undo()
    assert undo is (Undo.TRASH if isinstance(store.storage, LocalStorage) else undo)
    if not isinstance(store.storage, LocalStorage):
        assert undo in (Undo.NEVER, Undo.UNKNOWN)
        with pytest.raises(RequestError, match="has no trash"):
            store.inventory().restore(new_id())


def test_a_removal_is_recorded_in_json(store: Store) -> None:
    """What programs get has every field that people see."""
    store.lost()
    done = store.inventory().collect(delete=True, limit=0).to_json()
    assert json.loads(json.dumps(done)) == done
    assert done["objects"] == []
    assert done["reasons"] == {"its attempt was lost": {"objects": 1, "bytes": 5}}


def test_every_end_of_an_attempt_has_words(local: Store) -> None:
    """Each status that is not a success says why its objects are left over."""
    for status in (AttemptStatus.FAILURE, AttemptStatus.CANCELLED, AttemptStatus.LOST, AttemptStatus.SKIPPED):
        claim = claimed(local.history, subject_id=status)
        local.put(f"thumbs/{status}/{claim.attempt.id}/a")
        job_status = JobStatus.SKIPPED if status is AttemptStatus.SKIPPED else JobStatus.FAILED
        local.history.leases.finish(ended(claim, status), job_status=job_status)
    assert set(local.inventory().collect().reasons) == {
        f"its attempt {words}" for words in ("failed", "was cancelled", "was lost", "made nothing")
    }
