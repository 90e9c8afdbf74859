"""What one reading of a batch's results came to, and what becomes of it when it is doubted."""

from msgspec import UNSET, UnsetType

from receiver.errors import (
    DoubtedError,
    FewerResultsError,
    GeminiError,
    ManifestError,
)
from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch
from receiver.outputs.manifest import read_manifest
from receiver.outputs.outcomes import Outcome
from receiver.settings.settings import Settings
from workers.download.sources import ResultSource, open_source
from workers.job.lease import LeaseKeeper
from workers.job.survey import Survey
from workers.results.doubts import LineCounts, ResultReading, find_doubt, plan_next_reading_s
from workers.results.result_counts import ResultCounts
from workers.store.batch_input import BatchInput

MAX_READINGS = 20  # that differ; over an hour and a half by default


def read_counts(
    batch: Batch,
    known: BatchInput | None,
    account: ResultCounts,
    results: ResultSource,
    counts: LineCounts,
) -> ResultReading:
    """The counts of a reading that is complete."""
    is_file = (
        batch.result_file is not None
    )  # inlined rows came inside Gemini's own answer: each is a result
    return ResultReading(
        state=batch.state,
        expected=known.about.requests if known and batch.results is None else batch.results,
        failed=batch.stats.failed,
        lines=account.lines - account.blank,
        strays=counts.strays if is_file else 0,
        bare_errors=counts.bare_errors if is_file else 0,
        is_cut=counts.is_cut or (counts.is_unterminated and not results.end_proven),
    )


def require_belief(
    keeper: LeaseKeeper, reading: ResultReading, sha256: str, size_bytes: int, base_s: float
) -> str | UnsetType:
    """Why the results look wrong, where they do though the same came over minutes; UNSET where they look right.

    Raises DoubtedError while they are to be asked for again, and GeminiError once they differ for so long that it is
    an outage.
    """
    doubt = find_doubt(reading)
    if doubt is None:
        return UNSET
    series = keeper.add_reading(size_bytes, sha256)
    delay_s = plan_next_reading_s(series, base_s)
    if delay_s is None:
        return doubt
    if series.readings > MAX_READINGS:
        words = (
            f"Gemini gives wrong results, other ones at each of {series.readings} readings: {doubt}"
        )
        raise GeminiError(words, retryable=True, retry_after_s=delay_s)
    raise DoubtedError(
        f"the results are doubted (reading {series.readings}): {doubt}", delay_s=delay_s
    )


def require_replacement(  # noqa: PLR0913, PLR0917 - what one more look works with
    keeper: LeaseKeeper,
    gemini: Gemini,
    batch: Batch,
    known: BatchInput | None,
    old: bytes,
    settings: Settings,
) -> None:
    """Read the results of a stored batch once more, and write nothing: may they replace what the manifest `old` says?

    Raises DoubtedError, FewerResultsError and GeminiError.
    """
    results, survey = open_source(gemini, batch, keeper.check), Survey(settings.result_key)
    survey.run(results.chunks(), keeper.check)
    reading = read_counts(batch, known, survey.account, results, survey.counts)
    require_belief(keeper, reading, results.sha256, survey.size_bytes, settings.patience.base_s)
    try:
        outcomes = read_manifest(old).outcomes
    except ManifestError:
        return  # anything is better
    stored = sum(outcomes.values()) - outcomes.get(Outcome.MALFORMED, 0)
    if reading.results < stored:
        raise FewerResultsError(
            f"Gemini gives {reading.results} results now, {stored} are stored: what is stored stays as it is"
        )
