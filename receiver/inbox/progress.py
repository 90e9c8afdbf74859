"""How far a worker is with a batch, as it tells the inbox whenever it renews its lease. Pure."""

from typing import Literal

import msgspec

from receiver.tolerant_json import tolerant_reader

Stage = Literal["ask", "split", "store"]


class JobProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look at an attempt."""

    stage: Stage  # waits for Gemini, downloads and splits, or writes the rest of the outputs and the records
    bytes: int = 0  # of the source that have come
    total_bytes: int | None = None  # of the source; None where Gemini did not say
    lines: int = 0  # that have their outcome
    requests: int | None = None
    display_name: str | None = None


_decode_progress = tolerant_reader(JobProgress)


def read_progress(text: str) -> JobProgress | None:
    """Undo its encoding; None where there is none, or none that can be read."""
    try:
        return _decode_progress(text.encode())
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None
