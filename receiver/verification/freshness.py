"""How far a signed moment may lie from this machine's clock."""

import math

from receiver.errors import SignatureError

TOLERANCE_S = 300  # the replay window that Standard Webhooks and Gemini's guide name


def require_fresh(what: str, instant: float, now: float) -> None:
    """Raise SignatureError when `instant` is more than 300 s from `now`, both in Unix seconds; 300 s is still fine."""
    off_s = math.ceil(abs(now - instant))
    if off_s > TOLERANCE_S:
        side = "past" if instant < now else "future"
        raise SignatureError(f"{what} is {off_s} s in the {side}: check the clock of this machine")
