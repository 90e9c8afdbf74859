"""`batches cancel`: stops batches that run."""

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.batch_lookup import complete_batch, find_batches
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.projects import project_option, projects_of
from receiver.errors import ReceiverError
from receiver.gemini.operations import TERMINAL_STATES
from receiver.gemini.project_client import ProjectClient, open_clients


class CancelResult(msgspec.Struct, frozen=True):
    """What became of one batch."""

    batch: str
    stopped: bool  # it is cancelled, or Gemini was asked and has not ended it yet
    state: str | None  # as Gemini says now; None where it did not say
    said: str


@command("cancel", "batches/abc", "evening")
@click.argument("names", metavar="BATCH...", nargs=-1, required=True, shell_complete=complete_batch)
@project_option
@json_option("a JSON list")
@click.pass_context
def cancel_command(
    ctx: click.Context, *, names: tuple[str, ...], label: str | None, as_json: bool
) -> None:
    """Cancel batches that run.

    Says what became of each. Requests that are answered already may still come, and are stored.
    Exit code 1 when a batch could not be stopped, or had ended in another way.
    """
    settings = load_settings()
    wanted = find_batches(settings, names, label, ask_gemini="always")
    with open_clients(settings, projects_of(settings, wanted)) as projects:
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
            said = f"it had ended already: {before.state}"
            return CancelResult(name, before.state == "CANCELLED", before.state, said)
        batches.cancel(name)
        state = batches.get(name).state
    except ReceiverError as error:
        return CancelResult(name, stopped=False, state=None, said=str(error))

    match state:
        case "CANCELLED":
            return CancelResult(name, stopped=True, state=state, said="cancelled")
        case _ if state in TERMINAL_STATES:
            said = f"it ended before Gemini could stop it: {state}"
            return CancelResult(name, stopped=False, state=state, said=said)
        case _:
            said = f"Gemini was asked to stop it, and says {state} for now"
            return CancelResult(name, stopped=True, state=state, said=said)
