"""How far a submission goes by itself, and what a person has said of it since. Pure."""

from decimal import Decimal
from typing import Literal

import msgspec

DAY_S = 86_400.0
DEFAULT_ROUNDS, MAX_ROUNDS = 3, 20
MAX_OUTPUT_TOKENS = 65_536
OUTPUT_TOKENS_LIMIT = 1_000_000  # that a user may allow

RescueWay = Literal["batch", "flex"]
Command = Literal["run", "pause", "cancel"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the user allows. The last `batches submit` or `submissions resume` decides."""

    rounds: int = DEFAULT_ROUNDS  # after the first sending; 0: nothing is sent again
    max_cost: Decimal | None = None  # of the whole submission, in US dollars
    allow_unknown_cost: bool = False
    overdue_s: float = DAY_S  # when a batch that has not ended is told of
    rescue_after_s: float | None = None  # when it is cancelled, and its rest sent anew
    rescue: RescueWay = "batch"
    max_output_tokens: int = MAX_OUTPUT_TOKENS  # up to which a truncated request's budget grows
    explain_invalid: bool = False  # tell the model why an answer did not fit RESPONSE_SCHEMA
    export: str | None = None  # URL of the table that is written at the end


class Order(msgspec.Struct, frozen=True):
    """The content of `command.json`: what a person said last."""

    command: Command = "run"
    at: float = 0.0  # Unix time in seconds
