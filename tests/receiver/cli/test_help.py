"""What `--help` prints, in a terminal of 80 columns."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.cli.command import Command

GROUPS = ["", "batches", "inbox", "notices", "submissions", "webhooks"]


def all_commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from all_commands(command, (*words, name))
        else:
            yield *words, name


COMMANDS = list(all_commands(main))


def find(words: tuple[str, ...]) -> Command:
    command: click.Command | None = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert isinstance(command, Command)
    return command


def read_help(*words: str) -> str:
    result = CliRunner().invoke(main, [*words, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("group", GROUPS)
def test_summaries_are_whole(group: str) -> None:
    text = read_help(*group.split())
    assert "Commands:" in text
    assert "..." not in text.partition("Commands:")[2].partition("\n\n")[0]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_is_plain_text(words: tuple[str, ...]) -> None:
    text = read_help(*words)
    assert "](" not in text
    assert f"\nExamples:\n  gemini-batch-receiver {' '.join(words)}" in text


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_examples_can_be_run(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command takes the arguments; whatever is wrong with them raises UsageError."""
    monkeypatch.chdir(tmp_path)
    for name in ("requests.jsonl", "texts.jsonl", "reviews.csv", "prompt.j2", "mood.json"):
        Path(name).touch()
    command = find(words)
    assert command.examples
    for example in command.examples:
        command.make_context(words[-1], shlex.split(example))


def test_project_of_submit_is_where_it_sends() -> None:
    assert "Send to this Gemini project" in " ".join(read_help("batches", "submit").split())


def test_settings_are_a_list() -> None:
    result = CliRunner().invoke(main, ["settings"], env={"COLUMNS": "80"})
    lines = result.stdout.splitlines()
    assert "](" not in result.stdout
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if "LOG_LEVEL" in line).split()[1] == "DEBUG,"


def test_help_of_the_program_fits_a_screen() -> None:
    assert len(read_help().splitlines()) <= 40
