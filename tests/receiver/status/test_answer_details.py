"""One result of a stored batch, and what is not read of it."""

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.answers.index_rows import read_row
from receiver.answers.packed_lines import MAX_LINE_BYTES
from receiver.outputs.paths import index_name
from receiver.status.answer_details import Wanted, read_answer_details, read_media
from receiver.status.downloads import find_download, is_reachable, list_downloads
from receiver.storage import LocalStorage
from tests import nasty
from tests.receiver.status.answer_world import inline, responding
from tests.workers.storing import store


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def change_row(storage: LocalStorage, **fields: Any) -> None:
    """Write the first row of the index anew."""
    rows = gzip.decompress(storage.read(index_name("b1")) or b"").splitlines()
    rows[0] = msgspec.json.encode(msgspec.structs.replace(read_row(rows[0]), **fields))
    storage.put_many([(index_name("b1"), gzip.compress(b"\n".join(rows)))])


def test_line_that_is_too_long_is_named(storage: LocalStorage) -> None:
    store(storage, b"\n".join((nasty.answer("a"), nasty.answer("b"))), 2)
    change_row(storage, length=MAX_LINE_BYTES + 1)
    found = read_answer_details(storage, "b1", Wanted("a"), ())
    assert found.view is not None
    assert found.view.problem == "it has 32 MiB, and at most 32 are read here: see b1/a.json"
    assert found.neighbours is not None
    assert found.neighbours.after is not None
    assert found.neighbours.after.key == "b"


def test_batch_that_is_not_stored_has_no_results(storage: LocalStorage) -> None:
    assert read_answer_details(storage, "b1", Wanted("a"), ()).manifest is None


@pytest.mark.parametrize(
    ("data", "decoded"),
    [("-_8", b"\xfb\xff"), ("+/8=", b"\xfb\xff"), ("a", b""), ("", b""), ("ü", b"")],
)
def test_files_are_decoded_from_both_kinds_of_base64(
    storage: LocalStorage, data: str, decoded: bytes
) -> None:
    part = inline("image/PNG; charset=x", b"")
    part["inlineData"]["data"] = data
    store(storage, responding("a", part), 1)
    found = read_media(storage, "b1", 1, "answer", 1)
    assert found is not None
    assert (found[0].picture_type, found[1]) == ("image/png", decoded)


def test_downloads_are_those_that_are_there(storage: LocalStorage) -> None:
    manifest = store(storage, nasty.answer("a"), 1)
    assert [*list_downloads(manifest)] == ["retry", "manifest"]
    assert find_download(storage, "b1", "table") is find_download(storage, "b1", "../x") is None
    found = find_download(storage, "acme/batches/b1", "manifest")
    assert found is not None
    data = storage.read("b1/_manifest.json") or b""
    assert (found.file_name, found.size_bytes, found.link) == ("b1_manifest.json", len(data), None)


@pytest.mark.parametrize(
    ("link", "is_given"),
    [
        ("https://bucket.example/x?sig=1", True),
        ("http://127.0.0.1:9000/x?sig=1", True),
        ("http://minio:9000/x?sig=1", False),
        ("http://127.0.0.1.example/x", False),
    ],
)
def test_link_is_given_where_a_browser_may_reach_it(link: str, *, is_given: bool) -> None:
    assert is_reachable(link, "127.0.0.1") == is_given
