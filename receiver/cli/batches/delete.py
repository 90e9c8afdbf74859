"""`batches delete`: makes room at Gemini, of what is stored."""

import sys
from collections.abc import Mapping, Sequence

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.command import command, load_settings
from receiver.cli.completion import complete_batch
from receiver.cli.printable import printable
from receiver.cli.projects import project_option, projects_of, read_name
from receiver.errors import ReceiverError
from receiver.gemini.project_client import open_each
from receiver.recovery.batch_deletion import BatchDeleter, Deletion
from receiver.storage import open_storage


class DeleteResult(msgspec.Struct, frozen=True):
    """What became of one batch."""

    batch: str
    deleted: bool  # Gemini does not have it any more
    input_file: str | None  # that was deleted with it
    said: str


@command("delete")
@click.argument("names", metavar="BATCH...", nargs=-1, required=True, shell_complete=complete_batch)
@project_option
@click.option("--yes", is_flag=True, help="Really do it, without a question.")
@click.option("--force", is_flag=True, help="Delete stored batches whose counts don't add up, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of words.")
@click.pass_context
def delete_command(  # noqa: PLR0913 - one parameter an option
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    label: str | None,
    yes: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Delete stored batches at Gemini, with the input files that were uploaded for them. The storage keeps everything.

    Exit code 1 when one was not deleted: it is not stored, its counts don't add up, or Gemini failed.
    """
    settings = load_settings()
    wanted = list(dict.fromkeys(read_name(settings, name, label) for name in names))
    storage = open_storage(settings.storage_url)
    with open_each(settings, projects_of(settings, wanted)) as projects:
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
    """Ask a person; where nobody can answer, refuse. Raises UsageError or Abort."""
    if not deletions:
        return
    inputs = {one.input.name for one in deletions if one.input}
    what = f"{len(deletions)} batch(es) and {len(inputs)} input file(s) at Gemini"
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
        return DeleteResult(
            deletion.batch, deleted=False, input_file=None, said=f"not deleted: {refusal}"
        )
    file = deletion.input
    return DeleteResult(
        deletion.batch,
        deleted=True,
        input_file=file.name if file else None,
        said=_describe(deletion),
    )


def _describe(deletion: Deletion) -> str:
    if not deletion.is_listed:
        return "Gemini has it no more"
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
            "result files can't be deleted: Gemini drops them by itself, and does not say when",
            err=True,
        )
