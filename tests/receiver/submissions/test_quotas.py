from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.gemini.operations import Batch
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import ENQUEUED, QUOTA_REFUSALS, now_ms
from receiver.notices.running_batches import RunningWatch
from receiver.settings.settings import Settings, read_settings
from receiver.storage.local import LocalStorage
from receiver.submissions.daily_budget import DailyBudget, day_of
from receiver.submissions.quotas import BOOKS_TTL_S, MAX_FILE_BYTES, Quotas
from receiver.submissions.records import Created, CreateIntent, Round, SubmissionRecords
from receiver.submissions.submission import Part, Submission
from tests.receiver.records import put_manifest
from tests.receiver.submissions.submissions import part, submission

MODEL, OTHER = "gemini-3.8-flash", "gemini-3.5-flash-lite"
NOW = 1_800_000_000.0
KEYS = {"GEMINI_API_KEY": "key-1", "GEMINI_API_KEY__ACME": "key-2"}
SETTINGS = read_settings(KEYS | {"ENQUEUED_TOKENS": f"{MODEL}=1000"})
DAY_S = 86_400


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
def quotas(client: "redis.Redis", storage: LocalStorage) -> Quotas:
    return Quotas(client, storage, SETTINGS, "")


def create(storage: LocalStorage, made: Submission, batch: str, of: Part, at: float = NOW) -> None:
    """What the storage holds of a part whose batch was created."""
    records = SubmissionRecords(storage, made.id)
    records.settle_plan(made)
    records.record_intent(of, 1, CreateIntent("files/a", "evening", at))
    records.write_created(of, Created(batch))


def end(client: "redis.Redis", batch: str) -> None:
    inbox = Inbox(client)
    inbox.accept([Arrival(batch, "batch.succeeded", "static")])
    lease = inbox.claim(batch)
    assert lease is not None
    inbox.finish(lease, Summary())


def test_nothing_under_way_leaves_all_the_room(quotas: Quotas) -> None:
    room = quotas.room(MODEL, "id", NOW)
    assert (room.tokens, room.batches, room.file_bytes) == (None, 100, MAX_FILE_BYTES)
    assert (room.day_budget, room.refused_until) == (None, 0)


def test_batches_under_way_take_their_room(quotas: Quotas) -> None:
    quotas.room(MODEL, "id", NOW)
    for number in (1, 2, 2):
        quotas.sent(f"batches/b{number}", f"models/{MODEL}", part(number, tokens=300), NOW)
    quotas.sent("batches/c", OTHER, part(1, tokens=999), NOW)
    room = quotas.room(MODEL, "id", NOW)
    assert (room.tokens, room.batches, room.file_bytes) == (400, 97, MAX_FILE_BYTES - 3000)


def test_more_than_all_may_be_enqueued(quotas: Quotas) -> None:
    quotas.room(MODEL, "id", NOW)
    quotas.sent("batches/b", MODEL, part(tokens=1500), NOW)
    assert quotas.room(MODEL, "id", NOW).tokens == -500


def test_model_without_a_limit_has_none(quotas: Quotas) -> None:
    quotas.room("stranger", "id", NOW)
    quotas.sent("batches/b", "stranger", part(tokens=10**12), NOW)
    assert quotas.room("stranger", "id", NOW).tokens is None


def test_ended_batch_frees_tokens_and_not_its_file(quotas: Quotas, client: "redis.Redis") -> None:
    """Gemini keeps an uploaded file for two days, whatever became of its batch."""
    quotas.room(MODEL, "id", NOW)
    for name in ("b", "c"):
        quotas.sent(f"batches/{name}", MODEL, part(tokens=300), NOW)
    for _ in range(2):
        quotas.ended("batches/b")
    quotas.ended("batches/stranger")
    room = quotas.room(MODEL, "id", NOW)
    assert (room.tokens, room.batches, room.file_bytes) == (700, 99, MAX_FILE_BYTES - 2000)
    quotas.sent("batches/b", MODEL, part(tokens=300), NOW)  # by a process that was slow
    assert quotas.room(MODEL, "id", NOW).tokens == 700
    later = quotas.room(MODEL, "id", NOW + 2 * DAY_S + 1)
    assert later.file_bytes == MAX_FILE_BYTES
    assert not client.hexists(ENQUEUED, "batches/b")


