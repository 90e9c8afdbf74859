"""A line for each test file that has finished: how far the run is, and how long it still takes."""

import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable

import pytest

from tests.schedule import count_by_file, expected_seconds, file_of

TRUST = 0.1  # the speed of this machine counts like the table's once this share is done

Status = tuple[str, str, object]  # category, letter, word


class Progress:
    """In place of pytest's dots; with xdist it lives in the process that gives the tests out."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal
        self.started = 0.0
        self.seconds: defaultdict[str, float] = defaultdict(float)  # that a file took, so far
        self.outcomes: dict[str, Counter[str]] = {}
        self.pending: Counter[str] = Counter()  # tests of each file
        self.counts: dict[str, int] = {}
        self.expected: dict[str, float] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        if not self.counts:  # every worker collects the same
            self._expect(ids)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, Status, Status]:
        category, _, word = yield
        return category, "", word  # no dot

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = file_of(report.nodeid)
        self.seconds[name] += report.duration
        if report.when == "call" or not report.passed:
            self.outcomes.setdefault(name, Counter())[report.outcome] += 1
        if report.failed:
            self.terminal.write_line(f"FAILED {report.nodeid}", red=True)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        name = file_of(nodeid)
        self.pending[name] -= 1
        if not self.pending[name]:
            counts = sorted(self.outcomes[name].items())
            said = ", ".join(f"{count} {outcome}" for outcome, count in counts)
            took = f"{self.seconds[name]:.1f} s"
            self.terminal.write_line(f"{name}: {said} in {took}  [{self._how_far()}]")

    def _expect(self, ids: list[str]) -> None:
        self.started = time.monotonic()
        self.counts = count_by_file(ids)
        self.pending = Counter(self.counts)
        self.expected = expected_seconds(self.counts)
        self.terminal.write_line(f"{len(ids)} tests in {len(self.counts)} files")

    def _how_far(self) -> str:
        """By the time that each file takes, and the speed of this machine so far.

        The first files say little of the speed, so at first the table's counts for more.
        """
        total = sum(self.expected.values())
        counts = self.counts
        pending = (self.expected[name] * left / counts[name] for name, left in self.pending.items())
        done = total - sum(pending)
        prior_s = TRUST * total
        speed = (time.monotonic() - self.started + prior_s) / (done + prior_s)
        left_s = round((total - done) * speed)
        return f"{done / total:.0%}, about {left_s // 60}:{left_s % 60:02} left"


def count_skips(reports: Iterable[pytest.CollectReport | pytest.TestReport]) -> Counter[str]:
    """How often each reason was given; a file that could not be imported counts as one."""
    reasons = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    return Counter(sorted(reason.removeprefix("Skipped: ") for reason in reasons))
