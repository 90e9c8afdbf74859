"""`inbox pause` and `resume`: let workers leave a whole project alone."""

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.projects import choose_projects, project_option
from receiver.inbox.paused import RESUMED_WITHIN_S, PausedProjects
from receiver.inbox.redis import connect


@command("pause", "--project acme", "")
@project_option
@json_option("a JSON list")
def pause_projects(*, label: str | None, as_json: bool) -> None:
    """Let workers take nothing more of a project until it is resumed.

    Its deliveries are accepted all the same: its batches and submissions wait. What a worker has
    at the moment is finished, and what runs at Gemini goes on there. Without --project, all
    projects are paused.
    """
    settings = load_settings()
    projects = {one.name: one.label for one in choose_projects(settings, label)}
    with connect(settings.redis_url) as client:
        changed = PausedProjects(client).pause(projects)
    if as_json:
        click.echo(msgspec.json.encode([projects[name] for name in changed]))
        return
    for name, shown in projects.items():
        resume = f"`gemini-batch-receiver inbox resume --project {shown}` goes on"
        was = "paused: workers take nothing of it" if name in changed else "it was paused before"
        click.echo(f"{shown}: {was}; {resume}")


@command("resume", "--project acme", "")
@project_option
@json_option("a JSON list")
def resume_projects(*, label: str | None, as_json: bool) -> None:
    """Let workers go on with a project that was paused.

    Without --project, all projects are resumed.
    """
    settings = load_settings()
    projects = {one.name: one.label for one in choose_projects(settings, label)}
    with connect(settings.redis_url) as client:
        changed = PausedProjects(client).resume(projects)
    if as_json:
        click.echo(msgspec.json.encode([projects[name] for name in changed]))
        return
    for name, shown in projects.items():
        goes_on = f"resumed: workers take what is due within {RESUMED_WITHIN_S} seconds"
        click.echo(f"{shown}: {goes_on if name in changed else 'it was not paused'}")
