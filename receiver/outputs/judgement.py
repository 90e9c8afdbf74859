"""Whether a stored batch is well: one judgement and wording for all commands, pages and notices.

A batch is well when Gemini says SUCCEEDED, the number of its requests is known, and each of them is
answered. Pure.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from receiver.batch_names import BatchName
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ANSWERED, OUTCOMES, Outcome
from receiver.outputs.wording import count_of

# What `resubmit` can send: nothing, whole requests, or requests by keys, which need --input.
Again = Literal["", "whole", "keys"]

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
STATES: Mapping[str, str] = {
    "FAILED": "failed at Gemini",
    "EXPIRED": "expired at Gemini",
    "CANCELLED": "cancelled at Gemini",
}
NOUNS: Mapping[str, tuple[str, str]] = {  # one, many
    Outcome.ERROR: ("error", "errors"),
    Outcome.UNKEYED: ("without a key", "without a key"),
    Outcome.DUPLICATE: ("duplicate", "duplicates"),
}


class BatchCounts(Protocol):
    """What is judged: a manifest, or the summary of one."""

    @property
    def state(self) -> str:
        """As Gemini says; empty where it is not known."""

    @property
    def requests(self) -> int | None: ...

    @property
    def outcomes(self) -> dict[str, int]: ...

    @property
    def missing(self) -> int | None: ...

    @property
    def balanced(self) -> bool | None: ...


@dataclass(frozen=True)
class Judgement:
    """What is said of a stored batch."""

    text: str  # "stored" when it is well, else "stored; 35 errors, 2 missing"
    problems: tuple[str, ...]  # why it is not well, in sentences
    answered: int  # requests
    unanswered: int  # results that are no answer, and missing ones
    advice: str | None = None  # what to do next; None where nothing helps

    @property
    def is_well(self) -> bool:
        """Whether every request is answered."""
        return not self.problems


def judge_manifest(manifest: Manifest) -> Judgement:
    """The judgement of a batch, with what to do next."""
    asked = manifest.input.requests if manifest.input else None
    project = manifest.project if isinstance(manifest.project, str) else ""
    name = str(BatchName.read(manifest.batch, project))
    judgement = judge(manifest, advise(name, find_again(manifest)), asked)
    if not isinstance(manifest.source.doubted, str):
        return judgement
    doubt = (
        f"the results look wrong: {manifest.source.doubted}; over minutes, Gemini gave the same"
        " again"
    )
    return replace(judgement, problems=(doubt, *judgement.problems))


def judge(counts: BatchCounts, advice: str | None = None, asked: int | None = None) -> Judgement:
    """The judgement from the counts; `asked` is how many requests the input holds, where known."""
    problems = tuple(_find_problems(counts, asked))
    answered = count_answers(counts.outcomes)
    return Judgement(
        text="; ".join(["stored", *filter(None, [", ".join(_name_faults(counts, asked))])]),
        problems=problems,
        answered=answered,
        unanswered=sum(counts.outcomes.values()) - answered + (counts.missing or 0),
        advice=advice if problems else None,
    )


def count_answers(outcomes: Mapping[str, int]) -> int:
    """How many of these results are answers."""
    return sum(count for outcome, count in outcomes.items() if outcome in ANSWERED)


def name_unanswered(outcomes: Mapping[str, int], missing: int | None = 0) -> list[str]:
    """The counts of results that are no answers, in words; those of 0 are left out.

    >>> name_unanswered({"ok": 2, "error": 1, "blocked": 1234}, 2)
    ['1,234 blocked', '1 error', '2 missing']
    >>> name_unanswered({"unkeyed": 5}, None)
    ['5 without a key', 'unknown how many missing']
    """
    names = [*OUTCOMES, *sorted(outcomes.keys() - set(OUTCOMES))]  # a later version may know more
    found = [(name, outcomes.get(name)) for name in names if name not in ANSWERED]
    words = [
        f"{count:,} {NOUNS.get(name, (name, name))[count != 1]}" for name, count in found if count
    ]
    if missing is None:
        return [*words, "unknown how many missing"]
    return [*words, f"{missing:,} missing"] if missing else words


def find_again(manifest: Manifest) -> Again:
    """What `resubmit` would send of this batch; an empty `_retry.jsonl` is known by its sha256."""
    has_rows = manifest.retry is not None and manifest.retry.sha256 != EMPTY_SHA256
    if manifest.input is not None:  # then the file holds the missing requests too
        return "whole" if has_rows else ""
    outcomes, missing = manifest.outcomes, manifest.missing
    lost = outcomes.get(Outcome.UNKEYED, 0) + outcomes.get(Outcome.MALFORMED, 0)
    may_miss = missing is None and manifest.state != "SUCCEEDED"
    return "keys" if has_rows or lost or missing or may_miss else ""


def advise(name: str, again: Again | None) -> str | None:
    """What to do about a batch that is not well.

    `name` is the one in the inbox; `again` is None where an earlier version did not record it.
    """
    short = BatchName.read(name).short
    match again:
        case "whole":
            return f"`gemini-batch-receiver resubmit {short}` sends again what is worth it"
        case "keys":
            effect = "sends again what is worth it, out of its input"
            return f"`gemini-batch-receiver resubmit {short} --input FILE` {effect}"
        case None:
            return f"`gemini-batch-receiver batches show {short}` says what to do"
    return None


def _find_problems(counts: BatchCounts, asked: int | None) -> Iterator[str]:
    requests, missing = counts.requests, counts.missing
    if counts.state not in ("", "SUCCEEDED"):
        yield f"the batch did not succeed: Gemini says {counts.state}"
    if _is_open(counts):
        yield "the number of its requests is not known, so some may be missing"
    elif not _adds_up(counts):
        results = count_of(sum(counts.outcomes.values()), "result", "results")
        sums = f"{_count_requests(requests or 0)}, {results}, {missing or 0:,} missing"
        yield f"the counts don't add up: {sums}"
    if asked is not None and requests is not None and asked != requests:
        yield f"the input holds {_count_requests(asked)}, Gemini says {requests:,}"
    if unanswered := name_unanswered(counts.outcomes):
        count = sum(counts.outcomes.values()) - count_answers(counts.outcomes)
        results_are = count_of(count, "result is", "results are")
        yield f"{results_are} no answer: {', '.join(unanswered)}"
    if missing:
        of_all = " requests" if requests is None else f" of {_count_requests(requests)}"
        yield f"{missing:,}{of_all} {'has' if missing == 1 else 'have'} no result"
    if not count_answers(counts.outcomes):
        yield "not one request is answered"


def _count_requests(number: int) -> str:
    return count_of(number, "request", "requests")


def _name_faults(counts: BatchCounts, asked: int | None) -> Iterator[str]:
    if counts.state not in ("", "SUCCEEDED"):
        yield STATES.get(counts.state, f"Gemini says {counts.state}")
    unanswered = name_unanswered(counts.outcomes, None if _is_open(counts) else counts.missing)
    yield from unanswered
    differs = asked is not None and asked != counts.requests
    if differs or not (
        _is_open(counts) or _adds_up(counts) or counts.outcomes.get(Outcome.DUPLICATE)
    ):
        yield "the counts don't add up"
    if not unanswered and not count_answers(counts.outcomes):
        yield "no answer"


def _is_open(counts: BatchCounts) -> bool:
    """Whether it is not known how many are missing."""
    return counts.requests is None or counts.missing is None or counts.balanced is None


def _adds_up(counts: BatchCounts) -> bool:
    """Whether each request has one result, or is missing."""
    return counts.balanced is True and counts.requests == sum(counts.outcomes.values()) + (
        counts.missing or 0
    )
