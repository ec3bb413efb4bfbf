"""What has not changed is not sent again; and nothing goes wrong when what was kept is gone, damaged or too large."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediajobs_dagster.errors import ServiceAnswerError, ServiceTooLargeError
from mediajobs_dagster.services.answers import HttpAnswer
from mediajobs_dagster.services.kept import KeptAnswer
from tests.services.conftest import Bench, OpenBench
from tests.services.server import Behaviour, Exchange, serving

SINCE = "Wed, 04 Mar 2026 12:00:00 GMT"


def get(bench: Bench, url: str, **options: object) -> HttpAnswer:
    return bench.client.get_kept(url, service="feed", op="get", **options)  # pyright: ignore[reportArgumentType]


def named(body: bytes, **headers: str) -> Behaviour:
    """Answers with the body, or 304 if it is asked whether that has changed."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    def behave(exchange: Exchange) -> None:
        is_same = names.get("ETag") == exchange.headers["If-None-Match"] is not None
        is_old = names.get("Last-Modified") == exchange.headers["If-Modified-Since"] is not None
        exchange.answer(b"" if is_same or is_old else body, 304 if is_same or is_old else 200, names)

    return behave


@pytest.mark.parametrize("name", [{"ETag": '"1"'}, {"Last_Modified": SINCE}, {"ETag": 'W/"x"', "Last_Modified": SINCE}])
def test_an_answer_is_sent_once(open_bench: OpenBench, tmp_path: Path, name: dict[str, str]) -> None:
    """The next time, also of another process, there is the same body and type, and the word that nothing changed."""
    with serving(named("é".encode("latin-1"), Content_Type="text/plain; charset=latin-1", **name)) as server:
        answers = [get(open_bench(home=tmp_path), server.url) for _ in range(3)]
    assert [(each.status, each.text, each.is_unchanged) for each in answers] == [
        *[(200, "é", False)],
        *[(200, "é", True)] * 2,
    ]


def test_what_has_changed_replaces_what_was_kept(open_bench: OpenBench, tmp_path: Path) -> None:
    """And an answer without a name is not kept at all."""
    headers = [{"ETag": '"1"'}, {"ETag": '"2"'}, {}, {}]
    with serving(lambda e: e.answer(b"%d" % e.number, headers=headers[e.number])) as server:
        bench = open_bench(home=tmp_path)
        assert [get(bench, server.url).body for _ in headers] == [b"0", b"1", b"2", b"3"]
    assert [each.headers["If-None-Match"] for each in server.exchanges] == [None, '"1"', '"2"', None]


def test_other_headers_are_another_answer(open_bench: OpenBench, tmp_path: Path) -> None:
    """What one key may see is not shown to another."""
    with serving(named(b"a", ETag='"1"')) as server:
        bench = open_bench(home=tmp_path)
        for key in ("a", "b"):
            assert not get(bench, server.url, headers={"X-Api-Key": key}).is_unchanged


@pytest.mark.parametrize("damage", [b"", b"{}\nx", b'{"ETag": "\\"1\\"", "sha256": "0"}\nx', b"\xff" * 99, b"[1]\n"])
def test_a_damaged_file_is_fetched_anew(open_bench: OpenBench, tmp_path: Path, damage: bytes) -> None:
    """Half of a feed would be taken for all of it."""
    with serving(named(b"whole", ETag='"1"')) as server:
        bench = open_bench(home=tmp_path)
        get(bench, server.url)
        (file,) = (tmp_path / "answers").iterdir()
        file.write_bytes(damage)
        again = get(bench, server.url)
    assert (again.body, again.is_unchanged) == (b"whole", False)


def test_only_the_owner_reads_it(open_bench: OpenBench, tmp_path: Path) -> None:
    """A feed may be private; so is its address, which the file's name does not tell."""
    with serving(named(b"private", ETag='"1"')) as server:
        get(open_bench(home=tmp_path), f"{server.url}/secret")
    (file,) = (tmp_path / "answers").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert "secret" not in file.name


def test_a_limit_holds_for_what_is_kept(open_bench: OpenBench, tmp_path: Path) -> None:
    """As for what is fetched."""
    with serving(named(b"x" * 100, ETag='"1"')) as server:
        bench = open_bench(home=tmp_path)
        get(bench, server.url)
        with pytest.raises(ServiceTooLargeError):
            get(bench, server.url, max_bytes=99)


def test_old_answers_go(tmp_path: Path) -> None:
    """Those that were not used for the longest."""
    answer = HttpAnswer(200, {"ETag": '"1"'}, b"")
    for number in range(203):
        KeptAnswer.read(tmp_path, f"http://x/{number}", {}, 9).replace_by(answer)
    assert len(list(tmp_path.iterdir())) == 200
    assert KeptAnswer.read(tmp_path, "http://x/202", {}, 9).conditions == {"If-None-Match": '"1"'}


def test_a_condition_of_ones_own_is_answered(bench: Bench) -> None:
    """304 is an answer to a condition, and a fault without one."""
    with serving(lambda exchange: exchange.answer(status=304)) as server:
        asked = bench.client.request("GET", server.url, service="s", op="o", headers={"if-none-match": '"1"'})
        assert (asked.status, asked.is_unchanged) == (304, True)
        with pytest.raises(ServiceAnswerError):
            bench.client.request("GET", server.url, service="s", op="o")


def test_a_path_that_is_a_secret_is_not_told(bench: Bench) -> None:
    """Neither on record nor in messages; the host is."""
    to = {"Location": "/private-key/other"}
    with (
        serving(lambda e: e.answer(status=404) if e.number else e.answer(status=302, headers=to)) as server,
        pytest.raises(Exception, match="was answered with 404") as caught,
    ):
        get(bench, f"{server.url}/private-key/basic.ics?token=x", hides_path=True)
    assert bench.call.target == f"{server.url}/<redacted>"
    assert "private-key" not in str(caught.value)
