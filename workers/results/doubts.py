"""Whether one reading of a batch's results is believed at once, or asked for again first. Pure.

Gemini answers 200 with an empty body, a proxy answers 200 with its own page: a wrong answer that is committed stays. So
a reading that looks short is asked for again over minutes, and committed as it is only when the same bytes keep coming.
"""

from dataclasses import dataclass

from receiver.outputs.outcomes import Outcome

PAUSES = (
    6,
    24,
    60,
)  # between two readings, in units of RETRY_BASE_S: 30 s, 2 min and 5 min by default


@dataclass
class LineCounts:
    """Lines that may hold no result, counted while a source is read."""

    strays: int = 0  # no JSON object, blank ones and those too long to be read aside
    bare_errors: int = 0  # objects that hold neither a key nor a response
    ends_malformed: bool = False  # the last line is a stray
    is_unterminated: bool = False  # the last line came without its newline

    def add(self, key: str | None, outcome: Outcome, line: bytes) -> None:
        """Count a line that is no plain answer."""
        if key is None:
            self.strays += outcome is Outcome.MALFORMED
            self.bare_errors += outcome is Outcome.UNKEYED and b'"response"' not in line

    @property
    def is_cut(self) -> bool:
        """Whether the last line came without its newline, and is no whole line of JSON either."""
        return self.is_unterminated and self.ends_malformed


@dataclass(frozen=True)
class ResultReading:
    """What came of one batch, from its first byte to its last."""

    state: str  # of the batch, as Gemini says
    expected: int | None  # results that Gemini says there are; None where it does not
    failed: int  # of those, the errors
    lines: int  # blank ones aside
    strays: int  # lines that are no JSON object, and not too long to be read
    bare_errors: int  # objects without a key and without a response: a failed request's, or the whole download's
    is_cut: bool  # it ends within a line

    @property
    def results(self) -> int:
        """Lines that hold the result of a request; a bare error is one as far as Gemini says that requests failed."""
        return self.lines - self.strays - max(0, self.bare_errors - self.failed)


@dataclass(frozen=True)
class ReadingSeries:
    """The doubted readings of one batch so far, the latest included."""

    readings: int
    same: int  # the latest ones, that gave the same bytes
    same_s: float  # seconds since the first of those


def find_doubt(reading: ResultReading) -> str | None:
    """Why the reading looks wrong; None when it doesn't. It follows from what Gemini says and from the bytes alone."""
    lines, results = reading.lines, reading.results
    if lines and not results:
        return f"not one of its {lines} lines is a result"
    if results < lines - results:
        return f"{lines - results} of its {lines} lines are no results"
    if reading.is_cut:
        return "it ends within a line"
    return _find_shortness(reading) if reading.state == "SUCCEEDED" else None


def _find_shortness(reading: ResultReading) -> str | None:
    """Of a batch that was done to its end; of another one nobody says how much there is."""
    if reading.expected is None:
        return None if reading.lines else "it is empty"
    if reading.results < reading.expected:
        return f"Gemini says {reading.expected} results, {reading.results} came"
    return None


def plan_next_reading_s(series: ReadingSeries, base_s: float) -> float | None:
    """Seconds until the results are asked for again; None once the same bytes came often enough, for long enough.

    Both are needed: a second delivery of the event makes a batch due at once, and says nothing about the results.
    """
    if series.same > len(PAUSES) and series.same_s >= sum(PAUSES) * base_s:
        return None
    return PAUSES[min(series.readings, len(PAUSES)) - 1] * base_s
