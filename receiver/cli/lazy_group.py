"""A group whose commands are imported when they are asked for: each start and each Tab loads one."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group of commands named by where they are, as `module:attribute`.

    `help_epilog` names a function that writes the end of its help, in the same way.
    """

    def __init__(
        self,
        name: str,
        lazy: Mapping[str, "str | LazyGroup"],
        *,
        help_epilog: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.lazy = lazy
        self.help_epilog = help_epilog

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click gives it
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        target = self.lazy.get(cmd_name)
        if not isinstance(target, str):
            return target
        command: click.Command = _load(target)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names alone: what a command does stands in its own file, and there are twenty."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name) for name in self.list_commands(ctx) if name.startswith(incomplete)
        ] + options

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.help_epilog is not None:
            self.epilog = _load(self.help_epilog)()
        super().format_epilog(ctx, formatter)


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
