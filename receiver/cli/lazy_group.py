"""A group that imports a command when it is needed: each start and each Tab loads only one."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

Words = tuple[str, ...]  # a command as it is typed, without the program's name


class LazyGroup(click.Group):
    """A group of commands named by where they are, as `module:attribute`."""

    def __init__(
        self,
        name: str,
        lazy: Mapping[str, "str | LazyGroup"],
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.lazy = lazy

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            root = ctx.find_root()
            if not isinstance(root.command, LazyGroup):
                raise
            group = ctx.command_path.removeprefix(root.command_path).split()
            hint = _suggest(root.command, tuple(group), args)
            raise click.NoSuchCommand(args[0], error.message + hint, ctx=ctx) from None

    def paths(self) -> Iterator[Words]:
        """The words of every group and command below that is not hidden."""
        for name, target in self.lazy.items():
            if isinstance(target, str):
                yield (name,)
            elif not target.hidden:
                yield (name,)
                yield from ((name, *words) for words in target.paths())


def _suggest(root: LazyGroup, group: Words, words: Sequence[str]) -> str:
    """What may be meant by words that begin with an unknown command of the group."""
    paths = list(root.paths())
    found = _find_similar(paths, group, words[0])
    longer = [(*path, *words[1:2]) for path in found]
    meant = [whole if whole in paths else path for whole, path in zip(longer, found, strict=True)]
    shown = [f"`{root.name} {' '.join(path)}`" for path in meant]
    return f" Did you mean {' or '.join(shown)}?" if shown else ""


def _find_similar(paths: Sequence[Words], group: Words, name: str) -> list[Words]:
    """Those of that very name in any group; else close ones in this group, else in any."""
    from difflib import get_close_matches  # noqa: PLC0415 - no other start needs it

    if same := [path for path in paths if path[-1] == name]:
        return same
    for near in ([path for path in paths if path[:-1] == group], paths):
        close = get_close_matches(name, sorted({path[-1] for path in near}))
        if close:
            return [path for path in near if path[-1] in close]
    return []


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
