"""Pure: what a submission is made of; here and not with the checks, so that a worker loads none of those."""

from typing import Literal

import msgspec

Kind = Literal["generate", "embed"]


class Part(msgspec.Struct, frozen=True):
    """The lines of one batch: a range of the input's bytes."""

    number: int  # from 1
    first_line: int
    offset: int  # bytes
    size_bytes: int
    requests: int
    sha256: str = ""  # hex; empty in a plan of the version before
