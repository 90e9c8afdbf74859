"""What can be done to a stored batch, in the words of the table in deploy/THREATS.md."""

from collections.abc import Callable
from typing import NamedTuple

from tests.workers.stored_batches import Stored

BYTES = "bytes of an object changed, cut, added, exchanged or deleted"
STRAY = "an object added to a folder of the batch"
ROWS = "rows of the index changed, moved, added, repeated or left out, its sha256 in the manifest made to fit"
KEYS = "a result under another key or name, or judged otherwise, the index made to fit"
LINES = "lines changed, index and sums made to fit"
RECORDS = "errors, requests to send again or input changed, their sha256 made to fit"
SUMS = "outcomes, sums, missing keys, tokens, template or pattern of the manifest changed"
FORMS = "a form or a row of its index changed"
FORMS_FIT = (
    "a text, a thought, a JSON answer or a picture changed, its index and the manifest made to fit"
)
SCHEMA_FIT = "the same of a JSON answer, where the RESPONSE_SCHEMA of the day is not at hand"
TABLE_FIT = "the same of a table"
COST = "the cost made unknown or said to come from another price list, or how much of it is priced"
BLANK = "the sha256 of a source with blank lines changed, or made unclear by a blank line of white space"
RULES = "an outcome changed, and the manifest made to say that other rules judged it"
FACTS = "what Gemini alone knows changed: state, names, times, error, a number of requests without a known input"
ALL = "lines changed, and everything that follows from them, the manifest included"
SIGNATURE = "the signature deleted or replaced"
ELSEWHERE = "an object added where other batches' objects may lie"
ASIDE = "a manifest set aside, or an input where none was known, added to the folder"
LINKS = "`_submission.json` or `_resubmitted.json` changed"
OLDER = "an older signed state put back whole"

FOUND, NOTED, NOT = "found", "noted", "not found"


class Tampering(NamedTuple):
    name: str
    kind: str  # of stored_batches
    row: str
    spoil: Callable[[Stored], object]
    words: str = ""  # in a finding of a plain `verify`, or in a note
    plain: str = FOUND
    signed: str = FOUND  # with the public key
