"""`init`: asks for the settings that a start needs, tries them, and writes them into `.env`."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from receiver.cli.command import command
from receiver.cli.env_file import loaded_environment, shell_command, shell_secret_option
from receiver.cli.init_questions import BASE_URL, Question, find_base_url, plan_questions
from receiver.errors import EnvFileError, ReceiverError, SettingsError
from receiver.settings.dotenv_loading import Loaded
from receiver.settings.env_example import make_example
from receiver.settings.env_files import (
    find_values,
    put_values,
    read_env_file,
    require_writable,
    write_env_file,
)

HEADING = b"# Settings; `gemini-batch-receiver init --example` prints all there are.\n"


@command("init", "", "--api-key - --storage-url s3://bucket/answers")
@click.option("--api-key", metavar="KEY", help="Key of the Gemini project; - reads it from stdin.")
@click.option("--redis-url", metavar="URL", help="Where Redis is; empty for the Valkey of `up`.")
@click.option("--storage-url", metavar="URL", help="Where answers go, such as file:outputs.")
@click.option("--public-url", metavar="URL", help="The https address that Gemini reaches, if any.")
@click.option("--replace", is_flag=True, help="Write over other values that the file has already.")
@click.option("--no-checks", is_flag=True, help="Ask neither Gemini nor Redis nor the storage.")
@click.option("--example", is_flag=True, help="Print an env file with every setting, and end.")
def init(  # noqa: PLR0913 - one parameter an option
    *,
    api_key: str | None,
    redis_url: str | None,
    storage_url: str | None,
    public_url: str | None,
    replace: bool,
    no_checks: bool,
    example: bool,
) -> None:
    """Ask for the settings of a first start, and write .env.

    Each answer is tried. On a terminal it asks for what no option gives; elsewhere what is in the
    file stays, and the rest has its default. GEMINI_BASE_URL is written as it is set. The file
    becomes readable for its owner alone, and its other lines stay as they are. A value that is
    there is replaced only after a yes, or with --replace.
    """
    if example:
        click.echo(make_example(), nl=False)
        return
    if api_key == "-":
        api_key = sys.stdin.readline().strip()
    given = {
        "--api-key": api_key,
        "--redis-url": redis_url,
        "--storage-url": storage_url,
        "--public-url": public_url,
    }
    loaded = loaded_environment(may_be_absent=True)
    file = _require_file(loaded)
    held = _read_held(file)
    others = _find_others(file)
    asker = _Asker(file, held, others, given, is_checked=not no_checks, may_replace=replace)
    asker.require_options()
    base_url = held.get(BASE_URL) or find_base_url()
    answers = {question.variable: asker.answer(question) for question in asker.questions}
    if base_url:
        answers[BASE_URL] = base_url
    changes = {name: value for name, value in answers.items() if value != held.get(name, "")}
    _write(file, changes)
    click.echo(f"{file}: {', '.join(changes) or 'nothing'} written, readable for you alone")
    _warn_of_others(loaded, answers)
    _name_next_commands(file, is_public=bool(answers["PUBLIC_URL"]))


def _require_file(loaded: Loaded) -> Path:
    if loaded.file is None:
        hint = "leave `--env-file none` and RECEIVER_ENV_FILE out"
        raise click.UsageError(f"there is no file to write: {hint}")
    require_writable(loaded.file)
    return loaded.file


def _read_held(file: Path) -> Mapping[str, str]:
    """What the file sets our variables to. Raises EnvFileError where it is not clear."""
    data, held = read_env_file(file), dict[str, str]()
    for name in (*(question.variable for question in plan_questions()), BASE_URL):
        values = [value for value, _ in find_values(data, name)]
        if len(values) > 1:
            raise EnvFileError(f"{file} sets {name} {len(values)} times: leave one line of it")
        if values:
            held[name] = values[0]
    return held


def _find_others(file: Path) -> Mapping[str, str]:
    """The other variables by which the file answers a question, by the question's own."""
    data, found = read_env_file(file), dict[str, str]()
    for question in plan_questions():
        for name in question.other_variables:
            if any(value.strip() for value, _ in find_values(data, name)):
                found.setdefault(question.variable, name)
    return found


