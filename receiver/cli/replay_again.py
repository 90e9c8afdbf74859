"""`replay --again`: the way back from a wrong answer that was stored, or from a bucket that lost an object."""

from collections.abc import Sequence

import click
import msgspec

from receiver.cli.projects import end_with, go_through, names_of, projects_of
from receiver.gemini.project_client import open_batches
from receiver.inbox.redis import connect
from receiver.recovery import manual_actions
from receiver.settings.projects import Project
from receiver.settings.settings import Settings


def store_again(settings: Settings, names: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    """Queue stored batches to be stored once more; exit code 1, and the reason, where Gemini has no results of one."""
    queued, failures = list[str](), list[str]()
    with connect(settings.redis_url) as client:
        for project in projects_of(settings, names):
            for name in names_of(project, names):

                def ask(project: Project, name: str = name) -> str:
                    with open_batches(settings, project) as batches:
                        manual_actions.store_again(batches, client, name, dry_run=dry_run)
                    return name

                done, failed = go_through([project], ask)
                queued += done
                failures += failed
    if as_json:
        click.echo(msgspec.json.encode({"queued": queued}))
    else:
        for name in queued:
            click.echo(f"{'would queue' if dry_run else 'queued'} {name} to be stored again")
    end_with(failures)
