"""Whether a stored batch is well: the one judgement and the one wording of every command, page, metric and notice.

A batch is well when Gemini says SUCCEEDED, the number of its requests is known, and every one is answered. Pure.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from receiver.batch_names import BatchName
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ANSWERED, OUTCOMES, Outcome

Again = Literal[
    "", "whole", "keys"
]  # what `resubmit` can send: nothing, whole requests, or keys that need --input

NOTHING_SHA256 = hashlib.sha256(b"").hexdigest()
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


class Books(Protocol):
    """What is judged: a manifest, or what is left of one."""

    @property
    def state(self) -> str:
        """As Gemini says; empty where nobody wrote it down."""

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
    doubt = f"the results look wrong: {manifest.source.doubted}; over minutes, Gemini gave the same again"
    return replace(judgement, problems=(doubt, *judgement.problems))


def judge(books: Books, advice: str | None = None, asked: int | None = None) -> Judgement:
    """The judgement from the counts alone; `asked` is how many requests the input holds, where that is known."""
    problems = tuple(_find_problems(books, asked))
    answered = count_answers(books.outcomes)
    return Judgement(
        text="; ".join(["stored", *filter(None, [", ".join(_name_faults(books, asked))])]),
        problems=problems,
        answered=answered,
        unanswered=sum(books.outcomes.values()) - answered + (books.missing or 0),
        advice=advice if problems else None,
    )


def count_answers(outcomes: Mapping[str, int]) -> int:
    """How many of these results are answers."""
    return sum(count for outcome, count in outcomes.items() if outcome in ANSWERED)


def name_unanswered(outcomes: Mapping[str, int], missing: int | None = 0) -> list[str]:
    """The counts of what is no answer in words, in the order of the outcomes; what is 0 is left out.

    >>> name_unanswered({"ok": 2, "error": 1, "blocked": 1234}, 2), name_unanswered({"unkeyed": 5}, None)
    (['1,234 blocked', '1 error', '2 missing'], ['5 without a key', 'unknown how many missing'])
    """
    names = [*OUTCOMES, *sorted(outcomes.keys() - set(OUTCOMES))]  # a later version may know more
    counts = [(name, outcomes.get(name, 0)) for name in names if name not in ANSWERED]
    words = [
        f"{count:,} {NOUNS.get(name, (name, name))[count != 1]}" for name, count in counts if count
    ]
    if missing is None:
        return [*words, "unknown how many missing"]
    return [*words, f"{missing:,} missing"] if missing else words


def find_again(manifest: Manifest) -> Again:
    """What `resubmit` would send of this batch; an empty `_retry.jsonl` is known by its sha256."""
    has_rows = manifest.retry is not None and manifest.retry.sha256 != NOTHING_SHA256
    if manifest.input is not None:  # then the file holds the missing requests too
        return "whole" if has_rows else ""
    outcomes, missing = manifest.outcomes, manifest.missing
    lost = outcomes.get(Outcome.UNKEYED, 0) + outcomes.get(Outcome.MALFORMED, 0)
    may_miss = missing is None and manifest.state != "SUCCEEDED"
    return "keys" if has_rows or lost or missing or may_miss else ""


def advise(name: str, again: Again | None) -> str | None:
    """What to do about a batch that is not well; `name` as in the inbox, `again` None where nobody noted it."""
    short = BatchName.read(name).short
    match again:
        case "whole":
            return f"`gemini-batch-receiver resubmit {short}` sends again what is worth it"
        case "keys":
            effect = "sends again what is worth it, out of its input"
            return f"`gemini-batch-receiver resubmit {short} --input FILE` {effect}"
        case None:
            return f"`gemini-batch-receiver batches show {short}` says what to do"
        case _:
            return None


def _find_problems(books: Books, asked: int | None) -> Iterator[str]:
    requests, missing = books.requests, books.missing
    if books.state not in ("", "SUCCEEDED"):
        yield f"the batch did not succeed: Gemini says {books.state}"
    if _is_open(books):
        yield "how many requests there were is not known, so nobody can say that none is missing"
    elif not _adds_up(books):
        results = sum(books.outcomes.values())
        yield f"the books don't balance: {requests} requests, {results} results, {missing} missing"
    if asked is not None and requests is not None and asked != requests:
        yield f"the input holds {asked} requests, Gemini says {requests}"
    if unanswered := name_unanswered(books.outcomes):
        count = sum(books.outcomes.values()) - count_answers(books.outcomes)
        yield f"{count} {'result is' if count == 1 else 'results are'} no answer: {', '.join(unanswered)}"
    if missing:
        yield f"{missing} {'requests' if requests is None else f'of {requests} requests'} have no result"
    if not count_answers(books.outcomes):
        yield "not one request is answered"


def _name_faults(books: Books, asked: int | None) -> Iterator[str]:
    if books.state not in ("", "SUCCEEDED"):
        yield STATES.get(books.state, f"Gemini says {books.state}")
    counts = name_unanswered(books.outcomes, None if _is_open(books) else books.missing)
    yield from counts
    differs = asked is not None and asked != books.requests
    if differs or not (_is_open(books) or _adds_up(books) or books.outcomes.get(Outcome.DUPLICATE)):
        yield "the books don't balance"
    if not counts and not count_answers(books.outcomes):
        yield "no answer"


def _is_open(books: Books) -> bool:
    """Whether nobody can say that none is missing."""
    return books.requests is None or books.missing is None or books.balanced is None


def _adds_up(books: Books) -> bool:
    """Whether each request has one result, or is missing."""
    return books.balanced is True and books.requests == sum(books.outcomes.values()) + (
        books.missing or 0
    )
