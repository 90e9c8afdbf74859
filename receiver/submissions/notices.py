"""The notice that a submission has ended. Pure.

It derives from the manifest alone, so that every process makes the same one.
"""

import msgspec

from receiver.notices.payloads import Message
from receiver.submissions.proof import RowsProof, SubmissionManifest
from receiver.submissions.state import REASONS


def describe_submission(manifest: SubmissionManifest) -> Message:
    """`submission.completed`, or `submission.stopped` with the reason."""
    data = {
        "state": manifest.state,
        "reason": manifest.reason,
        "why": None if manifest.reason is None else REASONS[manifest.reason],
        "display_name": manifest.display_name[:200],
        "model": manifest.model[:200],
        "file": manifest.file[:200],
        "requests": manifest.requests,
        "answered": manifest.answered,
        "blocked": manifest.blocked,
        "failed": manifest.failed,
        "missing": manifest.missing,
        "outcomes": manifest.outcomes,
        "balanced": manifest.balanced,
        "rounds": manifest.rounds,
        "batches": len(manifest.batches),
        "cost": msgspec.to_builtins(manifest.cost),
        "estimate": msgspec.to_builtins(manifest.estimate),
        "ordered_at": manifest.ordered_at,
        "answers": manifest.answers.name,
        "rows": None if manifest.rows is None else _describe_rows(manifest.rows),
    }
    return Message(
        "submission.completed" if manifest.state == "completed" else "submission.stopped", data
    )


def _describe_rows(rows: RowsProof) -> dict[str, int]:
    return {"rows": rows.rows, "copied": rows.copied, "reused": rows.reused, "saved": rows.saved}
