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

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from receiver.outputs.outcomes import Outcome
from workers.results.meter import Metered, UsageMeter
from workers.results.rules import Result

METER_BATCH_SIZE = 512
# Memory per key, beside 34 MB for the set of a million: a text of up to 31 ASCII characters takes
# 80 bytes, a digest of 15 bytes takes 48. Two of a million keys share 120 bits once in 10^24 cases.
_KEPT_CHARACTERS = 31
_DIGEST_BYTES = 15
_OK, _MALFORMED, _DUPLICATE = Outcome.OK, Outcome.MALFORMED, Outcome.DUPLICATE


@dataclass(frozen=True)
class Balance:
    """The requests of a batch compared with its results."""

    missing: int | None  # requests without a result
    missing_keys: list[str] | None  # of the input, in no line; None when the input is not known
    balanced: bool | None


class ResultCounts:
    """Accumulates one pass over a source; takes about 100 bytes per distinct key."""

    def __init__(self) -> None:
        self.blank = 0
        self._ok = 0
        self._others = dict.fromkeys(Outcome, 0)
        self._seen: set[str | bytes] = set()
        self._spoiled: set[str | bytes] = set()
        self._meter = UsageMeter()
        self._waiting: list[Result] = []  # to be metered

    def add(self, result: Result) -> Outcome:
        """Count a result. Returns its outcome, which is DUPLICATE when an earlier line had its key.

        A malformed line does not count as having its key: a whole answer may still follow.
        """
        outcome = result.outcome
        key = result.key
        if key is not None:
            token = key if len(key) <= _KEPT_CHARACTERS and key.isascii() else _digest(key)
            if token in self._seen:
                outcome = _DUPLICATE
            elif outcome is _MALFORMED:
                self._spoiled.add(token)
            else:
                self._seen.add(token)
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

    def seen(self, key: str) -> bool:
        """Whether any line had this key."""
        token = key_token(key)
        return token in self._seen or token in self._spoiled

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

    def balance(self, requests: int | None, input_keys: Iterable[str] | None = None) -> Balance:
        """Compare with the number of requests, and with the keys of the input where it is known.

        Results without a readable key answer requests, too, but nobody can say which: so there may
        be more `missing_keys` than `missing`, by the number of unkeyed and broken lines. They keep
        the input's order, each once.
        """
        missing = None if requests is None else max(0, requests - self._distinct())
        missing_keys, unexpected = (None, 0) if input_keys is None else self._compare(input_keys)
        if missing is None:
            return Balance(None, missing_keys, None)
        surplus = self._others[_DUPLICATE] or unexpected or requests != self._distinct() + missing
        return Balance(missing, missing_keys, not surplus)

    def _compare(self, input_keys: Iterable[str]) -> tuple[list[str], int]:
        """The keys of the input that no line has, and how many keys nobody asked for."""
        unexpected = self._seen | self._spoiled
        missing: dict[str, None] = {}
        for key in input_keys:
            token = key_token(key)
            unexpected.discard(token)
            if token not in self._seen and token not in self._spoiled:
                missing[key] = None
        return list(missing), len(unexpected)

    def _distinct(self) -> int:
        return self.lines - self.blank - self._others[_DUPLICATE]


def key_token(key: str) -> str | bytes:
    """What represents a key in memory: itself where that is small, else a digest."""
    return key if len(key) <= _KEPT_CHARACTERS and key.isascii() else _digest(key)


def _digest(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
