from contextlib import closing
from pathlib import Path

import pytest

from receiver.answers.index_rows import IndexRow
from receiver.outputs.outcomes import Outcome
from receiver.storage import LocalStorage
from tests.workers.storing import store
from workers.results.rules import Result, malformed
from workers.store.records import RecordWriter
from workers.verification.source_file import LARGE_ROW_BYTES, PIECE_BYTES, has_sha256, read_line
from workers.verification.verify_batch import verify_batch

MIB = 1024 * 1024
PAIR = "\U0001f600".encode()  # twelve bytes as JSON
KEPT = {
    "small": b"<html>",
    "small, no text": b"\xff\x00",
    "text": b'{"key":"k' * MIB,
    "escapes": b'\\"\n\x01' * MIB,
    "pairs": PAIR * MIB,
    "pairs at every place": b"".join(
        b"x" * shift + PAIR * (PIECE_BYTES // 12) for shift in range(13)
    ),
    "looks like a row": b',"raw":null,"raw_base64":"AAAA"}' * MIB,
    "no text": b"\xff" * (3 * MIB + 1),
}


def keep(folder: Path, line: bytes, result: Result | None = None) -> tuple[Path, IndexRow]:
    """A row of `_errors.jsonl` that is not the first."""
    with closing(RecordWriter("b1", folder)) as records:
        for number in (1, 2):
            row = records.add_error(
                number, result or malformed("json", "why"), Outcome.MALFORMED, line
            )
    return folder / "errors", row


@pytest.mark.parametrize("name", KEPT)
def test_line_is_read_back_in_pieces(tmp_path: Path, name: str) -> None:
    path, row = keep(tmp_path, KEPT[name])
    with path.open("rb") as file:
        assert has_sha256(file, row.offset, row.length, row.sha256)
        pieces = list(read_line(file, row.offset, row.length))
    assert b"".join(pieces) == KEPT[name]
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("line", [b"x" * LARGE_ROW_BYTES, b"\xff" * LARGE_ROW_BYTES])
def test_marks_of_a_line_in_what_stands_before_it_are_none(tmp_path: Path, line: bytes) -> None:
    told = ',"raw":null,"raw_base64":"'
    path, row = keep(tmp_path, line, Result(told, Outcome.ERROR, told, told))
    with path.open("rb") as file:
        assert b"".join(read_line(file, row.offset, row.length)) == line


@pytest.mark.parametrize(
    "broken",
    [
        b'"raw":"' + b"x" * LARGE_ROW_BYTES + b'","raw_base64":0}   ',
        b'"raw":"' + b"x" * LARGE_ROW_BYTES + b'"x","raw_base64":null}',
        b'"raw":"' + b"x" * LARGE_ROW_BYTES + b'\\ud800","raw_base64":null}',
        b'"raw":"' + b"x" * LARGE_ROW_BYTES + b'\\q","raw_base64":null}',
        b'"raw":"' + b"x" * LARGE_ROW_BYTES + b'\n","raw_base64":null}',
        b'"raw":null,"raw_base64":"' + b"A" * LARGE_ROW_BYTES + b'A"}',
        b'"raw":null,"raw_base64":"' + b"A" * LARGE_ROW_BYTES + b'AA=="x',
    ],
)
def test_row_that_is_none_is_found(tmp_path: Path, broken: bytes) -> None:
    row = b'{"line":1,' + broken
    (tmp_path / "errors").write_bytes(row)
    with (
        (tmp_path / "errors").open("rb") as file,
        pytest.raises(ValueError, match=r"breaks off|end as|base64|control|escape"),
    ):
        list(read_line(file, 0, len(row)))


def test_row_that_goes_on_beyond_its_file_is_not_as_told(tmp_path: Path) -> None:
    path, row = keep(tmp_path, b"<html>")
    with path.open("rb") as file:
        assert not has_sha256(file, row.offset, 2**62, row.sha256)


@pytest.mark.parametrize("name", ["pairs", "no text"])
def test_large_malformed_line_is_proven(tmp_path: Path, name: str) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    whole = b'{"response":{"candidates":[{"content":{"parts":[{"text":"x"}]}}]},"key":"k"}\n'
    store(storage, whole + b'{"key":"j' + KEPT[name] + b"\n", 2)
    (tmp_path / "scratch").mkdir()
    assert verify_batch(storage, "batches/b1", tmp_path / "scratch").findings == []