@dataclass(frozen=True)
class _Asker:
    """Finds an answer to each question: from an option, a person, the file, or by default."""

    file: Path
    held: Mapping[str, str]
    others: Mapping[str, str]  # what the file sets in place of a question's variable
    given: Mapping[str, str | None]  # by option
    is_checked: bool
    may_replace: bool

    @property
    def questions(self) -> tuple[Question, ...]:
        return plan_questions()

    def require_options(self) -> None:
        """Without a terminal there must be an answer to everything before anything is tried.

        None may be for what the file answers by another variable: both would contradict each other.
        """
        for one in self.questions:
            if (other := self.others.get(one.variable)) and self.given[one.option] is not None:
                raise click.UsageError(
                    f"{self.file} sets {other} in place of {one.variable}: change it there, or take"
                    f" that line out, or leave {one.option} out"
                )
        if sys.stdin.isatty():
            return
        required = [one for one in self.questions if one.default is None]
        missing = [one.option for one in required if not self._known(one)]
        if missing:
            others = ", ".join(one.option for one in self.questions if one.option not in missing)
            said = f"there is no terminal to ask on: give {', '.join(missing)}"
            raise click.UsageError(f"{said}; the others have defaults ({others})")

    def answer(self, question: Question) -> str:
        """Raises ClickException where an answer can't be had or used."""
        if question.variable in self.others:
            return self.held.get(question.variable, "")
        given = self.given[question.option]
        if given is not None:
            self._try(question, given)
            self._confirm(question, given)
            return given
        if sys.stdin.isatty():
            return self._ask(question)
        answer = self._known(question) or question.default or ""
        self._try(question, answer)
        return answer

    def _known(self, question: Question) -> str:
        held = self.held.get(question.variable) or self.others.get(question.variable, "")
        return self.given[question.option] or held

    def _ask(self, question: Question) -> str:
        held = self.held.get(question.variable, "")
        default = held or question.default
        hint = f" (Enter keeps that of {self.file.name})" if held and question.is_secret else ""
        while True:
            unseen = ", not shown as you type" if question.is_secret else ""
            answer: str = click.prompt(
                question.text + unseen + hint,
                default=default,
                hide_input=question.is_secret,
                show_default=bool(default) and not question.is_secret,
                err=True,
            ).strip()
            try:
                self._require_form(question, answer)
            except click.ClickException as error:
                click.echo(f"  {error.message}", err=True)
                continue
            try:
                self._require_use(question, answer)
            except click.ClickException as error:
                click.echo(f"  {error.message}", err=True)
                if not click.confirm("  Take it all the same?", default=False, err=True):
                    continue
            return answer

    def _try(self, question: Question, answer: str) -> None:
        self._require_form(question, answer)
        self._require_use(question, answer)

    @staticmethod
    def _require_form(question: Question, answer: str) -> None:
        if answer or question.default is None:
            try:
                question.parse(answer)
            except (ValueError, ReceiverError) as error:
                raise _describe_fault(question, error) from error

    def _require_use(self, question: Question, answer: str) -> None:
        if answer and question.check is not None and self.is_checked:
            try:
                question.check(answer)
            except ReceiverError as error:
                raise _describe_fault(question, error) from error

    def _confirm(self, question: Question, answer: str) -> None:
        held = self.held.get(question.variable, "")
        if self.may_replace or held in {"", answer}:
            return
        said = f"{self.file} sets {question.variable} to something else already"
        if not sys.stdin.isatty():
            hint = f"give --replace to write over it, or leave {question.option} out"
            raise click.ClickException(f"{said}: {hint}")
        click.confirm(f"{said}: write over it?", abort=True, err=True)


def _describe_fault(question: Question, error: Exception) -> click.ClickException:
    is_named = isinstance(error, SettingsError)  # which names the variable that is wrong
    return click.ClickException(str(error) if is_named else f"{question.variable}: {error}")


def _write(file: Path, changes: Mapping[str, str]) -> None:
    data = read_env_file(file)
    if changes or not data:
        write_env_file(file, put_values(data or HEADING, changes))


def _warn_of_others(loaded: Loaded, answers: Mapping[str, str]) -> None:
    """The environment wins over the file that was just written."""
    for name in sorted(answers.keys() - loaded.of_file - loaded.of_up):
        if os.environ.get(name, answers[name]) != answers[name]:
            click.echo(f"{name} is set in the environment too, and that value counts", err=True)


def _name_next_commands(file: Path, *, is_public: bool) -> None:
    command = shell_command(file)
    click.echo("Next:")
    click.echo(f"  {command} up")
    click.echo(f"  {command} doctor")
    if is_public:
        click.echo(f"  {command} webhooks create{shell_secret_option(file)}")
        click.echo("    (in another terminal; then start `up` again)")
    else:
        click.echo(f"  {command} init --public-url https://YOUR-HOST   # once Gemini can reach it")
