"""Options of a sandbox that are fixed at its start."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.sandbox.replay import Replay

DAY_S = 24 * 3600.0

Scheme = Literal["v1a", "jwt"]


@dataclass(frozen=True)
class SandboxConfig:
    folder: Path  # uploaded files and results; must exist
    pending_s: float = 0.2  # how long a job stays PENDING
    running_s: float = 0.5  # how long it stays RUNNING at least; a big input takes longer
    seed: int = 0  # the same seed and request give the same answer
    api_key: str | None = None  # the only key accepted; None accepts any that is not empty
    retry_base_s: float = 1.0  # wait before a delivery's second attempt; doubles each time
    retry_for_s: float = DAY_S  # a delivery is given up after this time
    delivery_timeout_s: float = 5.0  # without an answer by then, the attempt has failed
    disable_after: int = 20  # failed attempts in a row before a webhook is switched off
    secret_overlap_s: float = DAY_S  # how long a rotated secret still signs
    payments: bool = False  # keep in memory which requests were charged for
    file_ttl_s: float = 2 * DAY_S  # an uploaded file is gone after this time
    replay: Replay = field(default_factory=Replay)  # what a probe saw of Gemini
