"""What is said of a watched batch."""

from receiver.cli.printable import printable
from receiver.recovery.batch_watch import BatchStatus


def describe(status: BatchStatus) -> str:
    """State and counts of one batch."""
    counts = f"{status.succeeded}/{'?' if status.requests is None else status.requests}"
    failed = f", {status.failed} failed" if status.failed and not status.stored else ""
    return f"{printable(status.state)} {counts}{failed}{_place(status)}"


def _place(status: BatchStatus) -> str:
    if status.stored:
        return f", {printable(status.judgement or 'stored')}"
    return ", not stored yet" if status.has_ended and not status.is_done else ""
