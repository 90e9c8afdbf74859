"""What the submissions to a project have reserved of a day's cap: exact for several machines.

`_submissions/spending/<project>/<day>/<n>.json` is the state after the day's n-th change. Each
number is created once: whoever comes second reads the new state and decides anew. So nothing else
has to be locked or remembered, and Redis may be wiped.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from receiver.errors import AlreadyStoredError, StorageError
from receiver.settings.projects import DEFAULT
from receiver.storage import Storage
from receiver.submissions.records import FOLDER, read_record
from receiver.submissions.submission import Part

SPENDING = f"{FOLDER}/spending"
KEPT_DAYS = 30


class Spending(msgspec.Struct, frozen=True):
    """What a day's cap is used for, in US dollars."""

    settled: Decimal = Decimal(0)  # what parts did cost
    reserved: dict[str, Decimal] = {}  # what others may cost at most, by `part_reference`

    def total(self, apart_from: Iterable[str] = ()) -> Decimal:
        """All of it, without the reservations of some parts."""
        left = self.reserved.keys() - set(apart_from)
        return self.settled + sum((self.reserved[part] for part in left), Decimal(0))


def part_reference(submission_id: str, part: Part) -> str:
    """A part's name among those of all submissions."""
    return f"{submission_id}.{part.number}"


def day_of(now: float) -> str:
    """The day (UTC) of a Unix time in seconds.

    >>> day_of(86_400.5)
    '1970-01-02'
    """
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def end_of_day(now: float) -> float:
    """When the day (UTC) of a Unix time ends, in the same form."""
    return now - now % 86_400 + 86_400


class DailyBudget:
    """One project's days. Every call can raise StorageError."""

    def __init__(self, storage: Storage, project: str) -> None:
        self._storage, self._folder = storage, f"{SPENDING}/{project or DEFAULT}"

    def reserve(self, day: str, part: str, most_cost: Decimal | None, cap: Decimal | None) -> bool:
        """Reserve what a part may cost at most, before it is sent. Can be repeated.

        False where the cap would be passed: wait for the next day. An unknown cost reserves
        nothing, and without a cap nothing is recorded.
        """
        if cap is None:
            return True
        most = most_cost or Decimal(0)
        while True:
            number, spending = self._read(day)
            if part in spending.reserved:
                return True
            if spending.total() + most > cap:
                return False
            if self._write(
                day, number + 1, Spending(spending.settled, spending.reserved | {part: most})
            ):
                return True

    def settle(self, day: str, part: str, cost: Decimal) -> None:
        """Count what a part did cost in place of what it might have. Can be repeated.

        Nothing happens where it was reserved on another day, whose cap does not matter any more.
        A part that will never be sent costs 0.
        """
        while True:
            number, spending = self._read(day)
            if part not in spending.reserved:
                return
            left = {name: most for name, most in spending.reserved.items() if name != part}
            if self._write(day, number + 1, Spending(spending.settled + cost, left)):
                return

    def spending(self, day: str) -> Spending:
        """How a day stands."""
        return self._read(day)[1]

    def _read(self, day: str) -> tuple[int, Spending]:
        """The number of changes, and the state after them."""
        numbers = (
            int(stem)
            for name in self._storage.iter_names(f"{self._folder}/{day}")
            if (stem := name.rpartition("/")[2].removesuffix(".json")).isdecimal()
        )
        number = max(numbers, default=0)
        if not number:
            return 0, Spending()
        name = self._name(day, number)
        data = self._storage.read(name)
        if data is None:
            raise StorageError(f"{name} was listed, and is not there: try again")
        return number, read_record(data, Spending, name)

    def _write(self, day: str, number: int, spending: Spending) -> bool:
        """False where another process was faster."""
        with suppress(AlreadyStoredError):
            self._storage.create(self._name(day, number), msgspec.json.encode(spending))
            if number == 1:
                self._delete_before(day)
            return True
        return False

    def _name(self, day: str, number: int) -> str:
        return f"{self._folder}/{day}/{number}.json"

    def _delete_before(self, day: str) -> None:
        """Days that nobody looks at any more. Raises StorageError."""
        oldest = (date.fromisoformat(day) - timedelta(days=KEPT_DAYS)).isoformat()
        for name in self._storage.list_names(self._folder):
            if name.split("/")[3] < oldest:
                self._storage.delete(name)
