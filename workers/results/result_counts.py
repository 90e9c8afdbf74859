"""Counts the results of one batch by outcome, adds up their tokens, and finds missing requests.

Anybody can check these numbers in a manifest:

* `lines` = `blank` + the sum of all outcomes;
* `distinct` = the sum of all outcomes without duplicates: each can answer a request;
* `missing` = `requests` - `distinct`, or 0 when that is negative;
* `balanced` = `requests` == `distinct` + `missing`, and there is no duplicate and no key that
  nobody asked for. So it is false when the source has *more* results than requests; fewer are
  `missing`. A manifest also says false where no line could be read: see `workers.store.manifest`.

Where the number of requests is unknown, `missing` and `balanced` are None.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.outputs.outcomes import Outcome
from workers.results.key_set import (
    KEPT_CHARACTERS,
    KeyList,
    KeySet,
    digest_key,
    key_token,
    read_shares,
)
from workers.results.meter import Metered, UsageMeter
from workers.results.rules import Result

METER_BATCH_SIZE = 512
_OK, _MALFORMED, _DUPLICATE = Outcome.OK, Outcome.MALFORMED, Outcome.DUPLICATE


@dataclass(frozen=True)
class Balance:
    """The requests of a batch compared with its results."""

    missing: int | None  # requests without a result
    balanced: bool | None


@dataclass(frozen=True)
class KeyComparison:
    """The keys of the input of a batch compared with those of its results."""

    missing: frozenset[str]  # tokens of the keys of the input that no line has
    unexpected: int  # keys of lines that nobody asked for


class ResultCounts:
    """Accumulates one pass over a source; its memory does not grow with the number of keys."""

    def __init__(self, scratch: Path) -> None:
        """`scratch` is a folder. Methods raise OSError where its disk fails."""
        self.blank = 0
        self._ok = 0
        self._others = dict.fromkeys(Outcome, 0)
        self._seen = KeySet(scratch)
        self._spoiled = KeySet(scratch)  # keys of malformed lines
        self._meter = UsageMeter()
        self._waiting: list[Result] = []  # to be metered

    def add(self, result: Result) -> Outcome:
        """Count a result. Returns its outcome, which is DUPLICATE when an earlier line had its key.

        A malformed line does not count as having its key: a whole answer may still follow.
        """
        outcome = result.outcome
        key = result.key
        if key is not None:
            token = key if len(key) <= KEPT_CHARACTERS and key.isascii() else digest_key(key)
            if outcome is _MALFORMED:
                if token in self._seen:
                    outcome = _DUPLICATE
                else:
                    self._spoiled.add(token)
            elif not self._seen.add(token):
                outcome = _DUPLICATE
        if outcome is _OK:
            self._ok += 1
        else:
            self._others[outcome] += 1
        if outcome is _DUPLICATE or outcome is _MALFORMED:
            self._meter.add_apart(result)
        else:
            self._waiting.append(result)
            if len(self._waiting) >= METER_BATCH_SIZE:
                self._meter_waiting()
        return outcome

    def add_blank(self, lines: int = 1) -> None:
        """Count lines of white space."""
        self.blank += lines

    def answered(self, key: str) -> bool:
        """Whether a line that could be read had this key."""
        return key_token(key) in self._seen

    @property
    def lines(self) -> int:
        """All lines, with blank ones."""
        return self.blank + sum(self.outcomes().values())

    def outcomes(self) -> dict[str, int]:
        """All eight outcomes with their counts, in the manifest's order."""
        return {
            outcome.value: self._ok if outcome is _OK else count
            for outcome, count in self._others.items()
        }

    def usage(self) -> dict[str, Any]:
        """Token sums as Gemini reported them, in `by_modality` by name."""
        self._meter_waiting()
        return self._meter.usage()

    def metered(self) -> Metered:
        """What the batch is billed by."""
        self._meter_waiting()
        return self._meter.metered()

    def _meter_waiting(self) -> None:
        self._meter.add(self._waiting)
        self._waiting.clear()

    def compare(self, asked: KeyList) -> KeyComparison:
        """Compare with the keys of the input.

        Results without a readable key answer requests, too, but nobody can say which: so there may
        be more missing keys than `Balance.missing`, by the number of unkeyed and broken lines.
        """
        missing, unexpected = set[str](), 0
        for wanted, seen, spoiled in read_shares(asked, self._seen, self._spoiled):
            found = seen | spoiled
            missing |= wanted - found
            unexpected += len(found - wanted)
        return KeyComparison(frozenset(missing), unexpected)

    def balance(self, requests: int | None, compared: KeyComparison | None = None) -> Balance:
        """Compare with the number of requests, and with the keys of the input where it is known."""
        if requests is None:
            return Balance(None, None)
        missing = max(0, requests - self._distinct())
        unexpected = 0 if compared is None else compared.unexpected
        surplus = self._others[_DUPLICATE] or unexpected or requests != self._distinct() + missing
        return Balance(missing, not surplus)

    def _distinct(self) -> int:
        return self.lines - self.blank - self._others[_DUPLICATE]
