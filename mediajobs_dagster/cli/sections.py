"""A group of commands whose help lists them by what they are for."""

from __future__ import annotations

from collections.abc import Sequence

import click


class SectionedGroup(click.Group):
    """A group that is told its commands section by section, and keeps their order in its help."""

    def __init__(self, *args: object, **options: object) -> None:
        """Take what a group takes."""
        super().__init__(*args, **options)  # pyright: ignore[reportArgumentType]
        self._sections: dict[str, Sequence[click.Command]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands below a heading of their own."""
        self._sections[title] = commands
        for command in commands:
            self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's own signature
        """Write one table a section; names are padded alike, so that the tables are read as one."""
        width = max(len(name) for name in self.commands)
        limit = formatter.width - 6 - width
        for title, commands in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{each.name:<{width}}", each.get_short_help_str(limit)) for each in commands if not each.hidden]
                )
