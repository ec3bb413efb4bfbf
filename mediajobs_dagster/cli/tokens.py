"""`mediajobs token`: by what programs come to the console."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.history.tokens import Scope, Token
from mediajobs_dagster.system import MediaJobs

_SCOPES = click.Choice([scope.value for scope in Scope])


@click.group(short_help="Secrets by which programs come to the console.")
def token() -> None:
    """Secrets by which programs come to the console: `Authorization: Bearer mjt_…`.

    A token for metrics reads /metrics, /metrics.json and /readyz; one of a viewer sees everything; one of an operator
    does everything. Its secret is shown once, when it is made: only a hash of it is kept.
    """


@token.command("create")
@click.argument("name")
@click.option("--scope", type=_SCOPES, default=Scope.VIEWER.value, show_default=True, help="What it is good for.")
@click.option("--days", type=click.IntRange(1, 36_500), help="For how many days; default: until it is revoked.")
@click.option("--user", metavar="USER", help="It is this user's: it can do no more, and ends with the user.")
@display.json_option
@click.pass_obj
def create_token(media: MediaJobs, name: str, scope: str, days: int | None, user: str | None, as_json: bool) -> None:
    """Make a token called NAME, and print its secret."""
    lasts = None if days is None else timedelta(days=days)
    made = media.tokens.create(name, Scope(scope), lasts=lasts, user=user)
    if as_json:
        click.echo(json.dumps(made.to_json(), indent=2))  # with the secret, which is what was asked for
        return
    # Standard output has the secret alone, so that it can be piped to where secrets are kept.
    click.echo("This is shown once. Whoever has it can do what the token is good for.", err=True)
    click.echo(made.secret)


@token.command("list")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_tokens(media: MediaJobs, verbose: bool, as_json: bool) -> None:
    """List all tokens, newest first, without their secrets."""
    found = media.tokens.list()
    if as_json:
        display.print_json(found)
    elif found:
        _print(found, whole=verbose)
    else:
        display.console().print("There is no token. Make one: mediajobs token create NAME")


@token.command("revoke")
@click.argument("token")
@display.json_option
@click.pass_obj
def revoke_token(media: MediaJobs, token: str, as_json: bool) -> None:
    """End a TOKEN for good: its id, the beginning of it, or its name."""
    revoked = media.tokens.revoke(token)
    if as_json:
        display.print_json(revoked)
    else:
        _print([revoked], whole=False)


def _print(found: list[Token], *, whole: bool) -> None:
    columns = (
        *("Id", "Name", "Good for", Column("Of", rank=3), Column("Last used (UTC)", rank=1)),
        *(Column("Ends (UTC)", rank=2), Column("Made by", rank=4)),
    )
    rows = [
        (
            *(each.id[:12], each.name, each.scope.value, each.user_name, each.last_used_at or "never"),
            *("revoked" if each.revoked_at else each.expires_at or "never", each.created_by),
        )
        for each in found
    ]
    display.console().print(display.table(columns, rows, whole=whole))
