"""What the deliveries of one project have shown this web process about its secrets."""

import time
from collections.abc import Callable

LASTS_S = 900.0  # how long an accepted delivery outweighs what Gemini shows of the secrets


class Evidence:
    """When the last delivery of a registered webhook was accepted here, and when one was refused.

    Nobody without a secret can forge an accepted one. A refused one may be anybody's: it only takes away what an
    accepted one showed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accepted_s = self._refused_s = float("-inf")

    def accepted(self) -> None:
        self._accepted_s = self._clock()

    def refused(self) -> None:
        self._refused_s = self._clock()

    @property
    def shows_that_the_secret_fits(self) -> bool:
        """A delivery was accepted lately, and none was refused after it."""
        return self._accepted_s > max(self._refused_s, self._clock() - LASTS_S)
