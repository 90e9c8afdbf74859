"""`answers.jsonl`: what became of every request of a submission, in the order of the input."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from receiver.errors import StorageError
from receiver.submissions.proof import MISSING, AnswerRow
from receiver.submissions.state import PartState
from workers.submissions.part_results import (
    Reading,
    key_member,
    load_part_manifest,
    read_keys,
)
from workers.submissions.request_table import FinalOutcome, RequestTable

_encode = msgspec.json.Encoder().encode


def write_answers(
    reading: Reading, parts: Sequence[PartState], table: RequestTable, path: Path
) -> str:
    """Write a row per request to a file. Returns its sha256 in hex.

    `table` holds the requests of these parts and all their tries. Raises StorageError.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for row in read_answers(reading, parts, table):
            data = encode_answer(row)
            file.write(data)
            digest.update(data)
    return digest.hexdigest()


def read_answers(
    reading: Reading, parts: Sequence[PartState], table: RequestTable
) -> Iterator[AnswerRow]:
    """The row of every request, in order."""
    sent = {one.part.number: one for one in parts}
    try:
        for key, final in zip(_all_keys(reading, parts), table.finals(), strict=True):
            yield _make_row(key, final, sent)
    except ValueError as error:  # of zip
        raise StorageError("the requests changed while they were read") from error


def _all_keys(reading: Reading, parts: Sequence[PartState]) -> Iterator[str]:
    for one in parts:
        if not one.part.round:
            member = key_member(load_part_manifest(reading.storage, one))
            yield from read_keys(reading, one, member)


def _make_row(key: str, final: FinalOutcome, sent: dict[int, PartState]) -> AnswerRow:
    one = None if final.try_number is None else sent[final.try_number]
    return AnswerRow(
        request=final.request,
        key=key,
        round=one.part.round if one else 0,
        batch=one.batch if one else None,
        outcome=final.outcome or MISSING,
        object=final.object,
        offset=final.offset,
        length=final.length,
        sha256=final.sha256,
    )


def encode_answer(row: AnswerRow) -> bytes:
    """A line of JSON; in ASCII where the key holds what UTF-8 can't."""
    try:
        return _encode(row) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(msgspec.structs.asdict(row), separators=(",", ":")).encode() + b"\n"
