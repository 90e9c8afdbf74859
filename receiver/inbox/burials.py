"""Which batches were buried for a cause that may pass without a change of the batch. Pure."""

import re

from receiver.inbox.entries import Entry

PASSING_FAULTS = frozenset({"outside", "refused"})

# The version before kept no fault. These are the causes that it wrote for such errors, and nobody writes by hand.
PASSING_CAUSES = re.compile(
    r"Gemini (did not give|refused|knows no|redirected) (batches|files)/"
    r"|Gemini says [A-Z_]+( but does not name the results yet)?$"
    r"|Gemini's answer on (batches|files)/"
    r"|no answer from Gemini for (batches|files)/"
    r"|the download of files/\S+ broke at byte "
    r"|files/\S+ (changed while it was read|came without a length|arrived )"
    r"|the storage did not \w+( for)? "
    r"|STORAGE_URL can't be used: "
    r"|.{1,200} did not hold the results on their way to the storage"
    r"|the project \w+ is not known here"
)


def may_pass(entry: Entry) -> bool:
    """Whether a buried batch may be opened once Gemini gives its results: no person and no crash buried it."""
    if entry.state != "buried":
        return False
    if entry.fault:
        return entry.fault in PASSING_FAULTS
    return PASSING_CAUSES.match(entry.cause) is not None
