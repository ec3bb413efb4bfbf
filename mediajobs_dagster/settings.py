"""All settings, typed. They are read once from the environment and `.env`, and passed to the code that needs them."""

from __future__ import annotations

import os
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mediajobs_dagster.errors import RequestError, SettingsError
from mediajobs_dagster.fault_lists import listed
from mediajobs_dagster.small_files import read_small

_PREFIX = "MEDIAJOBS_"
_SCHEMES = {
    "s3_endpoint_url": ("https", "http"),
    "console_url": ("https", "http"),
    "celery_url": ("redis", "rediss", "redis+socket", "unix", "sentinel"),
}
"""How the addresses among the settings may begin; those of database and storage are checked when they are opened."""
_MOST_S = 10**10
"""The longest time of any setting, seconds: three hundred years. A longer one would lead beyond the last date."""
_MAX_FILE = 1 << 20
_MOST_MIB = 1 << 40
"""In bytes it is a number that the kernel takes for a limit."""


class Settings(BaseSettings):
    """What an operator can set. A field is read from the variable `MEDIAJOBS_` + its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    home: Path = Field(
        default=Path(".mediajobs"),
        description="Folder for all data that no other setting puts elsewhere.",
    )

    database_url: str = Field(
        default="", description="SQLAlchemy URL of the history database; default: SQLite in MEDIAJOBS_HOME."
    )
    database_timeout_s: float = Field(
        default=10.0, gt=0, description="How long to wait for a lock or a connection, seconds."
    )

    storage_url: str = Field(
        default="", description="file:///folder or s3://bucket/prefix; default: a folder in MEDIAJOBS_HOME."
    )
    storage_map: Path | None = Field(
        default=None, description="What lies under which prefix, and for how long; default: the map of mediajobs."
    )
    storage_price_gb_month: float | None = Field(
        default=None,
        ge=0,
        description="Price of keeping a GB (2^30 bytes) for a month, for the cost in storage reports; default: no cost "
        "is told.",
    )
    s3_endpoint_url: str | None = Field(default=None, description="Address of an S3 server other than AWS.")
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_path_style: bool = Field(
        default=False, description="Name the bucket in the path of an address rather than in its host."
    )
    s3_access_key_id: str | None = Field(
        default=None, description="Access key; default: the SDK looks in its usual sources."
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret key that belongs to the access key."
    )
    s3_max_attempts: int = Field(default=5, ge=1, description="Tries the SDK makes at one S3 request (adaptive mode).")
    s3_timeout_s: float = Field(default=20.0, gt=0, description="Connect and read timeout of one S3 request, seconds.")

    ffmpeg_path: Path | None = Field(
        default=None, description="ffmpeg to use; default: the one on PATH, else the bundled one."
    )
    ffprobe_path: Path | None = Field(default=None, description="ffprobe to use; default as for ffmpeg.")
    ffmpeg_threads: int = Field(
        default=0, ge=0, description="Threads one ffmpeg may use; 0: as many as the worker's cores allow."
    )
    concurrency: int = Field(
        default=0, ge=0, description="Light jobs that one run works on side by side; 0: as many as suit the machine."
    )
    ffmpeg_memory_mb: int = Field(
        default=0,
        ge=0,
        le=_MOST_MIB,
        description="Memory one ffmpeg may use, MiB; 0: what its input takes by reckoning, within this machine's.",
    )
    stall_timeout_s: float = Field(
        60.0, gt=0, description="Stop an ffmpeg that made no progress for this long, seconds."
    )
    base_timeout_s: float = Field(
        default=300.0,
        gt=0,
        description="Stop an ffmpeg that runs longer than this plus what its input's size and length allow, seconds. "
        "In the light lane both are a fifth.",
    )
    job_timeout_s: float = Field(
        default=6 * 3600.0, gt=0, description="Stop an ffmpeg that runs longer than this in any case, seconds."
    )
    max_pixels: int = Field(
        default=8192 * 8192, gt=0, description="Largest declared picture (width × height) to decode."
    )
    max_media_s: float = Field(default=24 * 3600.0, gt=0, description="Longest media to work on, seconds.")
    max_output_mb: int = Field(
        default=100 * 1024, gt=0, le=_MOST_MIB, description="Largest file that an ffmpeg may write, MiB."
    )

    scratch_dir: Path | None = Field(default=None, description="Folder for working files; default: in MEDIAJOBS_HOME.")
    scratch_reserve_mb: int = Field(
        default=512, ge=0, description="Disk space to leave free on top of what a job needs, MiB."
    )
    scratch_idle_mb: int = Field(
        default=1024, ge=0, description="Most fetched sources that a worker keeps for its next attempts, MiB."
    )

    lease_s: float = Field(
        default=60.0, gt=0, description="A worker without a heartbeat for this long loses its jobs, seconds."
    )
    sweep_interval_s: float = Field(
        default=3600.0,
        ge=0,
        description="Pause between two searches of the storage for what dead workers left, seconds; 0: no search.",
    )
    max_attempts: int = Field(default=3, ge=1, description="Attempts a job gets before it is dead.")
    retry_base_s: float = Field(
        5.0, ge=0, description="First retry waits between 0 and this, seconds; doubles each time."
    )
    retry_cap_s: float = Field(
        default=300.0, ge=0, description="No retry waits longer than this, seconds, unless a service asks for more."
    )
    outage_base_s: float = Field(
        default=30.0,
        gt=0,
        description="First pause of a job after an outage, such as a full disk or a storage that is down, seconds; "
        "doubles each time.",
    )
    outage_cap_s: float = Field(default=900.0, gt=0, description="Longest pause of a job in an outage, seconds.")
    outage_limit_s: float = Field(
        default=12 * 3600.0,
        ge=0,
        description="A job is dead once an outage has lasted for so long, seconds; until then its attempts do not "
        "count. 0: an outage is as any other fault.",
    )
    breaker_failures: int = Field(
        default=3, ge=1, description="Jobs that have to fail by system or external faults to open a job type's breaker."
    )
    breaker_window_s: float = Field(default=3600.0, gt=0, description="How far back the breaker looks, seconds.")
    breaker_cooldown_s: float = Field(
        300.0, gt=0, description="How long an open breaker waits before it lets one job try."
    )

    service_connect_timeout_s: float = Field(
        default=10.0, gt=0, description="How long connecting to an outside service may take, seconds."
    )
    service_timeout_s: float = Field(
        default=60.0, gt=0, description="How long one call to an outside service may take, retries included, seconds."
    )
    service_tries: int = Field(
        default=4,
        ge=1,
        description="Tries one call makes at a busy outside service, where trying again is safe.",
    )
    service_retry_base_s: float = Field(
        default=0.5, ge=0, description="The second try of a call waits between 0 and this, seconds; doubles each time."
    )

    offers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("ffmpeg",),
        description="What this machine offers to job types, separated by commas, such as ffmpeg,speech.",
    )
    celery_url: str = Field(
        default="", description="Redis that hands runs to `mediajobs worker`, such as redis://host:6379/0."
    )
    shutdown_grace_s: float = Field(
        default=20.0, gt=0, description="How long a stopping worker may take to return its jobs to the queue, seconds."
    )

    first_day: date | None = Field(
        default=None,
        description="Day on which Dagster's partitions begin at the latest, such as 2026-03-01; default: the day of "
        "the first upload.",
    )
    web_names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names by which browsers reach the web server, beside localhost and its --host, separated by "
        "commas, such as media.example.com; with the port where it is neither 80 nor 443.",
    )

    hostname: str | None = Field(default=None, description="Name of this machine in records; default: its hostname.")
    instance_type: str | None = Field(
        default=None, description="Machine type in records; default: what the machine reports."
    )
    imds_enabled: bool = Field(
        False, description="Ask the EC2 instance metadata service (IMDSv2) for the machine type."
    )
    listeners: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Functions that return further listeners, as module:function, separated by commas."
    )
    sample_interval_s: float = Field(
        default=2.0, gt=0, description="How often a running ffmpeg's CPU and memory are sampled."
    )
    console_url: str | None = Field(
        default=None, description="Address of the console, for links from Dagster to an attempt."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_flag(cls, value: object, info: ValidationInfo) -> object:
        # Left to itself, pydantic takes True for the number 1.
        kind: object = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and (kind is int or kind is float):
            raise ValueError("Input should be a number, not true or false")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _is_sensible(cls, value: object) -> object:
        if isinstance(value, float) and abs(value) > _MOST_S:
            raise ValueError(f"Input should be {_MOST_S:,} at most")
        return value

    @field_validator("listeners", "offers", "web_names", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fill_from_home(self) -> Settings:
        # Absolute, because Dagster's processes do not all start in the folder the settings were read in.
        home = self.home.expanduser().absolute()
        derived = {
            "home": home,
            "database_url": self.database_url or f"sqlite:///{home / 'mediajobs.db'}",
            "storage_url": self.storage_url or (home / "objects").as_uri(),
            "scratch_dir": (self.scratch_dir or home / "scratch").expanduser().absolute(),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        return self

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Read the environment and `.env`; `overrides` win over both.

        Raises SettingsError, naming the variable, when a value cannot be used.
        """
        try:
            file = overrides.get("_env_file", cls.model_config.get("env_file"))
            # A folder of that name that nobody pointed at, such as a virtual environment, is no file of settings.
            is_folder = "_env_file" not in overrides and isinstance(file, str | Path) and Path(file).is_dir()
            if isinstance(file, str | Path) and Path(file).exists() and not is_folder:
                check_settings_file(Path(file))
            return cls(**overrides)  # pyright: ignore[reportArgumentType]  # values are checked by pydantic
        except ValidationError as error:
            faults = listed(
                f"MEDIAJOBS_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()
            )
            raise SettingsError(f"{faults}. Correct the environment or the .env file.") from error

    def doubts(self) -> list[str]:
        """What looks like a mistake although nothing refuses it: variables of no setting, and addresses that are none.

        One sentence each.
        """
        return [*unknown_variables(), *filter(None, map(self._doubt_of, _SCHEMES))]

    def _doubt_of(self, name: str) -> str | None:
        address, schemes = getattr(self, name), _SCHEMES[name]
        try:
            parts = urlsplit(address or "")
            is_fine = not address or (parts.scheme in schemes and bool(parts.hostname or parts.path.strip("/")))
        except ValueError:  # brackets that do not close
            is_fine = False
        return None if is_fine else f"MEDIAJOBS_{name.upper()} is no address such as {schemes[0]}://host. Correct it."

    @property
    def scratch(self) -> Path:
        """Folder for working files, always set."""
        assert self.scratch_dir is not None  # filled by the validator
        return self.scratch_dir

    @property
    def unrecorded(self) -> Path:
        """Folder for ends of attempts that the database could not take."""
        return self.home / "unrecorded"


def unknown_variables(file: Path = Path(".env")) -> list[str]:
    """A sentence for each variable `MEDIAJOBS_…` of the environment, and of `.env`, that is no setting."""
    names = [*os.environ, *(dotenv_values(file) if file.is_file() else {})]
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    return [
        f"{name} is no setting of mediajobs{_nearest(name, known)}."
        for name in dict.fromkeys(names)
        if name.upper().startswith(_PREFIX) and name.upper() not in known
    ]


def _nearest(name: str, known: list[str]) -> str:
    found = get_close_matches(name.upper(), known, n=1)
    return f"; {found[0]} is" if found else ""


def check_settings_file(path: Path) -> None:
    """Raise SettingsError unless `path` is a file that can be read at once, and is no larger than settings are."""
    try:
        read_small(path, _MAX_FILE, "settings")
    except RequestError as error:
        raise SettingsError(error.message) from error
