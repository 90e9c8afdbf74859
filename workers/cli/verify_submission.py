"""`submissions verify`: checks submissions that have ended."""

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.progress import show_progress
from receiver.cli.projects import project_option
from receiver.cli.submissions.lookup import complete_submission, find_submissions
from receiver.outputs.proof_keys import PublicKey
from receiver.outputs.wording import count_of
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.submission import Submission
from workers.cli.verify import EXAMPLE_KEY, public_key_option, scratch_to_compare
from workers.submissions.verify_submission import verify_submission
from workers.verification.findings import SubmissionReport, VerifyOptions


@command("verify", "evening", f"evening --public-key {EXAMPLE_KEY}", "evening --records-only")
@click.argument(
    "submissions",
    metavar="SUBMISSION...",
    nargs=-1,
    required=True,
    shell_complete=complete_submission,
)
@public_key_option
@click.option(
    "--records-only",
    is_flag=True,
    help="Leave out the answers' own bytes: check what is recorded of them.",
)
@project_option
@json_option("a JSON list of reports")
@click.pass_context
def verify(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    submissions: tuple[str, ...],
    *,
    public_keys: tuple[PublicKey, ...],
    records_only: bool,
    label: str | None,
    as_json: bool,
) -> None:
    """Check submissions that have ended again, from the storage alone.

    The outcome of every request is found again in the batches, the books are added up again, and
    each batch is checked as `verify` does. Exit code 0 when all are proven, 1 when something is
    wrong. Each wrong thing is named, and so is what could not be checked.
    """
    settings = load_settings()
    storage = open_storage(settings.storage_url)
    reports = []
    for submission in find_submissions(storage, submissions, label):
        report = _verify(settings, storage, submission, public_keys, with_batches=not records_only)
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        rows = [{"proven": not one.off} | msgspec.to_builtins(one) for one in reports]
        click.echo(msgspec.json.encode(rows))
    if any(report.off for report in reports):
        ctx.exit(1)


def _verify(
    settings: Settings,
    storage: Storage,
    submission: Submission,
    public_keys: tuple[PublicKey, ...],
    *,
    with_batches: bool,
) -> SubmissionReport:
    label = f"proving {printable(submission.spec.display_name)}"
    with scratch_to_compare(settings) as folder, show_progress(label, "objects") as bar:

        def on_progress(objects: int, _whole: int) -> None:
            bar.advance(objects)

        schema = settings.response_schema
        options = VerifyOptions(settings.prices, public_keys, schema, on_progress)
        return verify_submission(storage, submission.id, folder, options, with_batches=with_batches)


def _print(report: SubmissionReport) -> None:
    for finding in report.findings:
        click.echo(printable(str(finding)))
    if report.off:
        unnamed = report.off - len(report.findings)
        rest = f", {unnamed:,} of them not named" if unnamed else ""
        off = count_of(report.off, "thing is", "things are")
        click.echo(f"{report.submission}: {off} off{rest}")
    else:
        requests = count_of(report.requests, "request", "requests")
        batches = count_of(report.batch_count, "batch", "batches")
        signer = f", signed by {report.signed_by}" if report.signed_by else ""
        click.echo(f"{report.submission}: proven: {requests} in {batches}{signer}")
    for note in report.notes:
        click.echo(printable(f"{report.submission}: not checked: {note}"))
