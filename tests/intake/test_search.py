"""Looking for media in folders and buckets, with everything that lies around there."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from mediajobs_dagster.errors import InputUnreadableError, RequestError, StorageMissingError
from mediajobs_dagster.intake.candidates import Candidate, Skipped
from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import new_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, attempt_key, open_storage
from tests.platform import usual
from tests.servers.s3 import S3Server

JOB_TYPES = usual(Registry.standard())


@pytest.fixture
def local(tmp_path: Path) -> Storage:
    """A storage that looking for files does not need."""
    return open_storage(Settings.load(_env_file=None, storage_url=(tmp_path / "objects").as_uri()))


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "footage"
    folder.mkdir()
    return folder


def file(path: Path) -> Path:
    """A file of some content, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.name.encode(errors="surrogateescape"))
    return path


def candidates(search: Search, *locations: Path | str) -> list[str]:
    """Where the candidates are."""
    found = search.find([str(location) for location in locations])
    return [find.location for find in found if isinstance(find, Candidate)]


def skips(search: Search, *locations: Path | str) -> dict[str, str]:
    """The codes of what is left out, by location."""
    found = search.find([str(location) for location in locations])
    return {find.location: find.code for find in found if isinstance(find, Skipped)}


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_searched_to_its_depths(local: Storage, footage: Path) -> None:
    """In the order of the names, files before folders; names are not judged by their endings."""
    paths = [file(footage / name) for name in ("b.mp4", "notes.txt", "a/deep/er/x.mov", "c/a [1].MTS", "a/no_ending")]
    found = candidates(Search(local), footage)
    assert sorted(found) == sorted(map(str, paths))
    assert found == candidates(Search(local), footage)
    deep = footage / "/".join(["d"] * 100)
    assert str(file(deep / "x.mp4")) in candidates(Search(local), footage)


def test_the_same_file_is_found_once(local: Storage, footage: Path) -> None:
    """However many ways lead to it: named twice, named and in a folder, through a link."""
    one = file(footage / "one.mp4")
    (footage / "z_link.mp4").symlink_to(one)
    assert candidates(Search(local), one, footage, f"{footage}/../footage/one.mp4") == [str(one)]


def test_rings_of_links_are_walked_once(local: Storage, footage: Path) -> None:
    """Links to folders are followed where that is asked for: to the folder itself, to its parent, to each other."""
    one = file(footage / "a/one.mp4")
    (footage / "a/self").symlink_to(footage / "a")
    (footage / "b_up").symlink_to(footage.parent)
    elsewhere = file(footage.parent / "elsewhere/two.mp4")
    search = Search(local, follow=True)
    assert sorted(Path(found).resolve() for found in candidates(search, footage)) == [elsewhere, one]


def test_links_that_lead_out_of_the_folder_are_left_out_and_named(local: Storage, footage: Path) -> None:
    """A folder of somebody else's may have links to anything; those within it are followed."""
    inside, outside = file(footage / "a/one.mp4"), file(footage.parent / "secret/two.mp4")
    (footage / "b.mp4").symlink_to(outside)
    (footage / "c").symlink_to(outside.parent)
    (footage / "d").symlink_to("../secret")
    (footage / "e").symlink_to(footage.parent)
    (footage / "f.mp4").symlink_to("b.mp4")
    (footage / "g.mp4").symlink_to(inside)
    (footage / "secret").symlink_to("a")
    assert candidates(Search(local), footage) == [str(footage / "g.mp4")]
    assert skips(Search(local), footage) == {f"{footage}/{name}": "LINK" for name in ("b.mp4", "c", "d", "e", "f.mp4")}
    assert str(footage / "b.mp4") in candidates(Search(local, follow=True), footage)


def test_a_link_that_was_asked_for_is_followed(local: Storage, footage: Path) -> None:
    """To a folder, and to a file: who names it means it."""
    one = file(footage / "one.mp4")
    (footage.parent / "folder").symlink_to(footage)
    (footage.parent / "file.mp4").symlink_to(one)
    for asked in ("folder", "file.mp4"):
        assert len(candidates(Search(local), footage.parent / asked)) == 1


