"""`webhooks create` and `webhooks rotate`, whose secrets Gemini shows only once."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.env_file import shell_secret_option
from receiver.cli.output import show_moment
from receiver.cli.projects import project_option, read_project
from receiver.cli.webhooks.env_secrets import find_secrets, put_secrets, refuse_secret_files
from receiver.cli.webhooks.options import Events, WebUrl, encode_webhook, plain_id
from receiver.errors import EnvFileError, GeminiError
from receiver.gemini.registered_webhooks import (
    BATCH_EVENTS,
    ENABLED,
    RegisteredWebhook,
    SigningSecret,
)
from receiver.gemini.webhook_setup import open_webhooks, wanted_webhook
from receiver.gemini.webhooks import Webhooks, is_unsure
from receiver.settings.env_files import read_env_file, require_writable, write_env_file
from receiver.settings.projects import OTHER_SECRET, SECRET, Project
from receiver.settings.web_urls import is_same_url
from receiver.verification.keys import Secret

DAY_MS = 24 * 3600 * 1000  # how long Gemini keeps an old secret
env_file_option = click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the secret to this file, such as .env, instead of printing it.",
)


@command("create", "--url https://YOUR-HOST --env-file .env")
@click.option(
    "--url",
    type=WebUrl(),
    help="Where it sends. Without a path, it gets the project's.  [default: PUBLIC_URL]",
)
@click.option(
    "--name",
    default="gemini-batch-receiver",
    show_default=True,
    help="What it is called at Gemini.",
)
@click.option(
    "--events",
    type=Events(),
    default=BATCH_EVENTS,
    help="Events that it sends, separated by commas.  [default: all of batches]",
)
@env_file_option
@project_option
@json_option("a JSON object")
def create_webhook(  # noqa: PLR0913 - one parameter per option
    *,
    url: str | None,
    name: str,
    events: tuple[str, ...],
    env_file: Path | None,
    label: str | None,
    as_json: bool,
) -> None:
    """Register the web process with Gemini.

    Gemini shows the secret that it signs deliveries with only once: it is printed on stdout, or
    written to --env-file and nowhere else. Exit code 1, and nothing is changed, when the address is
    registered already.
    """
    settings = load_settings()
    project = read_project(settings, label)
    wanted = wanted_webhook(settings, project, url)
    if wanted.url is None:
        raise click.UsageError(
            "say where the web process is: give --url https://YOUR-HOST, or set PUBLIC_URL"
        )
    keeper = _SecretKeeper(project, env_file, as_json=as_json)
    keeper.prepare()
    with open_webhooks(settings, project) as client:
        _refuse_second(client, wanted.url, wanted.option, shell_secret_option(env_file))
        try:
            webhook, secret = client.create(wanted.url, events, name)
        except GeminiError as error:
            hint = _advise_after_create(wanted.option) if is_unsure(error) else ""
            raise click.ClickException(f"{error}{hint}") from error
    keeper.keep(webhook, secret)


def _advise_after_create(option: str) -> str:
    command = "gemini-batch-receiver webhooks"
    return (
        "\nIt may be registered all the same, with a secret that nobody has."
        f" `{command} list{option}` shows it; if so, `{command} rotate` gives it a new secret."
    )


def _refuse_second(client: Webhooks, url: str, option: str, file_option: str) -> None:
    """Refuse a second webhook for one address: Gemini would send everything twice.

    The options, of the project and of the env file, are for the commands that it advises.
    """
    known = next((webhook for webhook in client.list() if is_same_url(webhook.uri, url)), None)
    if known is None:
        return
    command = "gemini-batch-receiver webhooks"
    advice = (
        f"if its secret is lost, `{command} rotate {known.id}{file_option}{option}` gives a new one"
    )
    if known.state != ENABLED:
        advice += f"; `{command} update {known.id} --state enabled{option}` switches it on"
    said = f"{url} is registered already, as {known.id} ({known.state})"
    raise click.ClickException(f"{said}: {advice}")


@command("rotate", "ID --env-file .env", "ID --immediately")
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--immediately",
    is_flag=True,
    help="End the old secrets now, if others may have seen them.",
)
@env_file_option
@project_option
@json_option("a JSON object")
def rotate_webhook(
    *, webhook_id: str, immediately: bool, env_file: Path | None, label: str | None, as_json: bool
) -> None:
    """Give a webhook a new secret.

    The old one stays valid beside it for 24 hours, unless --immediately is given.
    """
    settings = load_settings()
    project = read_project(settings, label)
    keeper = _SecretKeeper(project, env_file, as_json=as_json)
    keeper.prepare()
    with open_webhooks(settings, project) as client:
        webhook = client.get(plain_id(webhook_id))
        now_ms = int(time.time() * 1000)
        try:
            secret = client.rotate(webhook.id, immediately=immediately)
        except GeminiError as error:
            hint = "\nThere may be a new secret that nobody has. Run this again for another one."
            raise click.ClickException(f"{error}{hint if is_unsure(error) else ''}") from error
    ended = webhook.secrets if immediately else ()
    keeper.keep(webhook, secret, ended, now_ms + DAY_MS)


@dataclass(frozen=True)
class _SecretKeeper:
    """Where a new secret goes."""

    project: Project
    file: Path | None  # None: stdout
    as_json: bool

    @property
    def _names(self) -> Sequence[str]:
        return self.project.variable(SECRET), self.project.variable(OTHER_SECRET)

    def prepare(self) -> None:
        """Raises EnvFileError where the secret could not be kept, before there is one."""
        if self.file is not None:
            data = read_env_file(self.file)
            refuse_secret_files(data, self._names)
            find_secrets(data, self._names)
            require_writable(self.file)

    def keep(
        self,
        webhook: RegisteredWebhook,
        secret: Secret,
        ended: Sequence[SigningSecret] = (),
        old_end_ms: int | None = None,
    ) -> None:
        """Store or print the secret, and say what to do with it and with the old ones.

        `ended` are old ones that ended; the others end at `old_end_ms`.
        """
        failure, holds_old = None, self._holds_one_of(webhook.secrets)
        if self.file is not None:
            try:
                self._write(self.file, secret, ended)
            except EnvFileError as error:
                failure = error  # Gemini does not show the secret again, so print it
        stored = None if failure else self.file
        self._show(webhook, secret, stored)
        if failure:
            click.echo(f"Error: {failure}; the secret is on stdout instead", err=True)
        self._advise(stored, ended, old_end_ms, holds_old=holds_old)
        if failure:
            click.get_current_context().exit(1)

    def _holds_one_of(self, old: Sequence[SigningSecret]) -> bool:
        """Whether the file or the settings may hold one of them."""
        kept = list(self.project.secrets)
        if self.file is not None:
            with suppress(EnvFileError):  # writing it will say so
                kept += find_secrets(read_env_file(self.file), self._names)
        return any(one.may_be(secret) is not False for one in old for secret in kept)

    def _write(self, file: Path, secret: Secret, ended: Sequence[SigningSecret]) -> None:
        """Put the secret first in the file, and remove from it what has ended."""
        data = read_env_file(file)
        kept = [one for one in find_secrets(data, self._names) if not _is_among(one, ended)]
        write_env_file(file, put_secrets(data, self._names[0], [secret, *kept]))

    def _show(self, webhook: RegisteredWebhook, secret: Secret, stored: Path | None) -> None:
        shown = secret.show() if stored is None else None
        if self.as_json:
            about = {
                "secret": shown,
                "variable": self._names[0],
                "env_file": stored and str(stored),
            }
            document = encode_webhook(self.project, webhook)
            del document["secrets"]  # as they were before a rotation
            click.echo(msgspec.json.encode(document | about))
        else:
            click.echo(shown or f"{webhook.id}: its secret is in {stored} as {self._names[0]}")

    def _advise(
        self,
        stored: Path | None,
        ended: Sequence[SigningSecret],
        old_end_ms: int | None,
        *,
        holds_old: bool,
    ) -> None:
        variable = self._names[0]
        if stored is None:
            others = any(not _is_among(one, ended) for one in self.project.secrets)
            more = ", with a comma and the others that it holds after it" if others else ""
            click.echo(f"This secret is not shown again: set {variable} to it{more}.", err=True)
        if ended:
            remove = f": remove it from {variable}" if holds_old and stored is None else ""
            click.echo(f"The old one has ended{remove}.", err=True)
        elif old_end_ms is not None:
            remove = f": remove it from {variable} then" if holds_old else ""
            click.echo(f"The old one is valid until {show_moment(old_end_ms)}{remove}.", err=True)
        click.echo("Restart the web process, so that it knows the secret.", err=True)
        click.echo("Then `gemini-batch-receiver webhooks doctor` checks everything.", err=True)


def _is_among(secret: Secret, shown: Sequence[SigningSecret]) -> bool:
    return any(one.may_be(secret) for one in shown)
