"""The pages of the reference."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mediajobs_dagster import __all__ as public_names
from mediajobs_dagster import errors, records
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Progress
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.plugins import JOB_TYPES, LISTENERS
from mediajobs_dagster.records import AttemptKey, Record
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tools.reference import samples
from tools.reference.commands import commands
from tools.reference.markdown import code, page, section, table
from tools.reference.schemas import fields_of, params_of
from tools.reference.source import attributes, first_paragraph, own_attributes, signature, whole_doc

_STORAGE_MAP = Path(__file__).parents[2] / "storage_map.json"


def settings() -> str:
    """Every setting."""
    intro = (
        "Each setting is an environment variable. They are read once, when a process starts; a file `.env` in the "
        "working folder is read too, and a variable of the environment wins over it. An empty value is the default. In "
        "Python each is an argument of `MediaJobs.open`, without the prefix and in small letters: `home="
        '"/data"`.\n\n[.env.example](../../.env.example) is the same list, to copy and edit.'
    )
    rows = (
        (code(f"MEDIAJOBS_{name.upper()}"), _default(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    return page("Settings", intro, table(("Variable", "Default", "Meaning"), rows))


def _default(value: object) -> str:
    if value is None or value == "" or value == ():
        return "–"
    if isinstance(value, tuple):
        return code(",".join(map(str, value)))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return code(f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else value)


# --- errors ----------------------------------------------------------------------------------------------------------


def error_page() -> str:
    """Every error, as the tree it is."""
    blames = table(("Blame", "Meaning"), ((code(each.name.lower()), each.doc) for each in own_attributes(errors.Blame)))
    intro = (
        "A failure has a code, which never changes, a blame, and says whether a further attempt can help. They stand "
        "in the manifest (`errors`), in the history (`errorCode`, `blame`) and in what the command line prints. The "
        "message of a failure says more than the meaning here: what happened, to what, and what to do.\n\n"
        "In Python each is an exception of `mediajobs_dagster.errors`; the first of a group, in bold, is "
        "the base of the others."
    )
    groups = (_error_group(kind) for kind in _groups())
    besides = (
        f"`{BREAKER_OPEN}` is the code of a history row without a job: dispatch of a job type was skipped, because its "
        "breaker is open. The row's message names the jobs that failed, and the time of the next try."
    )
    return page("Errors", intro, blames, *groups, section("Not an error of a job", besides))


def _all_errors() -> list[type[MediaJobsError]]:
    return [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, MediaJobsError)]


def _groups() -> Iterator[type[MediaJobsError]]:
    """Classes with others below them, in their order; the root stands for all that have no group of their own."""
    return (kind for kind in _all_errors() if any(kind in each.__bases__ for each in _all_errors()))


def _error_group(kind: type[MediaJobsError]) -> str:
    groups = list(_groups())
    members = [each for each in _all_errors() if each is kind or (kind in each.__bases__ and each not in groups)]
    rows = (
        (
            f"**{code(each.code)}**" if each is kind else code(each.code),
            code(each.__name__),
            each.blame.value,
            "yes" if each.retryable else "no",
            first_paragraph(each),
        )
        for each in members
    )
    return section(kind.__name__, table(("Code", "Class", "Blame", "Retryable", "What it means, and what to do"), rows))


# --- documents -------------------------------------------------------------------------------------------------------


def manifest() -> str:
    """The fields of a manifest."""
    intro = (
        "The full record of one attempt, as JSON: `mediajobs attempt ID --json` prints it. "
        "[manifest.schema.json](../manifest.schema.json) is its JSON Schema.\n\n"
        "Times are UTC. A field may be null where its type says so. A list that is capped keeps its beginning and its "
        "end, and `truncated` says how many entries are missing.\n\n"
        "Names that differ from those elsewhere, and stay because programs read them:\n\n"
        "- The stages are called `fetch` and `publish`. Their time stands in the ledger as `downloadMs` and "
        "`uploadMs`; `downloadMs` is that of the stage `check` too, which asks the storage what is there.\n"
        "- `s3Ops`, `s3BytesIn` and `s3BytesOut` cover every kind of storage, a local folder too.\n"
        "- `jobType` and `finishedAt` are `jobName` and `completedAt` in the history's row of the attempt "
        "([Attempt](json.md#attempt)), which has the columns `job_name` and `completed_at`. They are the same name "
        "and the same moment. A job, too, has a `jobType`."
    )
    return page("Manifest", intro, fields_of(Manifest))


def json_page() -> str:
    """What commands print with `--json`."""
    intro = (
        "What a command prints with `--json` is what its use case in `MediaJobs` returned, serialised: the same keys "
        "and the same values. In the examples, an entry `…` stands for all fields of a value that is described at the "
        "end of this page.\n\n"
        "A command that is refused prints its error to standard error and ends with exit code 2; one that ran, and "
        "something in it failed, ends with 1."
    )
    return page("JSON of the commands", intro, *commands(elsewhere=_in_manifest()))


def _in_manifest() -> Mapping[str, str]:
    schema: dict[str, Any] = Manifest.model_json_schema(by_alias=True, mode="serialization")
    values = [name for name, each in schema["$defs"].items() if "properties" in each]
    return dict.fromkeys(["Manifest", *values], "manifest.md")


# --- what Dagster and listeners see ----------------------------------------------------------------------------------


def job_types() -> str:
    """Every job type."""
    published = json.loads(_STORAGE_MAP.read_text())["entries"]
    intro = (
        "What can be asked for. `mediajobs add VIDEO --type NAME` asks for a job on an upload, `mediajobs export` for "
        "one on a timeline. A package of your own adds further ones "
        f"(entry point group `{JOB_TYPES}`, see [Write a job type](../how-to/write-a-job-type.md))."
    )
    return page("Job types", intro, *(_job_type(each, published) for each in Registry.standard()))


def _job_type(job_type: JobType, published: list[dict[str, Any]]) -> str:
    keys = [pattern for entry in published if entry["jobType"] == job_type.name for pattern in entry["patterns"]]
    facts = (
        ("Dagster asset", code(job_type.asset)),
        ("Subject", job_type.subject.value),
        ("Lane", job_type.lane.value),
        ("Needs", ", ".join(sorted(job_type.needs)) or "nothing"),
        ("Made without being asked for", _wanted_for(job_type)),
        ("Version", str(job_type.version)),
        ("Jobs a run", f"at most {job_type.batch_size}"),
        ("Schedule", f"`{job_type.schedule.cron}` {job_type.schedule.timezone}" if job_type.schedule else "–"),
        ("Publishes", ", ".join(map(code, keys)) or "nothing"),
    )
    return section(job_type.name, job_type.summary, table(("", ""), facts), params_of(job_type.params))


def _wanted_for(job_type: JobType) -> str:
    """Of which uploads a job is made that nobody asked for by name."""
    wanted = [name for name, upload in samples.ADDED_MEDIA.items() if job_type.wanted_for(upload)]
    return f"of {' and '.join(wanted)}" if wanted else "no"


def tag_page() -> str:
    """The tags of runs."""
    intro = "Runs are found by their tags: in the Dagster UI, filter the list of runs by `traceId=TRACE_ID`."
    constants = [each for each in own_attributes(tags) if each.name != "IMPLICIT_ASSET_JOB"]
    rows = ((code(getattr(tags, each.name)), each.doc) for each in constants)
    return page("Dagster tags", intro, table(("Tag", "Meaning"), rows))


def record_page() -> str:
    """What a listener is told."""
    intro = (
        "A listener is a function that is called with each of these, in the process and thread in which it happens "
        "(see [Listen to what happens](../how-to/listen.md)). It is plugged in by the setting "
        f"`MEDIAJOBS_LISTENERS`, by an entry point in the group `{LISTENERS}`, or by `MediaJobs.listen`. All are "
        "frozen dataclasses of "
        "`mediajobs_dagster.records`; `AttemptEnded` is one of `mediajobs_dagster.attempts.outcome`. A record has the "
        "fields of its base too."
    )
    kinds = [each for each in vars(records).values() if inspect.isclass(each) and each.__module__ == records.__name__]
    return page("Records for listeners", intro, *(_record(each) for each in (*kinds, AttemptEnded)), _progress())


def _progress() -> str:
    rows = (
        (code(each.name), code(each.type), Progress.model_fields[each.name].description or "")
        for each in own_attributes(Progress)
    )
    return section(Progress.__name__, whole_doc(Progress), table(("Field", "Type", "Meaning"), rows))


def _record(kind: type) -> str:
    own = [(code(each.name), _linked(each.type), each.doc) for each in own_attributes(kind)]
    base = kind.__bases__[0]
    below = f"Base: {base.__name__}." if issubclass(base, Record) and base is not Record else ""
    return section(kind.__name__, whole_doc(kind), below, table(("Field", "Type", "Meaning"), own) if own else "")


def _linked(annotation: str) -> str:
    """A type as it is annotated; with an address, where the type is described."""
    places = {
        "Job": "json.md",
        "NewJob": "json.md#job",
        AttemptKey.__name__: "",
        Progress.__name__: "",
        **_in_manifest(),
    }
    (found,) = re.findall(r"\b[A-Z]\w+", annotation.replace("MediaJobsError", ""))[:1] or [""]
    if found not in places:
        return code(annotation)
    address = places[found] if "#" in places[found] else f"{places[found]}#{found.lower()}"
    return f"[{code(annotation)}]({address})"


# --- Python ----------------------------------------------------------------------------------------------------------


def python() -> str:
    """The use cases, and the public names."""
    intro = (
        "`from mediajobs_dagster import MediaJobs` is the way in (see "
        "[Use MediaJobs from Python](../how-to/python.md)). The names that a program of your own may rely on "
        "are `__all__` of the package:\n\n" + ", ".join(map(code, public_names)) + "."
    )
    return page("Python", intro, section("MediaJobs", whole_doc(MediaJobs)), *_methods(MediaJobs), _seam())


def _methods(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        function: object = getattr(member, "__func__", member)  # of a class method, what it wraps
        if not name.startswith("_") and inspect.isfunction(function):
            yield section(name, f"```python\n{signature(function)}\n```", whole_doc(function), depth=3)


def _seam() -> str:
    """What a job type declares."""
    rows = ((code(each.name), code(each.type.removeprefix("ClassVar")[1:-1]), each.doc) for each in attributes(JobType))
    return section("JobType", whole_doc(JobType), table(("Attribute", "Type", "Meaning"), rows), *_methods(JobType))


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings,
    "errors.md": error_page,
    "job-types.md": job_types,
    "manifest.md": manifest,
    "json.md": json_page,
    "dagster-tags.md": tag_page,
    "records.md": record_page,
    "python.md": python,
}
"""By the name of the file."""
