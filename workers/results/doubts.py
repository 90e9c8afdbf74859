"""Whether one reading of a batch's results is believed, or first repeated. Pure.

Gemini may answer 200 with an empty body, a proxy 200 with a page of its own, and what is committed
stays. So a reading that looks short is repeated over minutes, and committed as it is only when the
same bytes keep coming.
"""

from dataclasses import dataclass

from receiver.outputs.outcomes import Outcome

# Between two readings, in units of RETRY_BASE_S: 30 s, 2 min and 5 min by default.
PAUSES = (6, 24, 60)


@dataclass
class LineCounts:
    """Lines that may hold no result, counted while a source is read."""

    strays: int = 0  # no JSON object; without blank lines and those too long to be read
    bare_errors: int = 0  # objects that hold neither a key nor a response
    repeated: int = 0  # their key had an earlier line
    ends_malformed: bool = False  # the last line is a stray
    is_unterminated: bool = False  # the last line has no newline

    def add(self, key: str | None, outcome: Outcome, line: bytes) -> None:
        """Count a line that is no plain answer."""
        self.repeated += outcome is Outcome.DUPLICATE
        if key is None:
            self.strays += outcome is Outcome.MALFORMED
            self.bare_errors += outcome is Outcome.UNKEYED and b'"response"' not in line

    @property
    def is_cut(self) -> bool:
        """Whether the last line has no newline, and is no whole JSON either."""
        return self.is_unterminated and self.ends_malformed


@dataclass(frozen=True)
class ResultReading:
    """What one pass over the results of a batch found."""

    state: str  # of the batch, as Gemini says
    expected: int | None  # results that there are, as Gemini says; None where it does not
    failed: int  # of those, the errors
    lines: int  # without blank ones
    strays: int  # lines that are no JSON object, without those that are too long to be read
    bare_errors: int  # without key and response: of a failed request, or of the download itself
    is_cut: bool  # it ends within a line
    repeated: int = 0  # lines whose key had an earlier one

    @property
    def results(self) -> int:
        """Lines that hold the result of a request.

        Of the bare errors, as many as Gemini says that requests failed.
        """
        return self.lines - self.strays - max(0, self.bare_errors - self.failed)


@dataclass(frozen=True)
class ReadingSeries:
    """The doubted readings of one batch so far, the latest included."""

    readings: int
    same: int  # of these, the latest ones that gave the same bytes
    same_s: float  # seconds since the first of those


def find_doubt(reading: ResultReading) -> str | None:
    """Why the reading looks wrong; None when it doesn't."""
    lines, results = reading.lines, reading.results
    if lines and not results:
        return f"not one of its {lines} lines is a result"
    if results < lines - results:
        return f"{lines - results} of its {lines} lines are no results"
    if reading.is_cut:
        return "it ends within a line"
    return _find_shortness(reading) if reading.state == "SUCCEEDED" else None


def _find_shortness(reading: ResultReading) -> str | None:
    """Of a batch that succeeded; of others nobody says how many results there are."""
    if reading.expected is None:
        return None if reading.lines else "it is empty"
    came = reading.results - reading.repeated  # a second answer stands for no other request
    if came < reading.expected:
        return f"Gemini says {reading.expected} results, {came} came"
    return None


def plan_next_reading_s(series: ReadingSeries, base_s: float) -> float | None:
    """Seconds until the results are read again; None once the same bytes came often, for long.

    Both count: a second delivery of the event makes a batch due at once, and proves nothing.
    """
    if series.same > len(PAUSES) and series.same_s >= sum(PAUSES) * base_s:
        return None
    return PAUSES[min(series.readings, len(PAUSES)) - 1] * base_s
