"""Writes the table of a submission to where `--export` says, before the manifest ends it."""

from receiver.rows.export_target import ExportTarget
from receiver.rows.keeping import read_rows_record
from receiver.submissions.proof import SubmissionManifest
from workers.export.export import ExportJob
from workers.export.filters import OutcomeFilter
from workers.submissions.context import AdvanceContext
from workers.submissions.part_results import Reading


def export_table(context: AdvanceContext, reading: Reading, manifest: SubmissionManifest) -> None:
    """Write it anew, whatever an earlier round left; `manifest` is the one that is to come.

    Raises StorageError, with which it waits for the place to come back, ExportError, and what
    `context.check` raises.
    """
    if manifest.policy.export is None:
        return
    target = ExportTarget.parse(manifest.policy.export)
    scratch = reading.scratch / "export"
    scratch.mkdir()
    proven = {one.name: one.sha256 for one in manifest.records}
    record = read_rows_record(context.storage, manifest.submission, proven)
    job = ExportJob(context.storage, context.settings.prices, manifest, record, scratch)
    table = reading.scratch / f"table.{target.form}"
    job.run(table, target.form, OutcomeFilter(), lambda _: context.check())
    context.check()
    target.put(table)