def test_batch_that_the_inbox_has_done_with_is_ended(quotas: Quotas, client: "redis.Redis") -> None:
    """Though the process that should have said so died."""
    quotas.room(MODEL, "id", NOW)
    for name in ("b", "c"):
        quotas.sent(f"batches/{name}", MODEL, part(tokens=300), NOW)
    end(client, "batches/b")
    assert quotas.room(MODEL, "id", NOW).tokens == 700


def test_batch_of_another_project_ends_nothing(
    client: "redis.Redis", storage: LocalStorage
) -> None:
    acme = Quotas(client, storage, SETTINGS, "acme")
    acme.room(MODEL, "id", NOW)
    acme.sent("batches/b", MODEL, part(tokens=300), NOW)
    end(client, "batches/b")
    assert acme.room(MODEL, "id", NOW).tokens == 700
    end(client, "acme/batches/b")
    assert acme.room(MODEL, "id", NOW).tokens is None


def test_batch_is_forgotten_after_three_days(quotas: Quotas, client: "redis.Redis") -> None:
    quotas.room(MODEL, "id", NOW)
    quotas.sent("batches/b", MODEL, part(tokens=300), NOW)
    assert quotas.room(MODEL, "id", NOW + 3 * DAY_S - 1).tokens == 700
    assert quotas.room(MODEL, "id", NOW + 3 * DAY_S + 1).tokens is None
    assert not client.hexists(ENQUEUED, "batches/b")


def test_all_batches_at_gemini_count(quotas: Quotas, client: "redis.Redis") -> None:
    """Also those of other programs, as the last reconcile run saw them."""
    watch = RunningWatch()
    for number in range(7):
        watch.see(batch(f"batches/foreign{number}"))
    watch.note(client, "", now_ms(client), 900)
    assert quotas.room(MODEL, "id", NOW).batches == 93


def batch(name: str) -> Batch:
    nothing: dict[str, Any] = dict.fromkeys(
        ("display_name", "model", "created", "ended", "requests", "result_file", "inlined")
    )
    return Batch(name=name, state="RUNNING", error_code=None, error_message=None, **nothing)


def test_wiped_redis_forgets_no_batch(
    quotas: Quotas, client: "redis.Redis", storage: LocalStorage
) -> None:
    made = submission(parts=3, tokens=200)
    for one in made.parts[:2]:
        create(storage, made, f"batches/b{one.number}", one)
    later = part(4, tokens=50, round=1)
    SubmissionRecords(storage, made.id).record_round(Round(1, is_rescue=False, parts=(later,)))
    create(storage, made, "batches/b4", later)
    client.flushall()
    room = quotas.room(MODEL, "id", NOW)
    assert (room.tokens, room.batches) == (1000 - 200 - 200 - 50, 97)
    client.flushall()
    put_manifest(storage, "batches/b1")
    assert quotas.room(MODEL, "id", NOW).tokens == 750
    assert 0 < client.ttl(ENQUEUED) <= BOOKS_TTL_S


def test_books_hold_only_what_may_run(
    quotas: Quotas, client: "redis.Redis", storage: LocalStorage
) -> None:
    old, finished, foreign = (
        submission(tokens=200, sha256=name, project=project)
        for name, project in (("old", ""), ("finished", ""), ("foreign", "acme"))
    )
    create(storage, old, "batches/old", old.parts[0], NOW - 3 * DAY_S - 1)
    create(storage, finished, "batches/finished", finished.parts[0])
    storage.create(f"_submissions/{finished.id}/manifest.json", b"{}")
    create(storage, foreign, "batches/foreign", foreign.parts[0])
    storage.create("_submissions/files.awaited", b"{}")
    assert quotas.room(MODEL, "id", NOW).tokens is None
    acme = Quotas(client, storage, SETTINGS, "acme")
    assert acme.room(MODEL, "id", NOW).tokens == 800


