"""`batches cancel`: stops batches that run."""

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.command import command, load_settings
from receiver.cli.completion import complete_batch
from receiver.cli.projects import project_option, projects_of, read_name
from receiver.errors import ReceiverError
from receiver.gemini.project_client import ProjectClient, open_each


class CancelResult(msgspec.Struct, frozen=True):
    """What became of one batch."""

    batch: str
    stopped: bool  # it is cancelled, or Gemini was asked and has not ended it yet
    state: str | None  # as Gemini says now; None where it did not say
    said: str


@command("cancel")
@click.argument("names", metavar="BATCH...", nargs=-1, required=True, shell_complete=complete_batch)
@project_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of words.")
@click.pass_context
def cancel_command(
    ctx: click.Context, *, names: tuple[str, ...], label: str | None, as_json: bool
) -> None:
    """Cancel batches, and say what became of each. What was answered so far may still come, and is stored.

    Exit code 1 when one could not be stopped, or had ended otherwise already.
    """
    settings = load_settings()
    wanted = list(dict.fromkeys(read_name(settings, name, label) for name in names))
    with open_each(settings, projects_of(settings, wanted)) as projects:
        answers = [_cancel(projects[BatchName.read(name).project], name) for name in wanted]
    if as_json:
        click.echo(msgspec.json.encode(answers))
    else:
        for one in answers:
            click.echo(f"{one.batch}: {one.said}", err=not one.stopped)
    if not all(one.stopped for one in answers):
        ctx.exit(1)


def _cancel(batches: ProjectClient, name: str) -> CancelResult:
    try:
        before = batches.get(name)
        if before.is_terminal:
            return CancelResult(
                name,
                before.state == "CANCELLED",
                before.state,
                f"it had ended already: {before.state}",
            )
        batches.cancel(name)
        state = batches.get(name)
    except ReceiverError as error:
        return CancelResult(name, stopped=False, state=None, said=str(error))
    if not state.is_terminal:
        return CancelResult(
            name, True, state.state, f"Gemini was asked to stop it, and says {state.state} for now"
        )
    if state.state == "CANCELLED":
        return CancelResult(name, True, state.state, "cancelled")
    return CancelResult(
        name, False, state.state, f"it ended before Gemini could stop it: {state.state}"
    )
