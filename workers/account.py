"""The books of one batch: how many results of each outcome, what they used, and whether any request has none.

The counts that a stranger can check in a manifest:

* `lines` = `blank` + the sum of all outcomes;
* `distinct` = the sum of all outcomes except duplicate: what can answer a request each;
* `missing` = `requests` - `distinct`, and 0 when that is negative;
* `balanced` = `requests` == `distinct` + `missing`, and there is no duplicate, and no key that nobody asked for.
  So it is false exactly when the source says *more* than was asked. What it says less is `missing`. A manifest also
  says false where not one line could be read: see `workers.manifest`.

Where the number of requests is unknown, `missing` and `balanced` are None.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from receiver.outcomes import METERED, Outcome
from receiver.prices import LONG_PROMPT_TOKENS
from workers.rules import ModalityCount, Result, Usage

MAX_MODALITIES = 16
OTHER_MODALITIES = "OTHER"
USAGES_TOGETHER = 512
# Memory of a million keys, beside the set's own 34 MB: a text of up to 31 ASCII characters takes 80 bytes, a digest of
# 15 bytes takes 48. Two of a million keys sharing 120 bits by accident: one case in 10^24.
_KEPT_CHARACTERS = 31
_DIGEST_BYTES = 15
_OK, _MALFORMED, _DUPLICATE = Outcome.OK, Outcome.MALFORMED, Outcome.DUPLICATE


@dataclass(frozen=True)
class Balance:
    """What was asked for, against what came."""

    missing: int | None  # requests without a result
    missing_keys: list[str] | None  # asked for, and no line carries them; None when the input is not known
    unexpected: int | None  # keys that came though nobody asked for them; None when the input is not known
    balanced: bool | None


@dataclass(frozen=True)
class Metered:
    """What a batch is billed by; usages have the form of `Account.usage`."""

    total: dict[str, Any]  # of all results
    long: dict[str, Any]  # of those with a prompt of over LONG_PROMPT_TOKENS, which cost more with some models
    silent_answers: int  # answers that came without any count of tokens


class Account:
    """Accumulates one pass over a source; about 100 bytes a distinct key."""

    def __init__(self) -> None:
        self.blank = 0
        self._ok = 0
        self._others = dict.fromkeys(Outcome, 0)
        self._seen: set[str | bytes] = set()
        self._spoiled: set[str | bytes] = set()
        self._usage = _UsageTotals()
        self._long_usage = _UsageTotals()
        self._silent_answers = 0
        self._waiting: list[Usage] = []

    def add(self, result: Result) -> Outcome:
        """Enter a result; gives its outcome, which is DUPLICATE when an earlier line had its key.

        A malformed line doesn't take its key: a whole answer may still follow under it.
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
        if result.usage is not None:
            self._waiting.append(result.usage)
            if len(self._waiting) >= USAGES_TOGETHER:
                self._add_usages()
        elif result.outcome in METERED:
            self._silent_answers += 1
        return outcome

    def add_blank(self, lines: int = 1) -> None:
        """Enter lines of white space, which answer nothing."""
        self.blank += lines

    def came(self, key: str) -> bool:
        """Whether any line carried this key."""
        token = key_token(key)
        return token in self._seen or token in self._spoiled

    def answered(self, key: str) -> bool:
        """Whether a line that could be read carried this key."""
        return key_token(key) in self._seen

    @property
    def lines(self) -> int:
        """Lines entered, blank ones included."""
        return self.blank + sum(self.outcomes().values())

    def outcomes(self) -> dict[str, int]:
        """All eight outcomes with their counts, in the manifest's order."""
        return {outcome.value: self._ok if outcome is _OK else count for outcome, count in self._others.items()}

    def usage(self) -> dict[str, Any]:
        """Token sums as Gemini reported them; `by_modality` holds what it broke down, by name."""
        self._add_usages()
        return self._usage.summary()

    def metered(self) -> Metered:
        """What the batch is billed by."""
        self._add_usages()
        return Metered(self._usage.summary(), self._long_usage.summary(), self._silent_answers)

    def _add_usages(self) -> None:
        self._usage.add(self._waiting)
        long = [usage for usage in self._waiting if usage.prompt > LONG_PROMPT_TOKENS]
        if long:
            self._long_usage.add(long)
        self._waiting.clear()

    def balance(self, requests: int | None, input_keys: Iterable[str] | None = None) -> Balance:
        """Compare with the number of requests, and with the keys of the input where they can be read once more.

        Results without a readable key answer requests too, but nobody can say which: `missing_keys` may be longer than
        `missing` by the number of unkeyed and broken lines. They keep the input's order and name each key once.
        """
        missing = None if requests is None else max(0, requests - self._distinct())
        missing_keys, unexpected = (None, None) if input_keys is None else self._compare(input_keys)
        if missing is None:
            return Balance(None, missing_keys, unexpected, None)
        surplus = self._others[_DUPLICATE] or unexpected or requests != self._distinct() + missing
        return Balance(missing, missing_keys, unexpected, not surplus)

    def _compare(self, input_keys: Iterable[str]) -> tuple[list[str], int]:
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
    """What stands for a key in memory: itself where that is small, else a digest."""
    return key if len(key) <= _KEPT_CHARACTERS and key.isascii() else _digest(key)


def _digest(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()


class _UsageTotals:
    def __init__(self) -> None:
        self.prompt = self.cached = self.candidates = self.thoughts = self.tool_use_prompt = self.total = 0
        self.modalities: dict[str, dict[str, int]] = {
            "prompt": {},
            "cached": {},
            "candidates": {},
            "tool_use_prompt": {},
        }
        self._by_prompt, self._by_cached, self._by_candidates, self._by_tool_use_prompt = self.modalities.values()

    def add(self, usages: list[Usage]) -> None:
        """Add many together: sums in local names cost a third of sums in attributes."""
        prompt = cached = candidates = thoughts = tool_use_prompt = total = 0
        for usage in usages:
            prompt += usage.prompt
            cached += usage.cached
            candidates += usage.candidates
            thoughts += usage.thoughts
            tool_use_prompt += usage.tool_use_prompt
            total += usage.total
            if usage.prompt_details:
                _add_modalities(self._by_prompt, usage.prompt_details)
            if usage.cached_details:
                _add_modalities(self._by_cached, usage.cached_details)
            if usage.candidates_details:
                _add_modalities(self._by_candidates, usage.candidates_details)
            if usage.tool_use_prompt_details:
                _add_modalities(self._by_tool_use_prompt, usage.tool_use_prompt_details)
        self.prompt += prompt
        self.cached += cached
        self.candidates += candidates
        self.thoughts += thoughts
        self.tool_use_prompt += tool_use_prompt
        self.total += total

    def summary(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "cached": self.cached,
            "candidates": self.candidates,
            "thoughts": self.thoughts,
            "tool_use_prompt": self.tool_use_prompt,
            "total": self.total,
            "by_modality": {kind: dict(sorted(sums.items())) for kind, sums in self.modalities.items()},
        }


def _add_modalities(sums: dict[str, int], counts: list[ModalityCount]) -> None:
    """Add by name; past 16 names, which no service needs, the rest shares one so that memory stays bounded."""
    for count in counts:
        name = count.modality
        if name in sums:
            sums[name] += count.token_count
        elif len(sums) < MAX_MODALITIES:
            sums[name] = count.token_count
        else:
            sums[OTHER_MODALITIES] = sums.get(OTHER_MODALITIES, 0) + count.token_count