def test_sent_before_the_books_are_made_counts(
    quotas: Quotas, client: "redis.Redis", storage: LocalStorage
) -> None:
    made = submission(tokens=200)
    create(storage, made, "batches/b1", made.parts[0])
    quotas.sent("batches/b1", MODEL, made.parts[0], NOW)
    assert not client.exists(ENQUEUED)  # else it would never expire
    assert quotas.room(MODEL, "id", NOW).tokens == 800


@pytest.mark.parametrize("kind", ["string", "fields"])
def test_foreign_bytes_do_no_harm(kind: str, quotas: Quotas, client: "redis.Redis") -> None:
    if kind == "string":
        client.set(ENQUEUED, "of another program")
    else:
        client.hset(ENQUEUED, mapping={"made": "1", "batches/b": "no JSON", b"\xff": b"\xff"})
    assert quotas.room(MODEL, "id", NOW).tokens is None
    quotas.sent("batches/c", MODEL, part(tokens=300), NOW)
    assert quotas.room(MODEL, "id", NOW).tokens == 700


def test_refusals_wait_longer_each_time(quotas: Quotas) -> None:
    now, pauses = NOW, []
    for _ in range(8):
        until = quotas.refused(MODEL, now)
        assert quotas.room(MODEL, "id", now).refused_until == until
        pauses.append(until - now)
        now = until
    assert pauses == [60, 120, 240, 480, 960, 1800, 1800, 1800]


def test_refusals_at_the_same_time_are_one(quotas: Quotas) -> None:
    assert {quotas.refused(MODEL, NOW + late) for late in (0, 1, 59)} == {NOW + 60}


def test_refusal_lowers_no_limit_and_ends_with_a_success(quotas: Quotas) -> None:
    quotas.room(MODEL, "id", NOW)
    for _ in range(2):
        quotas.refused(MODEL, NOW)
    quotas.sent("batches/b", MODEL, part(tokens=300), NOW)
    room = quotas.room(MODEL, "id", NOW)
    assert (room.tokens, room.refused_until) == (700, 0)
    assert quotas.refused(MODEL, NOW) == NOW + 60


def test_refusal_holds_one_model_back(quotas: Quotas, client: "redis.Redis") -> None:
    quotas.refused(f"models/{MODEL}", NOW)
    assert client.ttl(QUOTA_REFUSALS) > 0
    assert quotas.room(MODEL, "id", NOW).refused_until == NOW + 60
    assert quotas.room(OTHER, "id", NOW).refused_until == 0


def test_gemini_may_ask_for_a_longer_pause(quotas: Quotas) -> None:
    assert quotas.refused(MODEL, NOW, retry_after_s=300) == NOW + 300


def capped(client: "redis.Redis", storage: LocalStorage) -> Quotas:
    settings: Settings = read_settings(KEYS | {"DAILY_COST_CAP": "5"})
    return Quotas(client, storage, settings, "")


def test_day_budget_is_what_the_cap_leaves(client: "redis.Redis", storage: LocalStorage) -> None:
    quotas, budget = capped(client, storage), DailyBudget(storage, "")
    assert quotas.room(MODEL, "id", NOW).day_budget == 5
    budget.reserve(day_of(NOW), "other.1", Decimal(2), Decimal(5))
    room = quotas.room(MODEL, "id", NOW)
    assert room.day_budget == 3
    assert NOW < room.day_ends <= NOW + DAY_S
    assert quotas.room(MODEL, "id", room.day_ends).day_budget == 5


def test_own_reservation_does_not_hold_its_part_back(
    client: "redis.Redis", storage: LocalStorage
) -> None:
    """A worker died between the reservation and the call."""
    quotas, budget = capped(client, storage), DailyBudget(storage, "")
    made = submission(parts=2)
    budget.reserve(day_of(NOW), f"{made.id}.1", Decimal(4), Decimal(5))
    assert quotas.room(MODEL, made.id, NOW).day_budget == 5
    assert quotas.room(MODEL, "other", NOW).day_budget == 1
    create(storage, made, "batches/b1", made.parts[0])
    assert quotas.room(MODEL, made.id, NOW).day_budget == 1
