"""What a target that took a notice says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Acknowledged:
    """The answer of a target that took the notice."""

    status: int | None  # of HTTP; None for a job
    said: str  # for people
    took_s: float
