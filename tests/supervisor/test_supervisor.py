"""Several processes as one: up together, down together, started again when they die."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mediajobs_dagster.errors import AlreadyRunningError, StartError
from mediajobs_dagster.supervisor.exclusive import check_port, is_loopback, sole_user_of
from mediajobs_dagster.supervisor.part import ProcessSpec
from mediajobs_dagster.supervisor.supervisor import Supervisor
from tests.processes import is_gone

SLEEP = "import time; print('at work', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
TALKATIVE = f"""
import signal, sys
def end(*_):
    print(*range(1000), sep="\\n")
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
{SLEEP}
"""
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {SLEEP}"


def part(name: str, code: str, *, grace_s: float = 5.0) -> ProcessSpec:
    """A part that runs this Python code."""
    return ProcessSpec(name, (sys.executable, "-c", code), grace_s)


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Ask until it holds."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, "the condition was not met in time"
        time.sleep(0.02)


class Running:
    """A supervisor at work in a thread, and what its parts said."""

    def __init__(
        self,
        *specs: ProcessSpec,
        is_ready: Callable[[], bool] = lambda: True,
        patience_s: float = 60.0,
        a_line_takes_s: float = 0.0,
    ) -> None:
        self._a_line_takes_s = a_line_takes_s
        self.said: list[tuple[str, str]] = []
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self.supervisor = Supervisor(specs, self._say, is_ready=is_ready, patience_s=patience_s)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()
        self.join()
        assert not self._thread.is_alive()

    def _say(self, name: str, line: str) -> None:
        time.sleep(self._a_line_takes_s)
        self.said.append((name, line))

    def _run(self) -> None:
        try:
            self.supervisor.run(self.ready.set)
        except StartError as error:
            self.error = error

    def lines(self, name: str) -> list[str]:
        """What a part said."""
        return [line for said, line in self.said if said == name]

    def join(self) -> None:
        """Wait for the end that comes by itself."""
        self._thread.join(90)


def test_parts_run_until_it_is_stopped_and_leave_nothing() -> None:
    """Their lines come with their names; afterwards no process of theirs is left, grandchildren included."""
    with Running(part("one", SLEEP), part("two", PARENT)) as running:
        assert running.ready.wait(60)
        wait_for(lambda: len(running.lines("two")) == 2 and running.lines("one") != [])
        family = [psutil.Process(pid) for pid in running.supervisor.pids.values() if pid]
        family += [child for each in family for child in each.children(recursive=True)]
        assert len(family) == 3
    assert running.lines("one") == ["at work"]
    wait_for(lambda: all(is_gone(each) for each in family))


def test_part_that_dies_is_started_again() -> None:
    """The other one is left in peace."""
    with Running(part("one", SLEEP), part("two", SLEEP)) as running:
        wait_for(lambda: len(running.said) == 2)
        first = running.supervisor.pids
        psutil.Process(first["one"]).send_signal(signal.SIGKILL)
        wait_for(lambda: running.lines("one").count("at work") == 2)
        again = running.supervisor.pids
    assert "ended (killed by SIGKILL); it starts again in 0.5 s" in running.lines("one")
    assert again["one"] != first["one"]
    assert again["two"] == first["two"]


def test_children_of_a_part_that_died_get_time_to_put_their_work_away() -> None:
    """They are killed when the grace time is over, not at once."""
    with Running(part("one", PARENT, grace_s=5.0)) as running:
        wait_for(lambda: len(running.said) == 2)
        leader = psutil.Process(running.supervisor.pids["one"])
        (child,) = leader.children()
        leader.kill()
        wait_for(lambda: any("it starts again" in line for line in running.lines("one")))
        assert child.is_running()
        wait_for(lambda: is_gone(child))


def test_part_that_does_not_stop_is_killed_after_its_grace_time() -> None:
    """And that is said."""
    with Running(part("one", STUBBORN, grace_s=0.5)) as running:
        wait_for(lambda: running.lines("one") == ["at work"])
    assert running.lines("one")[-1] == "did not stop in time and was killed"


def test_part_that_never_starts_ends_the_whole() -> None:
    """After three tries, with what it said on the screen and no process left."""
    with Running(part("one", SLEEP), part("two", "raise SystemExit('no')"), is_ready=lambda: False) as running:
        running.join()
        assert isinstance(running.error, StartError)
        assert running.lines("two").count("no") == 3


def test_the_last_output_comes_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the terminal is slow: of one that dies, before that is told; of one that is stopped, before all ends."""
    monkeypatch.setattr("mediajobs_dagster.supervisor.part._LAST_OUTPUT_S", 60.0)
    words = [str(number) for number in range(1000)]
    with Running(part("one", TALKATIVE), part("two", TALKATIVE), a_line_takes_s=0.001) as running:
        wait_for(lambda: running.lines("one") != [] and running.lines("two") != [])
        psutil.Process(running.supervisor.pids["one"]).terminate()
        wait_for(lambda: any("it starts again" in line for line in running.lines("one")))
    one = running.lines("one")
    assert one[: one.index("ended (exit code 3); it starts again in 0.5 s")] == ["at work", *words]
    assert running.lines("two") == ["at work", *words]


def test_parts_that_do_not_answer_in_time_end_the_whole() -> None:
    """Patience has an end."""
    with Running(part("one", SLEEP), is_ready=lambda: False, patience_s=0.5) as running:
        running.join()
        assert "Not all processes answered within 0.5 s" in str(running.error)


def test_a_restarted_part_is_another_process() -> None:
    """The one that is told to stop is gone before the next one starts."""
    with Running(part("one", SLEEP), part("two", SLEEP)) as running:
        wait_for(lambda: len(running.said) == 2)
        first = running.supervisor.pids
        running.supervisor.restart("two")
        wait_for(lambda: running.lines("two").count("at work") == 2)
        assert running.supervisor.pids["one"] == first["one"]
        assert running.supervisor.pids["two"] != first["two"]
        assert not psutil.pid_exists(first["two"])


def test_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    """The second learns who the first is; afterwards it is free again."""
    refused = pytest.raises(AlreadyRunningError, match="process 1, here")
    with sole_user_of(tmp_path, "process 1, here"), refused, sole_user_of(tmp_path, "process 2"):
        raise AssertionError
    with sole_user_of(tmp_path, "process 3"):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_known(host: str) -> None:
    """Only this machine reaches it."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", "", "127.0.0.1.example.com"])
def test_everything_else_may_be_reached(host: str) -> None:
    """A name too: who knows where it leads."""
    assert not is_loopback(host)


def test_free_port_is_no_fault() -> None:
    """Port 0 is always free."""
    check_port("127.0.0.1", 0)
