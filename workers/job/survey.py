"""Reads results without writing anything: what would replace a stored batch is looked at first."""

from collections.abc import Callable, Iterable

from receiver.outputs.outcomes import Outcome
from workers.results.doubts import LineCounts
from workers.results.lines import BlankLines, LineSplitter, OversizeLine
from workers.results.parser import is_blank, line_parser
from workers.results.result_counts import ResultCounts
from workers.results.rules import malformed


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
