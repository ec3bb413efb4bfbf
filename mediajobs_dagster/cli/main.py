"""The command, its sub-commands, and the edge at which every error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys

import click
from rich.console import Console

from mediajobs_dagster import __version__
from mediajobs_dagster.cli.add import add
from mediajobs_dagster.cli.attempt import attempt
from mediajobs_dagster.cli.demo import demo
from mediajobs_dagster.cli.doctor import doctor
from mediajobs_dagster.cli.export import export
from mediajobs_dagster.cli.history import history
from mediajobs_dagster.cli.jobs import jobs
from mediajobs_dagster.cli.serve import code_server, daemon, web
from mediajobs_dagster.cli.up import up
from mediajobs_dagster.cli.work import work
from mediajobs_dagster.cli.worker import worker
from mediajobs_dagster.errors import MediaJobsError, RequestError
from mediajobs_dagster.system import MediaJobs

FAILED = 1
"""The command ran, and something failed."""
REFUSED = 2
"""The command could not be carried out as it was given."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mediajobs")
@click.pass_context
def commands(context: click.Context) -> None:
    """Run a video product's media jobs on Dagster, and see why each of them did what it did.

    \b
    A first look:    mediajobs demo
    Your own video:  mediajobs add some.mp4, then mediajobs work
    What happened:   mediajobs jobs list, then mediajobs jobs show ID

    Settings are environment variables that start with MEDIAJOBS_ (a .env file is read too); by default everything is
    kept below .mediajobs in the working folder. Exit codes: 0 done, 1 something failed, 2 the command was refused.
    """
    context.obj = context.with_resource(MediaJobs())


for command in (demo, up, add, export, work, jobs, attempt, history, doctor, code_server, daemon, web, worker):
    commands.add_command(command)


def main() -> None:
    """Run the command line."""
    try:
        # Told not to end the process itself, click returns the exit code that a command ended with; None is 0.
        sys.exit(commands(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(REFUSED)
    except (click.Abort, KeyboardInterrupt):
        _complain("Interrupted. A job that was under way is back in the queue, its attempt on record.")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has stopped, as `head` does. Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except MediaJobsError as error:
        _complain(f"[bold red]{error.code}[/]: ", error.message)
        sys.exit(REFUSED if isinstance(error, RequestError) else FAILED)


def _complain(head: str, message: str = "") -> None:
    console = Console(stderr=True, highlight=False)
    console.print(head, end="")
    console.print(message, markup=False, soft_wrap=True)  # a script that searches it must not meet our line breaks
