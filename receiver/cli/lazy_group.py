"""A group that imports a command when it is needed: each start and each Tab loads only one."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group of commands named by where they are, as `module:attribute`.

    `settings` names a function, in the same way, that gives the rows for the end of the help.
    """

    def __init__(
        self,
        name: str,
        lazy: Mapping[str, "str | LazyGroup"],
        *,
        settings: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.lazy = lazy
        self.settings = settings

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click gives it
        """The names of all commands but the hidden groups, which are former names."""
        return sorted(
            name
            for name, target in self.lazy.items()
            if isinstance(target, str) or not target.hidden
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        target = self.lazy.get(cmd_name)
        if not isinstance(target, str):
            return target
        command: click.Command = _load(target)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names without help texts, for which every command would have to be loaded."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name) for name in self.list_commands(ctx) if name.startswith(incomplete)
        ] + options

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.settings is not None:
            with formatter.section("Settings, which come from the environment, else from .env"):
                formatter.write_dl(_load(self.settings)(), col_max=28)
        super().format_epilog(ctx, formatter)


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
