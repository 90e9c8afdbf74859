"""What `replay` and `reconcile` say alike."""

from collections.abc import Iterator

from receiver.cli.printable import printable
from receiver.recovery.replay import ReplayCounts
from receiver.retry import RESULTS_LIVE_S


def describe_unclear(counts: ReplayCounts) -> Iterator[str]:
    """A line for each batch without a verdict."""
    for name, reason in zip(counts.unclear, counts.reasons, strict=True):
        yield printable(f"unclear: {name}: {reason}")


def describe_expired(counts: ReplayCounts) -> str:
    """One line for all of them: nobody can do anything about them."""
    ended = f"ended more than {RESULTS_LIVE_S / 3600:.0f} hours ago"
    gone = "and its results are gone" if len(counts.expired) == 1 else "and their results are gone"
    return f"{len(counts.expired)} {ended} {gone}: expired"
