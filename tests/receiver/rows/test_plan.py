"""Rows become requests: each asked once, each row with a key, each mistake with its row."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.errors import RowsError
from receiver.rows.asking import Asking, digest_request, read_setting
from receiver.rows.attachments import Attachments
from receiver.rows.plan import RowFiles, RowKey, WrittenRows, preview, write_requests
from receiver.rows.prompts import Prompt
from receiver.storage import open_storage
from receiver.submissions.attached_files import attachment_name
from receiver.submissions.splitting import SplitInput, split_input
from receiver.submissions.validation import LineChecker

SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}}


def ask(text: str = "Rate: {{ text }}", **others: Any) -> Asking:
    return Asking(Prompt.parse(text, ("id", "text", "photo")), **others)


def write(
    rows: Sequence[dict[str, Any]], asking: Asking, tmp_path: Path
) -> tuple[WrittenRows, list[dict[str, Any]], list[RowKey]]:
    table = tmp_path / "rows.jsonl"
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    files = RowFiles.below(tmp_path, "requests")
    written = write_requests(table, "jsonl", asking, Attachments(tmp_path).part, files)
    with gzip.open(files.keys, "rb") as lines:
        found = [msgspec.json.decode(line, type=RowKey) for line in lines]
    return written, [json.loads(line) for line in files.requests.read_text().splitlines()], found


def test_equal_requests_are_asked_once_under_the_key_of_their_first_row(tmp_path: Path) -> None:
    texts = ["good", "bad", "good", "good", "ugly"]
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]
    written, requests, keys = write(rows, ask(key="id"), tmp_path)
    assert [line["key"] for line in requests] == ["r0", "r1", "r4"]
    assert [one.request for one in keys] == ["r0", "r1", "r0", "r0", "r4"]
    assert [one.key for one in keys] == ["r0", "r1", "r2", "r3", "r4"]
    assert (written.rows, written.requests, written.copied) == (5, 3, 2)
    listed = "".join(f'"r{number}"\n' for number in range(5))
    assert written.keys_sha256 == hashlib.sha256(listed.encode()).hexdigest()


def test_the_requests_are_what_gemini_accepts(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"picture")
    rows = [{"id": 1, "text": "a", "photo": "photo.png"}, {"id": 2, "text": "b", "photo": None}]
    asking = ask(
        system=Prompt.parse("Be {{ text }}", ("text",)),
        schema=SCHEMA,
        config={"max_output_tokens": 100},
        attachments=("photo",),
    )
    _, requests, keys = write(rows, asking, tmp_path)
    uri = f"sha256:{hashlib.sha256(b'picture').hexdigest()}"
    assert requests[0] == {
        "key": "1",
        "request": {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"file_data": {"mime_type": "image/png", "file_uri": uri}},
                        {"text": "Rate: a"},
                    ],
                }
            ],
            "system_instruction": {"parts": [{"text": "Be a"}]},
            "generation_config": {
                "response_mime_type": "application/json",
                "response_json_schema": SCHEMA,
                "max_output_tokens": 100,
            },
        },
    }
    assert len(requests[1]["request"]["contents"][0]["parts"]) == 1
    assert [one.key for one in keys] == ["1", "2"]

    with (tmp_path / "requests").open("rb") as lines:
        assert isinstance(split_input(lines, LineChecker()), SplitInput)


def test_texts_are_embedded(tmp_path: Path) -> None:
    _, requests, _ = write([{"text": "a"}], Asking(None, embed="text"), tmp_path)
    assert requests == [{"key": "1", "request": {"content": {"parts": [{"text": "a"}]}}}]
    with (tmp_path / "requests").open("rb") as lines:
        assert isinstance(split_input(lines, LineChecker("embed")), SplitInput)


@pytest.mark.parametrize(
    ("rows", "asking", "words"),
    [
        (
            [{"id": "x", "text": "a"}, {"id": "x", "text": "b"}],
            ask(key="id"),
            "row 2 .* like row 1",
        ),
        ([{"id": "x", "text": "a"}, {"text": "b"}], ask(key="id"), "row 2: its 'id' is missing"),
        ([{"id": 1.5, "text": "a"}], ask(key="id"), "row 1: its 'id' is 1.5: a key is"),
        ([{"id": True, "text": "a"}], ask(key="id"), "row 1: its 'id' is True"),
        ([{"id": "", "text": "a"}], ask(key="id"), "row 1: its 'id' is empty"),
        ([{"text": "a"}, {"text": " "}], ask("{{ text }}"), "row 2: the prompt is empty"),
        ([], ask(), "has no row"),
        ([{"text": 5}], Asking(None, embed="text"), "row 1: its 'text' is 5: only a text"),
        (
            [{"text": "a", "photo": "no.png"}],
            ask(attachments=("photo",)),
            "row 1, column 'photo': 'no.png' can't be read: No such file",
        ),
        (
            [{"text": "a", "photo": "https://x/y"}],
            ask(attachments=("photo",)),
            "row 1, column 'photo': '/y' has no ending that says what it is",
        ),
        ([{"text": "a", "photo": 3}], ask(attachments=("photo",)), "is 3, and no path or address"),
        ([{"text": "a", "photo": "a\0.png"}], ask(attachments=("photo",)), "can't be read: "),
    ],
)
def test_a_wrong_row_is_named(
    rows: Sequence[dict[str, Any]], asking: Asking, words: str, tmp_path: Path
) -> None:
    with pytest.raises(RowsError, match=words):
        write(rows, asking, tmp_path)


def test_half_a_surrogate_pair_is_refused_with_its_row(tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text('{"text": "a"}\n{"text": "\\ud83d"}\n')
    files = RowFiles.below(tmp_path, "requests")
    with pytest.raises(RowsError, match="row 2"):
        write_requests(table, "jsonl", ask(), Attachments(tmp_path).part, files)


def test_the_digest_of_a_request_is_that_of_what_it_asks() -> None:
    assert digest_request({"a": 1, "b": {"c": 2, "d": 3}}) == digest_request(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert digest_request({"a": [1, 2]}) != digest_request({"a": [2, 1]})


def test_a_file_is_kept_once_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"same")
    (tmp_path / "b.jpg").write_bytes(b"same")
    attachments = Attachments(tmp_path)
    assert attachments.part("a.jpg") == attachments.part("b.jpg")
    storage = open_storage(f"file://{tmp_path}/outputs")
    attachments.keep(storage)
    assert storage.read(attachment_name(hashlib.sha256(b"same").hexdigest())) == b"same"
    assert len(list(storage.list_names("_files"))) == 1
    assert (tmp_path / "a.jpg").read_bytes() == b"same"  # the user's file stays where it is


def test_a_file_that_changes_meanwhile_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"one")
    attachments = Attachments(tmp_path)
    attachments.part("a.jpg")
    (tmp_path / "a.jpg").write_bytes(b"two")
    storage = open_storage(f"file://{tmp_path}/outputs")
    with pytest.raises(RowsError, match=r"a\.jpg has changed since it was read"):
        attachments.keep(storage)
    assert list(storage.list_names("_files")) == []


def test_an_address_is_taken_as_it_is(tmp_path: Path) -> None:
    part = Attachments(tmp_path).part("gs://bucket/talk.MP3?x=1")
    assert part == {
        "file_data": {"mime_type": "audio/mpeg", "file_uri": "gs://bucket/talk.MP3?x=1"}
    }


def test_a_preview_reads_no_more_rows_than_it_shows(tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text('{"text": "a"}\n{"text": "b"}\n{"text": "c"}\nnonsense\n')
    shown = list(preview(table, "jsonl", ask(), Attachments(tmp_path).part, 2))
    assert [line["key"] for line in shown] == ["1", "2"]


@pytest.mark.parametrize("text", ["temperature", "=1", ""])
def test_a_setting_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(RowsError, match="--set takes NAME=VALUE"):
        read_setting(text)
