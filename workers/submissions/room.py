"""What may be sent now, and what Gemini's refusals say of it."""

import time

import msgspec

from receiver.errors import GeminiError
from receiver.retry import jittered
from receiver.submissions.state import Room

FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 900.0


class RoomKeeper:
    """The room of one submission's project and model, for as long as one job works."""

    def __init__(self) -> None:
        self._room = Room()

    def look(self) -> Room:
        return self._room

    def note_refusal(self, error: GeminiError, refusals: int) -> None:
        """Gemini said 429, after `refusals` before: nothing is created for a while."""
        grown_s = min(FIRST_WAIT_S * 2 ** min(refusals, 10), LONGEST_WAIT_S)
        wait_s = jittered(max(grown_s, error.retry_after_s or 0))
        self._room = msgspec.structs.replace(self._room, refused_until=time.time() + wait_s)
