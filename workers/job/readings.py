"""What one reading of a batch's results came to, and what becomes of it when it is doubted."""

# MERGED-DOC 'Reads results without writing anything: what would replace a stored batch is looked at first.'
from collections.abc import Callable, Iterable

from msgspec import UNSET, UnsetType

from receiver.errors import GeminiError, ManifestError, ReceiverError
from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch
from receiver.outputs.manifest import read_manifest
from receiver.outputs.outcomes import Outcome
from receiver.settings.settings import Settings
from workers.download.download import ResultSource, open_source
from workers.job.lease import LeaseKeeper
from workers.results.doubts import LineCounts, ResultReading, find_doubt, plan_next_reading_s
from workers.results.lines import BlankLines, LineSplitter, OversizeLine
from workers.results.parser import is_blank, line_parser
from workers.results.result_counts import ResultCounts
from workers.results.rules import malformed
from workers.store.batch_input import BatchInput

MAX_READINGS = 20  # that differ; over an hour and a half by default


class DoubtedError(ReceiverError):
    """The results look wrong, and are asked for again before they are believed."""

    retryable = True

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class FewerResultsError(ReceiverError):
    """A batch that was stored came again with less in it: what is stored stays."""


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


class Survey:
    """One pass over one batch's results; counts as `Split` does."""

    def __init__(self, result_key: str = "") -> None:
        self._parse = line_parser(result_key)
        self.account, self.counts = ResultCounts(), LineCounts()
        self._splitter = LineSplitter(oversize_sink=lambda _: None)

    @property
    def size_bytes(self) -> int:
        return self._splitter.bytes_seen

    def run(self, chunks: Iterable[bytes], check: Callable[[], None]) -> None:
        for block in self._splitter.split(chunks):
            if isinstance(block, BlankLines):
                self.account.add_blank(block.lines)
                self.counts.ends_malformed = False
            elif isinstance(block, OversizeLine):
                self.account.add(malformed("oversize", ""))
                self.counts.ends_malformed = True
            else:
                self._add_lines(block.lines, valid_utf8=block.valid_utf8)
            check()
        self.counts.is_unterminated = self._splitter.unterminated

    def _add_lines(self, lines: list[bytes], *, valid_utf8: bool) -> None:
        for line in lines:
            result = self._parse(line, valid_utf8=valid_utf8)
            self.counts.ends_malformed = result.key is None and result.outcome is Outcome.MALFORMED
            if result.outcome is Outcome.MALFORMED and is_blank(line):
                self.account.add_blank()
                self.counts.ends_malformed = False
            else:
                self.counts.add(result.key, self.account.add(result), line)