def test_a_link_that_leads_elsewhere_by_now_is_not_read(local: Storage, footage: Path) -> None:
    """Even to a file of the same size and time."""
    one, other = file(footage / "one.mp4"), file(footage.parent / "two.mp4")
    os.utime(one, ns=(1, 1))
    os.utime(other, ns=(1, 1))
    found = Search(local).file(str(one))
    found.check()
    one.unlink()
    one.symlink_to(other)
    with pytest.raises(InputUnreadableError, match="changed"):
        found.check()


@pytest.mark.parametrize("scheme", ["https", "http", "ftp", "file"])
def test_an_address_that_is_not_read_is_refused_without_its_secrets(local: Storage, scheme: str) -> None:
    """It was signed for somebody, and must not stand in a log."""
    with pytest.raises(RequestError, match=f"{scheme} addresses are not supported here") as caught:
        list(Search(local).find([f"{scheme}://me:hunter2@host/talk.mp4?X-Amz-Signature=0123abcd"]))
    assert "hunter2" not in caught.value.message
    assert "0123abcd" not in caught.value.message


@pytest.mark.parametrize("location", ["a\0b", "half\ud800", "~nobody-of-that-name/talk.mp4"])
def test_what_cannot_be_a_path_is_refused(local: Storage, location: str) -> None:
    with pytest.raises(RequestError):
        Search(local).file(location)


