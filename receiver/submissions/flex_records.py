"""The storage's records of requests that are sent one by one, so that none is paid for twice.

Those of a part lie in `_flex/<submission>/<part>/`, apart from the other records of the submission,
which are listed often. `<n>` is the number of a request in its part, from 1:

- `<n>.sending.<attempt>.json`: written right before the call that costs money
- `<n>.refused.<attempt>.json`: Gemini had no room for it, and charged nothing
- `<n>.failed.<attempt>.json`: Gemini failed at it, and charged nothing
- `<n>.answer.json`: its result line, whatever it says

None of them is ever changed, and of an attempt and of the answer only the first one counts. So a
request is sent again only where it is certain that nothing was charged for it.
"""

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from receiver.errors import AlreadyStoredError, SubmissionError
from receiver.storage import Storage
from receiver.submissions.records import read_record

FOLDER = "_flex"
_NAME = re.compile(
    r"(?P<number>[0-9]+)\.(?P<what>sending|refused|failed|answer)(?:\.(?P<attempt>[0-9]+))?\.json"
)
Ending = Literal["refused", "failed"]


class FlexAnswer(msgspec.Struct, frozen=True):
    """The result line of one request."""

    at: float  # Unix time in seconds, by the clock of the process that sent it
    line: msgspec.Raw  # a JSON object


class _Mark(msgspec.Struct, frozen=True):
    at: float


@dataclass
class FlexProgress:
    """What has become of the requests of a part so far, by their numbers."""

    answered: set[int] = field(default_factory=set)
    attempts: Counter[int] = field(default_factory=Counter)  # the last one of each
    ended: set[tuple[int, int]] = field(default_factory=set)  # attempts that cost nothing
    failures: Counter[int] = field(default_factory=Counter)

    def is_lost(self, number: int) -> bool:
        """Whether it was sent, and what became of it was never recorded."""
        last = self.attempts[number]
        return number not in self.answered and last > 0 and (number, last) not in self.ended

    def add(self, number: int, what: str, attempt: int) -> None:
        if what == "answer":
            self.answered.add(number)
        elif what == "sending":
            self.attempts[number] = max(self.attempts[number], attempt)
        else:
            self.ended.add((number, attempt))
            self.failures[number] += what == "failed"


class FlexRecords:
    """The records of one part. Every call can raise StorageError; any thread may call."""

    def __init__(self, storage: Storage, submission_id: str, part: int) -> None:
        self._storage, self._folder = storage, f"{FOLDER}/{submission_id}/{part}"

    def load(self) -> FlexProgress:
        """One listing, however many requests there are."""
        progress = FlexProgress()
        for name in self._storage.iter_names(self._folder):
            if match := _NAME.fullmatch(name.rpartition("/")[2]):
                progress.add(int(match["number"]), match["what"], int(match["attempt"] or 0))
        return progress

    def begin(self, number: int, attempt: int) -> bool:
        """Call right before a request is sent; False where another process has begun this."""
        return self._create(f"{number}.sending.{attempt}.json", _Mark(time.time()))

    def end(self, number: int, attempt: int, ending: Ending) -> None:
        """It is certain that nothing was charged for this attempt."""
        self._create(f"{number}.{ending}.{attempt}.json", _Mark(time.time()))

    def answer(self, number: int, line: bytes) -> bool:
        """Record the result line of a request; False where it has one, which stays."""
        return self._create(f"{number}.answer.json", FlexAnswer(time.time(), msgspec.Raw(line)))

    def read_answer(self, number: int) -> FlexAnswer:
        """Raises SubmissionError where there is none."""
        name = f"{self._folder}/{number}.answer.json"
        data = self._storage.read(name)
        if data is None:
            raise SubmissionError(f"{name} is gone, and the request must not be sent again")
        return read_record(data, FlexAnswer, name)

    def _create(self, name: str, record: object) -> bool:
        try:
            self._storage.create(f"{self._folder}/{name}", msgspec.json.encode(record))
        except AlreadyStoredError:
            return False
        return True
