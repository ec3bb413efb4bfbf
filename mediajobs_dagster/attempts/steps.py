"""Runs the steps of a plan, one after the other: ffmpeg for a `Run`, Python code for a `Call`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from mediajobs_dagster.attempts.bench import AttemptBench
from mediajobs_dagster.attempts.progress import STEPS, ProgressMeter
from mediajobs_dagster.attempts.recorder import Recorder, Stage
from mediajobs_dagster.attempts.workspace import Workspace
from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.errors import InputCorruptError, MediaJobsError
from mediajobs_dagster.job_types.bench import Installation
from mediajobs_dagster.job_types.plan import Call, Left, Run, Step
from mediajobs_dagster.media.allowance import Allowance
from mediajobs_dagster.media.command import Command, Input, Output
from mediajobs_dagster.media.run import Made, Runner
from mediajobs_dagster.media.stderr import Faults
from mediajobs_dagster.models import Progress


@dataclass
class StepMaker:
    """Runs the steps of one attempt, and records what they do."""

    installation: Installation
    runner: Callable[[], Runner]
    """Raises FfmpegMissingError."""
    workspace: Workspace
    recorder: Recorder
    cancellation: Cancellation
    meter: ProgressMeter
    allowance: Allowance
    """What each command may take."""
    made: dict[str, Made] = field(default_factory=dict[str, Made])
    """What ffmpeg says it made, by the name of the file."""
    _whole: float = 1.0
    _done: float = 0.0

    def make(self, steps: Sequence[Step]) -> None:
        """Run all steps. Consecutive commands are one stage; every call is a stage of its own."""
        self._whole = sum(step.weight for step in steps) or 1.0
        due = deque(steps)
        while due:
            step = due.popleft()
            with self.recorder.timed(step.stage if isinstance(step, Call) else Stage.FFMPEG):
                if isinstance(step, Call):
                    due.extendleft(reversed(self._call(step)))
                else:
                    self._run_steps(step, due)

    def _run_steps(self, step: Run, due: deque[Step]) -> None:
        """Run a command, and those that come next in `due`."""
        while True:
            further = self._run_step(step)
            self._whole += sum(each.weight for each in further)
            due.extendleft(reversed(further))
            if not due or isinstance(following := due[0], Call):
                return
            due.popleft()
            step = following

    def run(
        self,
        command: Command,
        on_progress: Callable[[Progress], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
        *,
        is_noted: bool = True,
    ) -> Made:
        """Run one command; `is_noted` if small faults of its input are worth a note.

        Raises what `Runner.run` raises, and the error that kept it from reading its sources.
        """
        with self.workspace.reading():
            made = self.runner().run(
                self.workspace.addressed(command),
                cwd=self.workspace.folder,
                on_progress=on_progress,
                on_data=on_data,
                on_start=self.recorder.begin_command,
                cancel=self.cancellation,
                report=self.recorder.add_command,
                allowance=self.allowance,
            )
        if is_noted and made.faults != Faults():
            self.recorder.note(f"ffmpeg reported small faults in its input: {made.faults}.")
        return made

    def decode_end(self, name: str, duration: float) -> None:
        """Decode the last second of a file, where a cut-off file, or an index that points past the data, fails.

        ffmpeg begins at the key frame before it. The loop filter is skipped (`-skip_loop_filter`), because the pictures
        are thrown away.
        """
        options = ("-skip_loop_filter", "all", "-ss", f"{max(0.0, duration - 1.0):.3f}")
        self.run(Command(inputs=(Input(name, options),), outputs=(Output("nowhere", ("-f", "null")),)))

    def _run_step(self, step: Run) -> Sequence[Step]:
        """Run the step's command; returns the steps that follow from what it left."""
        self.cancellation.check()
        folder = self.workspace.folder
        command = step.command if isinstance(step.command, Command) else step.command(folder)
        left, fault = Left(folder), None
        try:
            left = Left(folder, is_damaged=self._run_command(step, command).faults.bad_pictures > 0)
        except MediaJobsError as error:
            if step.then is None or not (error.may_be_input or isinstance(error, InputCorruptError)):
                raise
            fault = error
            for output in command.outputs:  # half of it may be there
                (folder / output.target).unlink(missing_ok=True)
        self._done += step.weight
        further = step.then(left) if step.then else ()
        if fault and not further:
            raise fault
        return further

    def _run_command(self, step: Run, command: Command) -> Made:
        folder = self.workspace.folder
        begin, share = self._done / self._whole, step.weight / self._whole

        def tell(progress: Progress) -> None:
            fraction = None if progress.fraction is None else begin + share * progress.fraction
            self.meter.within(STEPS, fraction, progress)

        sink = step.sink(folder) if step.sink else None
        try:
            made = self.run(command, tell, sink.write if sink else None)
        finally:
            if sink:
                sink.close()
        self.made |= {output.target: made for output in command.outputs}
        return made

    def _call(self, step: Call) -> Sequence[Step]:
        """Do the work of the step; returns the steps that follow from what it left."""
        self.cancellation.check()
        begin, share = self._done / self._whole, step.weight / self._whole
        bench = AttemptBench(
            folder=self.workspace.folder,
            cancellation=self.cancellation,
            deadline=Deadline.after(step.deadline_s or self.installation.settings.job_timeout_s),
            installation=self.installation,
            recorder=self.recorder,
            on_progress=lambda done: self.meter.within(STEPS, None if done is None else begin + share * done),
        )
        bench.check()
        with closing(bench):
            step.work(bench)
        bench.check()  # work that never called `check` may be late or cancelled too
        self._done += step.weight
        further = step.then(self.workspace.folder) if step.then else ()
        self._whole += sum(each.weight for each in further)
        return further