def test_what_is_no_file_is_left_out_and_named(local: Storage, footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipes, sockets, links that lead nowhere or in a circle: nothing waits for them, nothing fails."""
    os.mkfifo(footage / "pipe.mp4")
    (footage / "dead.mp4").symlink_to("nowhere")
    (footage / "circle.mp4").symlink_to("circle.mp4")
    monkeypatch.chdir(footage)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.mp4")
        assert candidates(Search(local), footage) == []
        assert skips(Search(local), footage) == {
            f"{footage}/pipe.mp4": "NOT_A_FILE",
            f"{footage}/socket.mp4": "NOT_A_FILE",
            f"{footage}/dead.mp4": "INPUT_UNREADABLE",
            f"{footage}/circle.mp4": "INPUT_UNREADABLE",
        }


def test_hidden_files_and_folders_are_left_out(local: Storage, footage: Path) -> None:
    """A hidden folder is named once, not with all that is in it; one that was asked for is searched."""
    for name in (".DS_Store", "._a.mp4", ".trash/a.mp4", ".trash/b.mp4"):
        file(footage / name)
    assert candidates(Search(local), footage) == []
    assert skips(Search(local), footage) == {
        f"{footage}/{name}": "HIDDEN" for name in (".DS_Store", "._a.mp4", ".trash")
    }
    assert len(candidates(Search(local), footage / ".trash")) == 2


def test_our_own_folders_are_left_out(local: Storage, footage: Path, tmp_path: Path) -> None:
    """A storage that lies inside the folder would feed on itself; asked for by name it is left out too."""
    objects = tmp_path / "objects"
    file(objects / "uploads/x/source")
    search = Search(local, off_limits=(objects,))
    (footage / "link").symlink_to(objects / "uploads")
    for asked in (tmp_path, objects, objects / "uploads", footage):
        assert candidates(search, asked) == []
    assert skips(search, tmp_path)[str(objects)] == "OURS"


def test_patterns_choose(local: Storage, footage: Path) -> None:
    """By name or by path; what is excluded is passed over without a word, folders with all that is in them."""
    for name in ("a.mov", "b.mp4", "drafts/c.mov", "drafts/.hidden", "x/d.mov"):
        file(footage / name)

    def chosen(**patterns: tuple[str, ...]) -> list[str]:
        return [str(Path(found).relative_to(footage)) for found in candidates(Search(local, **patterns), footage)]

    assert chosen(include=("*.mov",)) == ["a.mov", "drafts/c.mov", "x/d.mov"]
    assert chosen(include=("x/*", "b.*")) == ["b.mp4", "x/d.mov"]
    assert chosen(exclude=("drafts",)) == chosen(exclude=("drafts/*",)) == ["a.mov", "b.mp4", "x/d.mov"]
    assert chosen(include=("*.mov",), exclude=("a*", "x/*")) == ["drafts/c.mov"]
    assert skips(Search(local, exclude=("drafts",)), footage) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no such names")
def test_names_that_are_not_utf_8(local: Storage, footage: Path) -> None:
    """They are found, and shown with a sign in place of what nobody can read; the origin is the true name's."""
    for name in (b"bad\xff.mp4", b"bad\xfe.mp4"):
        file(footage / os.fsdecode(name))
    found = [find for find in Search(local).find([str(footage)]) if isinstance(find, Candidate)]
    assert [each.filename for each in found] == ["bad�.mp4"] * 2
    assert len({each.origin for each in found}) == 2


def test_what_is_not_there_is_refused_before_anything_is_found(local: Storage, footage: Path) -> None:
    good = file(footage / "good.mp4")
    os.mkfifo(footage / "pipe")
    for bad in (footage / "nothing.mp4", footage / "pipe", good / "below", "s3://bucket/key", "s3://bucket/folder/"):
        with pytest.raises(RequestError):
            Search(local).find([str(good), str(bad)])
    with pytest.raises(RequestError, match="is not a file"):
        Search(local).file(str(footage))


# --- buckets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def s3(s3_settings: Settings) -> Storage:
    """A bucket of a real S3 server as storage."""
    return open_storage(s3_settings)


def test_everything_below_a_prefix_is_found(s3: Storage, s3_server: S3Server) -> None:
    """More than one page of it, of another bucket; nothing beside the prefix, nothing hidden, no marks of folders."""
    bucket = s3_server.make_bucket()
    folder = s3_server.root / bucket
    names = [f"in/many/{number:04}.mp4" for number in range(1001)]
    for name in (*names, "in/.hidden.mp4", "in/.trash/x.mp4", "inside.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    search = Search(s3, JOB_TYPES, exclude=("0000.*",))
    assert candidates(search, f"s3://{bucket}/in/") == [f"s3://{bucket}/{name}" for name in names[1:]]
    hidden = {f"s3://{bucket}/in/.hidden.mp4": "HIDDEN", f"s3://{bucket}/in/.trash/x.mp4": "HIDDEN"}
    assert skips(search, f"s3://{bucket}/in/") == hidden
    assert candidates(search, f"s3://{bucket}/") == [f"s3://{bucket}/{name}" for name in (*names[1:], "inside.mp4")]


def test_what_we_made_is_not_taken_in_again(s3: Storage, tmp_path: Path) -> None:
    """Sources and outputs in our own storage; all else there is found, with its key."""
    source = file(tmp_path / "x")
    made = ["uploads/a/source", *(key for job_type in JOB_TYPES for key in job_type.output_keys("a"))]
    made += [attempt_key(key, new_id()) for key in made[1:]]
    for key in (*made, "incoming/talk.mp4", "uploads/talk.mp4"):
        s3.put(source, key, content_type="video/mp4")
    search = Search(s3, JOB_TYPES)
    found = [find for find in search.find([s3.url]) if isinstance(find, Candidate)]
    assert [find.own_key for find in found] == ["incoming/talk.mp4", "uploads/talk.mp4"]
    assert skips(search, s3.url) == {f"{s3.url}{key}": "OURS" for key in made}


def test_objects_and_buckets_that_are_not_there(s3: Storage, s3_bucket: str) -> None:
    with pytest.raises(StorageMissingError):
        Search(s3).find([f"s3://{s3_bucket}/nothing.mp4"])
    with pytest.raises(RequestError, match=f"s3://{s3_bucket}/ for everything"):
        Search(s3).find([f"s3://{s3_bucket}"])
    assert candidates(Search(s3), f"s3://{s3_bucket}/nothing/") == []
    with pytest.raises(StorageMissingError):
        candidates(Search(s3), "s3://no-such-bucket/folder/")
