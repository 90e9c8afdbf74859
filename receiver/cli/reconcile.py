"""`reconcile`: one reconcile run, now."""

from collections.abc import Sequence

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.progress import show_progress
from receiver.cli.projects import choose_projects, end_with, go_through, project_option
from receiver.cli.replay import NEXT, join_counts, print_unclear
from receiver.inbox.redis import connect
from receiver.recovery.reconcile import ReconcileReport
from receiver.recovery.replay import add_counts
from receiver.recovery.scheduler import reconcile_project
from receiver.settings.projects import Project
from receiver.settings.settings import Settings


@command("reconcile", "", "--project acme")
@click.option(
    "--if-due",
    is_flag=True,
    help="Do nothing when the last run is younger than RECONCILE_INTERVAL_S.",
)
@project_option
@json_option("a JSON object")
@click.pass_context
def reconcile_command(
    ctx: click.Context, *, if_due: bool, label: str | None, as_json: bool
) -> None:
    """Search Gemini's lists for missed batches now.

    The web process and the workers do the same on a schedule, but leave what has just ended to its
    webhook. It queues what ended since the last
    complete run and is not stored, and what was buried for an outage that is over. Exit code 1 when
    Gemini, the storage or Redis failed, when a batch was not shown or can't be read, or when
    another process makes a run right now.
    """
    reports, failures = _reconcile(load_settings(), label, if_due=if_due)
    report = _add_reports([one for one in reports if one is not None])
    if reports:
        _print(report, as_json=as_json)
    end_with(failures)
    if report is not None and report.counts.unclear:
        ctx.exit(1)


def _reconcile(
    settings: Settings, label: str | None, *, if_due: bool
) -> tuple[list[ReconcileReport | None], list[str]]:
    projects = choose_projects(settings, label)
    with connect(settings.redis_url) as client:

        def reconcile(project: Project) -> ReconcileReport | None:
            if if_due:  # stderr is the log of whoever has the schedule
                return reconcile_project(settings, project, client, force=False)
            with show_progress(f"reading {project.label}", "batches") as bar:
                return reconcile_project(
                    settings, project, client, force=True, on_progress=bar.advance
                )

        return go_through(projects, reconcile)


def _add_reports(reports: Sequence[ReconcileReport]) -> ReconcileReport | None:
    """What was seen of all projects; None where no run was due."""
    if not reports:
        return None
    return ReconcileReport(
        counts=add_counts(report.counts for report in reports),
        missed=[name for report in reports for name in report.missed],
        expiring=[name for report in reports for name in report.expiring],
        reopened=[name for report in reports for name in report.reopened],
    )


def _print(report: ReconcileReport | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(report))
    elif report is None:
        click.echo("not due yet")
    else:
        _describe(report)


def _describe(report: ReconcileReport) -> None:
    counts = report.counts
    for name in report.missed:
        click.echo(f"missed {name}", err=True)
    for name in report.reopened:
        click.echo(f"opened again {name}", err=True)
    for name in report.expiring:
        click.echo(f"its results may be gone soon: {name}", err=True)
    print_unclear(counts)
    extra = join_counts(
        (counts.pending, "already queued"),
        (counts.buried, "buried before"),
        (counts.young, "left for their webhooks"),
        (counts.unfinished, "not finished"),
        (len(counts.unclear), "unclear"),
    )
    summary = f"{counts.found} found, {counts.stored} already stored, {len(counts.queued)} queued"
    click.echo(f"{summary}, {len(report.missed)} missed{extra}")
    if counts.queued:
        click.echo(NEXT, err=True)
