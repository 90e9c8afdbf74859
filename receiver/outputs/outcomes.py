"""What can become of a request: the words for it, and the sets of them that the whole project asks about."""

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of one result line; its order is the manifest's."""

    OK = "ok"  # a whole answer: it ended by itself, and holds something
    BLOCKED = "blocked"  # the prompt or the answer was refused; the same request is refused again
    TRUNCATED = "truncated"  # the answer was cut at MAX_TOKENS; the same budget gives the same cut
    EMPTY = "empty"  # it ended by itself and holds nothing; worth another try
    ERROR = "error"  # the request failed; its code says whether another try makes sense
    MALFORMED = "malformed"  # nothing that the contract knows; worth another try
    UNKEYED = (
        "unkeyed"  # nobody can say which request this answers, so it can't be sent again either
    )
    DUPLICATE = "duplicate"  # its key had an earlier line


OUTCOMES = tuple(outcome.value for outcome in Outcome)

ANSWERED = frozenset({Outcome.OK})  # the request has what it was sent for
FINAL = frozenset({Outcome.OK, Outcome.BLOCKED})  # no other try can end differently
# Lines of these go to `_errors.jsonl`, from the least telling about their key to the most.
ERROR_FILE = (Outcome.DUPLICATE, Outcome.MALFORMED, Outcome.ERROR)
