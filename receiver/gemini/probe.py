"""One cheap call: does Gemini take a project's key, and do its clock and ours agree?"""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from receiver.gemini.batches import Gemini

DATE_ROUNDS_S = 0.5  # on average: the header is in whole seconds, rounded down


def probe_gemini(gemini: Gemini, *, clock: Callable[[], float] = time.time) -> float | None:
    """Ask for the shortest list of batches. Raises GeminiError.

    Gives how many seconds our clock is ahead of Gemini's, within about a second; None where its answer bears no date.
    """
    asked = clock()
    headers = gemini.transport.fetch("batches?pageSize=1", "the list of batches").headers
    try:
        theirs = parsedate_to_datetime(headers.get("date", "")).timestamp() + DATE_ROUNDS_S
    except ValueError:
        return None
    return (asked + clock()) / 2 - theirs
