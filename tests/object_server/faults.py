"""What goes wrong, with which requests, and how often."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "put",
    "create",
    "get",
    "head",
    "delete",
    "list",
    "start",
    "part",
    "complete",
    "abort",
    "credentials",
]
Fault = Literal[
    "", "slow-down", "too-many", "internal", "reset", "lost", "denied", "missing", "hang"
]


@dataclass(frozen=True)
class Knobs:
    """Without a fault the others mean nothing, but for `delay_ms`."""

    delay_ms: float = 0  # before every answer
    fault: Fault = ""  # "lost": the work is done, but the connection is reset before the answer
    on: tuple[Kind, ...] = ("put", "create", "part")
    share: float = 1.0  # of these requests
    seed: int = 1
    times: int = -1  # at most so many; -1: no end
    per_s: int = 0  # only those beyond so many in a second
    retry_after_s: int = 0  # said with "slow-down" and "too-many"


@dataclass
class Misfortune:
    """Decides request by request."""

    knobs: Knobs = field(default_factory=Knobs)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._random = random.Random(self.knobs.seed)
        self._left = self.knobs.times
        self._allowance = float(self.knobs.per_s)
        self._looked = self.clock()

    def strike(self, kind: Kind) -> Fault:
        """The fault of the next request; empty when it goes well."""
        knobs = self.knobs
        if not knobs.fault or kind not in knobs.on or self._left == 0:
            return ""
        if (knobs.per_s and self._is_allowed()) or self._random.random() >= knobs.share:
            return ""
        self._left -= 1
        return knobs.fault

    def _is_allowed(self) -> bool:
        """A bucket of tokens that holds a tenth of a second's."""
        now, rate = self.clock(), self.knobs.per_s
        self._allowance = min(self._allowance + (now - self._looked) * rate, max(1.0, rate / 10))
        self._looked = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
