"""`batches delete`: frees space at Gemini."""

import sys
from collections.abc import Mapping, Sequence

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.batch_lookup import complete_batch, find_batches
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.projects import project_option, projects_of
from receiver.errors import ReceiverError
from receiver.gemini.project_client import open_clients
from receiver.outputs.wording import count_of
from receiver.recovery.batch_deletion import BatchDeleter, Deletion
from receiver.storage import open_storage


class DeleteResult(msgspec.Struct, frozen=True):
    """What became of one batch."""

    batch: str
    deleted: bool  # at Gemini
    input_file: str | None  # deleted with it
    said: str


@command("delete", "batches/abc", "batches/abc batches/def --yes")
@click.argument("names", metavar="BATCH...", nargs=-1, required=True, shell_complete=complete_batch)
@project_option
@click.option("--yes", is_flag=True, help="Really do it, without asking.")
@click.option("--force", is_flag=True, help="Also delete batches whose counts don't add up.")
@json_option("a JSON list")
@click.pass_context
def delete_command(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    label: str | None,
    yes: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Delete stored batches and their inputs at Gemini.

    The storage keeps everything. Exit code 1 when a batch was not deleted: it is not stored, its
    counts don't add up, or Gemini failed.
    """
    settings = load_settings()
    wanted = find_batches(settings, names, label, ask_gemini="always")
    storage = open_storage(settings.storage_url)
    with open_clients(settings, projects_of(settings, wanted)) as projects:
        deleters = {name: BatchDeleter(one, storage) for name, one in projects.items()}
        deletions = [
            _plan(deleters[BatchName.read(name).project], name, force=force) for name in wanted
        ]
        if not yes:
            _ask([one for one in deletions if not one.refusal and one.is_listed])
        answers = [_delete(deleters, deletion) for deletion in deletions]
    _print(answers, as_json=as_json)
    if not all(one.deleted for one in answers):
        ctx.exit(1)


def _plan(deleter: BatchDeleter, name: str, *, force: bool) -> Deletion:
    try:
        return deleter.plan(name, force=force)
    except ReceiverError as error:
        return Deletion(name, refusal=str(error))


def _ask(deletions: Sequence[Deletion]) -> None:
    """Ask for confirmation. Raises UsageError where nobody can answer, and Abort on a no."""
    if not deletions:
        return
    inputs = {one.input.name for one in deletions if one.input}
    batches = count_of(len(deletions), "batch", "batches")
    what = f"{batches} and {count_of(len(inputs), 'input file', 'input files')} at Gemini"
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would delete {what}: add --yes to do it")
    click.confirm(f"Delete {what}?", abort=True, err=True)


def _delete(deleters: Mapping[str, BatchDeleter], deletion: Deletion) -> DeleteResult:
    refusal = deletion.refusal
    if not refusal:
        try:
            deleters[BatchName.read(deletion.batch).project].delete(deletion)
        except ReceiverError as error:
            refusal = str(error)
    if refusal:
        said = f"not deleted: {refusal}"
        return DeleteResult(deletion.batch, deleted=False, input_file=None, said=said)

    input_file = deletion.input.name if deletion.input else None
    said = _describe(deletion)
    return DeleteResult(deletion.batch, deleted=True, input_file=input_file, said=said)


def _describe(deletion: Deletion) -> str:
    if not deletion.is_listed:
        return "it was deleted before"
    if deletion.kept_input:
        return f"deleted; its input stays: {deletion.kept_input}"
    file = deletion.input
    if file is None:
        return "deleted"
    size = f" ({file.size_bytes:,} bytes)" if file.size_bytes is not None else ""
    return f"deleted, with its input {file.name}{size}"


def _print(answers: Sequence[DeleteResult], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(answers))
    else:
        for one in answers:
            click.echo(f"{one.batch}: {printable(one.said)}", err=not one.deleted)
    if any(one.deleted for one in answers):
        click.echo(
            "result files can't be deleted: Gemini deletes them itself, and does not say when",
            err=True,
        )
