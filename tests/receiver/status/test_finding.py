"""What the page finds in the inbox and the storage, both real."""

import json
from pathlib import Path

import pytest
import redis

from receiver.inbox.entry_fields import Summary
from receiver.inbox.redis import BURIED, DONE
from receiver.outputs.paths import index_name
from receiver.status import key_search
from receiver.status.batch_search import read_search
from receiver.status.finding import Elsewhere, list_batches, look_elsewhere
from receiver.status.key_search import KeyPage
from receiver.storage import LocalStorage
from receiver.submissions.records import Created, SubmissionRecords
from tests.receiver.inbox.test_finding import put
from tests.receiver.status.test_submission_pages import plan
from tests.workers.storing import change_manifest, store

PROJECTS = ["", "acme"]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


def test_a_whole_name_is_found_at_once(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many others there are, in whichever project."""
    monkeypatch.setattr("receiver.inbox.finding.MAX_LOOKED", 1)
    for name in ("batches/newer", "batches/b1", "acme/batches/b1"):
        put(client, name)
    for text in ("b1", "batches/b1", "batch_b1"):
        found = list_batches(client, read_search({"q": text}), PROJECTS)
        assert [row.name for row in found.named] == ["batches/b1", "acme/batches/b1"]
        assert (found.is_cut, found.is_empty) == (True, False)
    for fields in ({"q": "acme/b1"}, {"q": "b1", "project": "acme"}):
        found = list_batches(client, read_search(fields), PROJECTS)
        assert [row.name for row in found.named] == ["acme/batches/b1"]
    assert list_batches(client, read_search({"q": "no name"}), PROJECTS).named == []


def test_what_is_listed_is_not_named_again(client: "redis.Redis") -> None:
    put(client, "batches/b1")
    put(client, "batches/wait", "open", 5_000)
    found = list_batches(client, read_search({"q": "b1"}), PROJECTS)
    assert ([row.name for row in found.rows], found.named) == (["batches/b1"], [])
    found = list_batches(client, read_search({"q": "b1", "state": "open"}), PROJECTS)
    assert ([row.name for row in found.named], found.rows) == (["batches/b1"], [])
    (row,) = list_batches(client, read_search({"state": "open"}), PROJECTS).rows
    assert row.due_ms == 5_000


def test_batches_are_counted_by_set(client: "redis.Redis") -> None:
    put(client, "batches/a", "open")
    put(client, "batches/b", "leased")
    put(client, "batches/c")
    found = list_batches(client, read_search({"q": "nosuch"}), PROJECTS)
    assert found.counts == {"pending": 2, "buried": 0, "done": 1}
    assert found.is_empty
    client.set(BURIED, "x")
    client.delete(DONE)
    assert list_batches(client, read_search({}), PROJECTS).counts["buried"] == 0


def lines(*keys: str) -> bytes:
    rows = ({"key": key, "response": {"candidates": [{}]}} for key in keys)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def put_stored(
    client: "redis.Redis", storage: LocalStorage, batch_id: str, at_ms: int, *keys: str
) -> None:
    store(storage, lines(*keys), len(keys), batch_id=batch_id)
    put(client, f"batches/{batch_id}", at_ms=at_ms)


def keys_of(found: Elsewhere) -> KeyPage:
    assert found.keys is not None
    return found.keys


def test_key_is_found_in_the_newest_batches_first(
    client: "redis.Redis", storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        put_stored(client, storage, f"b{number}", 1_000 * number, "shared", f"only {number}")
    put(client, "batches/empty", at_ms=9_000, summary=Summary(state="FAILED"))
    put(client, "batches/waits", "open")
    monkeypatch.setattr(key_search, "MAX_BATCHES", 3)

    def look(**fields: str) -> KeyPage:
        return keys_of(look_elsewhere(client, storage, read_search(fields), PROJECTS))

    first = look(q="shared")
    assert [hit.row.name for hit in first.hits] == ["batches/b4", "batches/b3"]
    assert (first.looked, first.unread, bool(first.cursor)) == (3, [], True)
    rest = look(q="shared", keys=first.cursor)
    assert [hit.row.name for hit in rest.hits] == ["batches/b2", "batches/b1"]
    assert (rest.looked, rest.cursor) == (2, "")
    assert [(hit.result.outcome, hit.result.line) for hit in look(q="only 3").hits] == [
        ("empty", 2)
    ]
    assert look(q="share").hits == []
    narrowed = look(q="shared", to="1970-01-01", sort="oldest", state="open")
    assert [hit.row.name for hit in narrowed.hits] == ["batches/b1", "batches/b2", "batches/b3"]


def test_results_that_cannot_be_read_are_named(
    client: "redis.Redis", storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_stored(client, storage, "b1", 1_000, "one")
    put_stored(client, storage, "b2", 2_000, "one")
    storage.put_many([(index_name("batches/b2"), b"no gzip")])
    found = keys_of(look_elsewhere(client, storage, read_search({"q": "one"}), PROJECTS))
    assert [hit.row.name for hit in found.hits] == ["batches/b1"]
    assert [row.name for row in found.unread] == ["batches/b2"]
    monkeypatch.setattr(key_search, "MAX_UNPACKED_BYTES", 0)
    found = keys_of(look_elsewhere(client, storage, read_search({"q": "one"}), PROJECTS))
    assert ([row.name for row in found.unread], found.hits) == (["batches/b2", "batches/b1"], [])


def test_time_ends_a_search_for_a_key(
    client: "redis.Redis", storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_stored(client, storage, "b1", 1_000, "one")
    monkeypatch.setattr(key_search, "MAX_S", 0.0)
    search = read_search({"q": "one", "keys": "cursor"})
    found = keys_of(look_elsewhere(client, storage, search, PROJECTS))
    assert (found.looked, found.hits, found.cursor) == (0, [], "cursor")


def test_batch_that_the_inbox_forgot_is_found_in_the_storage(
    client: "redis.Redis", storage: LocalStorage
) -> None:
    store(storage, lines("one"), 1, batch_id="b1")

    def look(**fields: str) -> Elsewhere:
        return look_elsewhere(client, storage, read_search(fields), PROJECTS)

    found = look(q="batches/b1")
    assert (found.stored, found.keys) == ("batches/b1", None)
    assert look(q="b1", project="acme").stored == ""
    assert look(q="b11").stored == ""
    change_manifest(storage, project="acme")
    assert look(q="b1").stored == "acme/batches/b1"


def test_submission_is_found_by_its_id(
    client: "redis.Redis", storage: LocalStorage, tmp_path: Path
) -> None:
    submission = plan(tmp_path, "night")
    records = SubmissionRecords(storage, submission.id)
    records.write_created(records.parts()[1], Created("batches/part2"))
    put(client, "batches/part2", "leased")
    for text in (submission.id, f"submissions/{submission.id}"):
        found = look_elsewhere(client, storage, read_search({"q": text}), PROJECTS)
        assert str(found.submission) == f"submissions/{submission.id}"
        assert found.submission_title == "night"
        assert [row.name for row in found.parts] == ["batches/part2"]
    other = read_search({"q": f"acme/submissions/{submission.id}"})
    assert look_elsewhere(client, storage, other, PROJECTS).submission is None
