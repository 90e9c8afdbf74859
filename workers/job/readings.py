"""What one reading of a batch's results came to, and what becomes of it when it is doubted."""

from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import UNSET, UnsetType

from receiver.errors import DoubtedError, FewerResultsError, GeminiError, ManifestError
from receiver.gemini.operations import Batch
from receiver.outputs.manifest import read_manifest
from receiver.outputs.outcomes import Outcome
from workers.download.download import ResultSource, open_source
from workers.job.context import JobContext
from workers.results.doubts import LineCounts, ResultReading, find_doubt, plan_next_reading_s
from workers.results.lines import BlankLines, LineSplitter, OversizeLine
from workers.results.parser import is_blank, line_parser
from workers.results.result_counts import ResultCounts
from workers.results.rules import malformed
from workers.store.batch_input import BatchInput

MAX_READINGS = 20  # that differ; over an hour and a half by default


def summarise_reading(
    batch: Batch,
    batch_input: BatchInput | None,
    counts: ResultCounts,
    results: ResultSource,
    line_counts: LineCounts,
) -> ResultReading:
    """The counts of a reading that is complete."""
    is_file = batch.result_file is not None  # else Gemini's own answer held the rows: all results
    is_input_count = batch_input is not None and batch.results is None
    return ResultReading(
        state=batch.state,
        expected=batch_input.record.requests if batch_input and is_input_count else batch.results,
        failed=batch.stats.failed,
        lines=counts.lines - counts.blank,
        strays=line_counts.strays if is_file else 0,
        bare_errors=line_counts.bare_errors if is_file else 0,
        is_cut=line_counts.is_cut or (line_counts.is_unterminated and not results.end_proven),
        repeated=line_counts.repeated if is_file else 0,
    )


def confirm_reading(
    context: JobContext, reading: ResultReading, sha256: str, size_bytes: int
) -> str | UnsetType:
    """UNSET where the results look right; else why they don't, once the same came over minutes.

    Raises DoubtedError while they are to be asked for again, and GeminiError once they differ for
    so long that it is an outage.
    """
    doubt = find_doubt(reading)
    if doubt is None:
        return UNSET

    series = context.keeper.add_reading(size_bytes, sha256)
    delay_s = plan_next_reading_s(series, context.settings.patience.base_s)
    if delay_s is None:
        return doubt
    count = series.readings
    if count > MAX_READINGS:
        words = f"Gemini gives wrong results, other ones at each of {count} readings: {doubt}"
        raise GeminiError(words, retryable=True, retry_after_s=delay_s)
    raise DoubtedError(f"the results are doubted (reading {count}): {doubt}", delay_s=delay_s)


def check_replacement(
    context: JobContext, batch: Batch, batch_input: BatchInput | None, old: bytes, scratch: Path
) -> None:
    """Read the results of a stored batch once more, and write nothing.

    `old` is the manifest that they would replace. Raises DoubtedError, FewerResultsError and
    GeminiError when they may not.
    """
    results = open_source(context.gemini, batch, context.check)
    survey = Survey(scratch, context.settings.result_key)
    survey.run(results.chunks(), context.check)
    reading = summarise_reading(batch, batch_input, survey.counts, results, survey.line_counts)
    confirm_reading(context, reading, results.sha256, survey.size_bytes)

    try:
        outcomes = read_manifest(old).outcomes
    except ManifestError:
        return  # anything is better
    stored = sum(outcomes.values()) - outcomes.get(Outcome.MALFORMED, 0)
    if reading.results < stored:
        words = f"Gemini gives {reading.results} results now, {stored} are stored"
        raise FewerResultsError(f"{words}: what is stored stays as it is")


class Survey:
    """Reads one batch's results and stores nothing; counts as `Split` does."""

    def __init__(self, scratch: Path, result_key: str = "") -> None:
        self._parse = line_parser(result_key)
        self.counts, self.line_counts = ResultCounts(scratch), LineCounts()
        self._splitter = LineSplitter(oversize_sink=lambda _: None)

    @property
    def size_bytes(self) -> int:
        """Size of the source so far."""
        return self._splitter.bytes_seen

    def run(self, chunks: Iterable[bytes], check: Callable[[], None]) -> None:
        for block in self._splitter.split(chunks):
            if isinstance(block, BlankLines):
                self.counts.add_blank(block.lines)
                self.line_counts.ends_malformed = False
            elif isinstance(block, OversizeLine):
                self.counts.add(malformed("oversize", ""))
                self.line_counts.ends_malformed = True
            else:
                self._add_lines(block.lines, valid_utf8=block.valid_utf8)
            check()
        self.line_counts.is_unterminated = self._splitter.unterminated

    def _add_lines(self, lines: list[bytes], *, valid_utf8: bool) -> None:
        for line in lines:
            result = self._parse(line, valid_utf8=valid_utf8)
            is_malformed = result.outcome is Outcome.MALFORMED
            self.line_counts.ends_malformed = result.key is None and is_malformed
            if is_malformed and is_blank(line):
                self.counts.add_blank()
                self.line_counts.ends_malformed = False
            else:
                self.line_counts.add(result.key, self.counts.add(result), line)
