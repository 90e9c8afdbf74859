"""A file that requests name by its content is uploaded once, and again once Gemini forgot it."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import SubmissionError
from receiver.gemini.batches import Gemini
from receiver.gemini.files import Files
from receiver.storage import LocalStorage
from receiver.submissions.attached_files import AttachedFiles, attachment_name
from tests.forwarding import Gate
from tests.receiver.submissions.submitting import planned, stored_input, submit

UPLOAD = "/upload/"


@pytest.fixture
def picture() -> bytes:
    """A content that no other test uploads."""
    return uuid.uuid4().bytes


@pytest.fixture
def gemini(gate: Gate) -> Iterator[Gemini]:
    with Gemini(gate.url, "right-key") as gemini:
        yield gemini


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def attached(gemini: Gemini, storage: LocalStorage, project: str = "") -> AttachedFiles:
    return AttachedFiles(Files(gemini.transport), storage, project, lambda: None)


def request(key: str, *parts: dict[str, Any]) -> bytes:
    row = {"key": key, "request": {"contents": [{"role": "user", "parts": list(parts)}]}}
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def file_part(data: bytes, mime_type: str = "image/png") -> dict[str, Any]:
    return {"file_data": {"mime_type": mime_type, "file_uri": f"sha256:{digest_of(data)}"}}


def uris(line: bytes) -> list[str]:
    parts = json.loads(line)["request"]["contents"][0]["parts"]
    return [part["file_data"]["file_uri"] for part in parts if "file_data" in part]


def put(storage: LocalStorage, *contents: bytes) -> None:
    storage.put_many([(attachment_name(digest_of(data)), data) for data in contents])


def test_a_content_is_uploaded_once_with_its_type(
    gate: Gate, gemini: Gemini, tmp_path: Path, picture: bytes
) -> None:
    storage, other = LocalStorage(tmp_path / "outputs"), picture + b"2"
    put(storage, picture, other)
    files = attached(gemini, storage)
    line = request("a", file_part(picture), {"text": "x"}, file_part(other, "audio/mpeg"))
    sent = files.complete_request(line, tmp_path)
    first, second = uris(sent)
    assert first.startswith(gate.upstream.partition("//")[0])
    names = [uri.rpartition("/")[2] for uri in (first, second)]
    found = [Files(gemini.transport).get(f"files/{name}") for name in names]
    assert [one.sha256 for one in found] == [digest_of(picture), digest_of(other)]
    shown = [json.loads(gemini.transport.get(f"files/{name}", name)) for name in names]
    assert [one["mimeType"] for one in shown] == ["image/png", "audio/mpeg"]

    uploads = gate.count(UPLOAD)
    assert uris(files.complete_request(line, tmp_path)) == [first, second]
    assert uris(attached(gemini, storage).complete_request(line, tmp_path)) == [first, second]
    assert gate.count(UPLOAD) == uploads


def test_a_text_that_looks_like_a_file_stays_a_text(
    gemini: Gemini, tmp_path: Path, picture: bytes
) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    text = f'"file_uri":"sha256:{digest_of(picture)}"'
    line = request("a", {"text": text}, {"text": f"sha256:{digest_of(picture)}"})
    assert attached(gemini, storage).complete_request(line, tmp_path) == line


def test_a_file_that_gemini_forgot_is_uploaded_again(
    gemini: Gemini, tmp_path: Path, picture: bytes
) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    put(storage, picture)
    line = request("a", file_part(picture))
    (first,) = uris(attached(gemini, storage).complete_request(line, tmp_path))
    Files(gemini.transport).delete(f"files/{first.rpartition('/')[2]}")
    (second,) = uris(attached(gemini, storage).complete_request(line, tmp_path))
    assert second != first


def test_projects_have_uploads_of_their_own(gemini: Gemini, tmp_path: Path, picture: bytes) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    put(storage, picture)
    line = request("a", file_part(picture))
    found = [
        uris(attached(gemini, storage, project).complete_request(line, tmp_path))
        for project in ("", "acme", "acme")
    ]
    assert found[0] != found[1] == found[2]


def test_a_file_that_is_not_stored_is_named(gemini: Gemini, tmp_path: Path, picture: bytes) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    with pytest.raises(SubmissionError, match=f"_files/{digest_of(picture)} is not in the storage"):
        attached(gemini, storage).complete_request(request("a", file_part(picture)), tmp_path)


def test_a_stored_file_that_was_spoilt_is_not_sent(
    gate: Gate, gemini: Gemini, tmp_path: Path, picture: bytes
) -> None:
    """Its answers would be those to another picture."""
    storage = LocalStorage(tmp_path / "outputs")
    name = attachment_name(digest_of(picture))
    storage.put_many([(name, picture[::-1])])
    with pytest.raises(SubmissionError, match=f"{name} does not hold what was submitted"):
        attached(gemini, storage).complete_request(request("a", file_part(picture)), tmp_path)
    assert gate.count(UPLOAD) == 0


@pytest.mark.parametrize("inline", [False, True])
def test_a_batch_is_created_of_requests_with_addresses(
    gate: Gate, source: Path, picture: bytes, *, inline: bool
) -> None:
    source.write_bytes(b"".join(request(f"k{number}", file_part(picture)) for number in range(3)))
    put(LocalStorage(source.parent / "outputs"), picture)
    (sent,) = submit(gate, source, attaches_files=True, inline=inline)
    assert stored_input(source, sent) == source.read_bytes()  # a later round uploads anew
    if inline:
        return
    _, part, records = planned(source, attaches_files=True)
    uploaded = records.uploaded(part)
    assert uploaded is not None
    with Gemini(gate.url, "right-key") as gemini:
        size = Files(gemini.transport).get(uploaded.file).size_bytes
    record = LocalStorage(source.parent / "outputs").read(
        f"{attachment_name(digest_of(picture))}.default.json"
    )
    longer = len(json.loads(record or b"")["uri"]) - len(f"sha256:{digest_of(picture)}")
    assert size == source.stat().st_size + 3 * longer
