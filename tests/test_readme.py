"""What a user meets is in the pages."""

import doctest
import tomllib
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.outputs.prices import parse_prices
from receiver.settings import env_example
from receiver.settings.env_files import parse_env
from receiver.settings.environment import Variable
from receiver.settings.settings import VARIABLES
from tests.pages import DOCS, ROOT, section, without_links

PAGE_ONE = (ROOT / "README.md").read_text()
SETTINGS = without_links(section("## Settings"))


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_setting_is_in_the_table(variable: Variable) -> None:
    assert f"| `{variable.name}` | {variable.default} | {variable.meaning} |" in SETTINGS


def test_settings_are_listed_by_a_command_that_the_help_names() -> None:
    assert "`gemini-batch-receiver settings`" in CliRunner().invoke(main, ["--help"]).output
    text = CliRunner().invoke(main, ["settings"]).output
    assert [variable.name for variable in VARIABLES if variable.name not in text] == []


def all_commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command with its words, those of groups included."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(all_commands(main))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_is_in_the_pages(name: str) -> None:
    assert f"gemini-batch-receiver {name}" in DOCS
    assert COMMANDS[name].help


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, parameter.opts[0])
        for name, command in COMMANDS.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ],
)
def test_option_is_in_the_pages(name: str, option: str) -> None:
    assert option in DOCS, f"{name} {option}"


def table_row(name: str) -> str:
    """What the table says of a command: its help's first sentence, and its options."""
    command = COMMANDS[name]
    options = [option for option in command.params if isinstance(option, click.Option)]
    shown = " ".join(f"`{option.opts[0]}`" for option in options if not option.hidden)
    return f"| `{name}` | {command.get_short_help_str(200)} | {shown} |"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_is_in_the_table(name: str) -> None:
    assert table_row(name) in section("## All commands").splitlines()


def test_table_names_no_other_command() -> None:
    rows = section("## All commands").splitlines()
    assert {row.split("`")[1] for row in rows if row.startswith("| `")} == set(COMMANDS)


def test_ci_runs_the_command_of_page_one() -> None:
    command = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest -n 4"
    assert f"\n{command}\n" in PAGE_ONE
    assert (ROOT / ".ci" / "run").read_text().endswith(f"\n{command}\n")


def test_page_one_is_short() -> None:
    assert len(PAGE_ONE.encode()) <= 10_000


def test_requirements_pin_what_runs() -> None:
    pinned = {
        line.partition("==")[0].lower() for line in (ROOT / "requirements.txt").read_text().split()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {text.partition(">")[0].partition(";")[0].strip() for text in project["dependencies"]}
    assert needed <= pinned


EXAMPLE = ROOT / ".env.example"


def test_example_environment_is_what_init_prints() -> None:
    """So that it has every setting, and no other."""
    result = CliRunner().invoke(main, ["init", "--example"])
    assert result.stdout == EXAMPLE.read_text()
    assert doctest.testmod(env_example).failed == 0


def test_example_environment_has_every_setting() -> None:
    lines = EXAMPLE.read_text().splitlines()
    stated = [line.removeprefix("# ").removesuffix("=") for line in lines if line.endswith("=")]
    assert stated == [variable.name for variable in VARIABLES]
    assert parse_env(EXAMPLE.read_bytes(), EXAMPLE) == {"GEMINI_API_KEY": ""}
    assert [line for line in lines if len(line) > 100 or "](" in line] == []


def test_env_syntax_of_the_pages_is_ours() -> None:
    text = section("### .env").partition("```sh\n")[2].partition("```")[0]
    assert parse_env(text.encode(), EXAMPLE) == {
        "GEMINI_API_KEY": "AIza…",
        "STORAGE_URL": "s3://bucket/answers",
        "OUTPUT_TEMPLATE": "{batch}/{key} (raw).json",
        "NOTIFY_URL": "https://one.example/hook https://two.example/hook",
    }


def test_price_list_in_the_pages_can_be_read() -> None:
    text = section("## Cost").partition("```json\n")[2].partition("```")[0]
    assert list(parse_prices(text.encode()).models) == [
        "gemini-3.1-pro-preview",
        "gemini-3.1-flash-lite",
    ]
