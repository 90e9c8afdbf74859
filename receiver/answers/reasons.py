"""What a result that is no answer says of the reason. Pure."""

from typing import Any

import msgspec

from receiver.answers.candidates import CLEAN_REASONS
from receiver.tolerant_json import tolerant_reader


class Reason(msgspec.Struct, frozen=True):
    """What a line says of its failure; of a stored output, it is judged anew.

    The reason of a clean end is none: an answer whose key an earlier line had ended cleanly.
    """

    code: str | None = None  # "8" or "NOT_FOUND"; "SAFETY"; "json" of a line that can't be read
    message: str | None = None


class _ErrorRow(msgspec.Struct, frozen=True):
    """A row of `_errors.jsonl`; the line in it is skipped."""

    code: Any = None
    message: Any = None


_read_error = tolerant_reader(_ErrorRow)


def parse_reason(line: bytes) -> Reason:
    """What a row of `_errors.jsonl` says. Raises ValueError."""
    said = _read_error(line)
    return make_reason(*(None if one is None else str(one) for one in (said.code, said.message)))


def make_reason(code: str | None, message: str | None) -> Reason:
    """What a line was judged by, without the code of a clean end."""
    return Reason(None if code in CLEAN_REASONS else code, message)
