"""What is said of a watched batch."""

from receiver.cli.printable import printable
from receiver.recovery.batch_watch import BatchStatus


def describe(sight: BatchStatus) -> str:
    """State and counts of one batch."""
    counts = f"{sight.succeeded}/{'?' if sight.requests is None else sight.requests}"
    failed = f", {sight.failed} failed" if sight.failed and not sight.stored else ""
    return f"{printable(sight.state)} {counts}{failed}{_place(sight)}"


def _place(sight: BatchStatus) -> str:
    if sight.stored:
        return f", {printable(sight.judgement or 'stored')}"
    return ", not stored yet" if sight.has_ended and not sight.is_done else ""
