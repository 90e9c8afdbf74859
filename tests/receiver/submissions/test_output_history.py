from pathlib import Path

import pytest
import redis

from receiver.inbox.entry_fields import summarise
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from receiver.outputs.manifest import read_manifest
from receiver.outputs.paths import manifest_name
from receiver.storage.local import LocalStorage
from receiver.submissions.output_history import (
    MAX_MANIFESTS,
    NO_HISTORY,
    AnswerTokens,
    find_answer_tokens,
)
from tests.receiver.records import put_manifest

MODEL = "gemini-3.8-flash"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def store(  # noqa: PLR0913 - what a batch may differ in
    client: "redis.Redis",
    storage: LocalStorage,
    name: str,
    candidates: int,
    thoughts: int = 0,
    *,
    model: str | None = f"models/{MODEL}",
    **outcomes: int,
) -> None:
    """A batch as a worker leaves it, in the storage and in the inbox."""
    usage = {"candidates": candidates, "thoughts": thoughts, "total": 10**6}
    batch, inbox = f"batches/{name}", Inbox(client)
    put_manifest(storage, batch, model=model, usage=usage, outcomes=outcomes or {"ok": 10})
    inbox.accept([Arrival(batch, "batch.succeeded", "static")])
    lease = inbox.claim(batch)
    assert lease is not None
    inbox.finish(lease, summarise(read_manifest(storage.read(manifest_name(batch)) or b"")))


def test_answers_of_the_model_tell(client: "redis.Redis", storage: LocalStorage) -> None:
    store(client, storage, "a", 900, 100)
    store(client, storage, "b", 500, ok=20, truncated=10, error=70)
    store(client, storage, "c", 10**6, model="models/other")
    store(client, storage, "d", 10**6, model=None)
    assert find_answer_tokens(client, storage, MODEL) == AnswerTokens(1500 / 40, 2)
    assert find_answer_tokens(client, storage, f"models/{MODEL}").batches == 2


def test_batch_without_counts_tells_nothing(client: "redis.Redis", storage: LocalStorage) -> None:
    store(client, storage, "a", 0)
    store(client, storage, "b", 500, error=3)
    assert find_answer_tokens(client, storage, MODEL) == NO_HISTORY


def test_last_batches_alone_are_read(client: "redis.Redis", storage: LocalStorage) -> None:
    store(client, storage, "a-old", 10**9)
    for number in range(MAX_MANIFESTS):
        store(client, storage, f"b{number}", 100)
    assert find_answer_tokens(client, storage, MODEL) == AnswerTokens(10, MAX_MANIFESTS)


def test_manifest_that_is_gone_is_left_out(client: "redis.Redis", storage: LocalStorage) -> None:
    for name in ("a", "b"):
        store(client, storage, name, 100)
    storage.delete("a/_manifest.json")
    assert find_answer_tokens(client, storage, MODEL) == AnswerTokens(10, 1)
    storage.put_many([("b/_manifest.json", b"no manifest")])
    assert find_answer_tokens(client, storage, MODEL) == NO_HISTORY


def test_without_redis_there_is_no_history(storage: LocalStorage) -> None:
    with connect("redis://127.0.0.1:1/0") as client:
        assert find_answer_tokens(client, storage, MODEL) == NO_HISTORY
