"""What can become of a request, and the sets of outcomes that decisions depend on. Pure."""

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of one result line; its order is the manifest's."""

    OK = "ok"  # a whole answer: it ended by itself, and holds something
    BLOCKED = "blocked"  # the prompt or the answer was refused; the same request is refused again
    TRUNCATED = "truncated"  # the answer was cut at MAX_TOKENS; the same budget gives the same cut
    EMPTY = "empty"  # it ended by itself and holds nothing; worth another try
    ERROR = "error"  # the request failed; its code says whether another try makes sense
    MALFORMED = "malformed"  # not in the documented form; worth another try
    UNKEYED = "unkeyed"  # no key says which request this answers, so none can be sent again
    DUPLICATE = "duplicate"  # its key had an earlier line


OUTCOMES = tuple(outcome.value for outcome in Outcome)

ANSWERED = frozenset({Outcome.OK})  # the request has its answer
# Results that answer no request. The line that a duplicate repeats says what became of its request.
FAILED = frozenset(Outcome) - ANSWERED - {Outcome.DUPLICATE}
# Lines of these go to `_errors.jsonl`; of several of one key, the last one here counts.
ERROR_FILE = (Outcome.DUPLICATE, Outcome.MALFORMED, Outcome.ERROR)
