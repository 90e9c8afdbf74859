"""What one reading of a batch's results came to, and what becomes of it when it is doubted."""

from msgspec import UNSET, UnsetType

from receiver.errors import ReceiverError
from receiver.gemini.client import Batch
from workers.account import Account
from workers.doubts import Reading, find_doubt, plan_next_reading_s
from workers.known_input import KnownInput
from workers.lease import LeaseKeeper
from workers.sources import ResultSource
from workers.split import Split


class DoubtedError(ReceiverError):
    """The results look wrong, and are asked for again before they are believed."""

    retryable = True

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


def read_counts(
    batch: Batch, known: KnownInput | None, account: Account, results: ResultSource, split: Split
) -> Reading:
    """The counts of a reading that is complete."""
    is_file = batch.result_file is not None  # inlined rows came inside Gemini's own answer: each is a result
    return Reading(
        state=batch.state,
        expected=known.about.requests if known and batch.results is None else batch.results,
        failed=batch.stats.failed,
        lines=account.lines - account.blank,
        strays=split.strays if is_file else 0,
        bare_errors=split.bare_errors if is_file else 0,
        is_cut=split.is_cut or (split.is_unterminated and not results.end_proven),
    )


def require_belief(
    keeper: LeaseKeeper, reading: Reading, sha256: str, size_bytes: int, base_s: float
) -> str | UnsetType:
    """Why the results look wrong, where they do though the same came over minutes; UNSET where they look right.

    Raises DoubtedError while they are to be asked for again.
    """
    doubt = find_doubt(reading)
    if doubt is None:
        return UNSET
    series = keeper.add_reading(size_bytes, sha256)
    delay_s = plan_next_reading_s(series, base_s)
    if delay_s is None:
        return doubt
    raise DoubtedError(f"the results are doubted (reading {series.readings}): {doubt}", delay_s=delay_s)
