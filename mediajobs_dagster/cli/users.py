"""`mediajobs user`: who may log in to the console, and in which role."""

from __future__ import annotations

import sys

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history.users import Role, User
from mediajobs_dagster.system import MediaJobs

_ROLES = click.Choice([role.value for role in Role])
_LONGEST_LINE = 10_000


@click.group(short_help="Who may log in to the console, and in which role.")
def user() -> None:
    """Who may log in to the console, and in which role: a viewer sees everything, an operator does everything.

    A password is asked for, or read as one line from standard input. What is changed here holds at once, for consoles
    that are running too, and is listed by `mediajobs actions list`.
    """


@user.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, default=Role.VIEWER.value, show_default=True, help="What the user may do.")
@click.option("--no-password", is_flag=True, help="The user comes by a trusted proxy, which asks for the password.")
@display.json_option
@click.pass_obj
def add_user(media: MediaJobs, name: str, role: str, no_password: bool, as_json: bool) -> None:
    """Add the user NAME."""
    users = media.users
    users.check_new(name)  # before a password is typed in vain
    password = None if no_password else _new_password()
    _print_one(users.add(name, Role(role), password), as_json)


@user.command("list")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_users(media: MediaJobs, verbose: bool, as_json: bool) -> None:
    """List all users."""
    found = media.users.list()
    if as_json:
        display.print_json(found)
    elif found:
        _print(found, whole=verbose)
    else:
        display.console().print("There is no user. Add one: mediajobs user add NAME --role operator")


@user.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
@display.json_option
@click.pass_obj
def set_role(media: MediaJobs, name: str, role: str, as_json: bool) -> None:
    """Give the user NAME another role, from the next request on."""
    _print_one(media.users.set_role(name, Role(role)), as_json)


@user.command("password")
@click.argument("name")
@display.json_option
@click.pass_obj
def set_password(media: MediaJobs, name: str, as_json: bool) -> None:
    """Give the user NAME another password. All logins of the user end."""
    media.users.get(name)
    _print_one(media.users.set_password(name, _new_password()), as_json)


@user.command("disable")
@click.argument("name")
@display.json_option
@click.pass_obj
def disable_user(media: MediaJobs, name: str, as_json: bool) -> None:
    """Keep the user NAME out: logins end, and tokens of the user are good for nothing."""
    _print_one(media.users.disable(name), as_json)


@user.command("enable")
@click.argument("name")
@display.json_option
@click.pass_obj
def enable_user(media: MediaJobs, name: str, as_json: bool) -> None:
    """Let the user NAME in again."""
    _print_one(media.users.enable(name), as_json)


@user.command("remove")
@click.argument("name")
@display.json_option
@click.pass_obj
def remove_user(media: MediaJobs, name: str, as_json: bool) -> None:
    """Remove the user NAME: logins end, and tokens of the user are revoked. What the user did stays on record."""
    media.users.remove(name)
    if as_json:
        display.print_json({"name": name, "removed": True})
    else:
        display.console().print(f"{name} is removed.", markup=False)


def _new_password() -> str:
    """From the terminal, typed twice; else the first line of standard input. Never an argument: others see those."""
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    line = sys.stdin.readline(_LONGEST_LINE).removesuffix("\n").removesuffix("\r")
    if not line:
        raise RequestError("There is no password on standard input. Send it as one line.")
    return line


def _print_one(found: User, as_json: bool) -> None:
    if as_json:
        display.print_json(found)
    else:
        _print([found], whole=False)


def _print(found: list[User], *, whole: bool) -> None:
    columns = ("Name", "Role", "May log in", Column("Added (UTC)", rank=1), Column("Password of (UTC)", rank=2))
    rows = [(each.name, each.role.value, _state_of(each), each.created_at, each.password_changed_at) for each in found]
    display.console().print(display.table(columns, rows, whole=whole))


def _state_of(found: User) -> str:
    if not found.is_enabled:
        return "no"
    return "yes" if found.password_hash else "by a proxy"
