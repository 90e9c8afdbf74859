import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.errors import StorageError
from receiver.storage import LocalStorage
from receiver.submissions.decisions import PlanRound
from receiver.submissions.policy import Policy
from receiver.submissions.records import Round, requests_name
from tests import nasty
from tests.workers.stored_batches import used
from tests.workers.submissions.stored_submissions import SCHEMA, StoredSubmission, request
from workers.submissions.part_results import Reading
from workers.submissions.rewriting import NOTE
from workers.submissions.rounds import write_round

CHECKED = {"OUTPUT_FORMS": "json", "RESPONSE_SCHEMA": SCHEMA}


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


def lines_of(stored: StoredSubmission, planned: Round) -> list[bytes]:
    return b"".join(stored.requests(part.number) for part in planned.parts).splitlines(True)


def keys_of(stored: StoredSubmission, planned: Round) -> list[str]:
    return [json.loads(line)["key"] for line in lines_of(stored, planned)]


def test_what_may_succeed_is_sent_again_as_it_was(storage: LocalStorage) -> None:
    """Transient errors, empty, malformed and missing; with the bytes and in the order of before."""
    keys = ["fine", "busy", "gone", "void", "broken", "denied", "silent"]
    asked = [b' {"key" : "%s","request":{"contents":[1.50]}}\n' % key.encode() for key in keys]
    stored = StoredSubmission.plan(storage, asked[:4], asked[4:])
    stored.store(1, used("fine"), nasty.failure("busy", 8), nasty.empty("void"))
    blocked = nasty.empty("denied", promptFeedback={"blockReason": "SAFETY"})
    stored.store(2, b'{"key":"broken","response":7}', blocked, nasty.failure("silent", 3))
    planned = stored.plan_round()
    assert lines_of(stored, planned) == [asked[1], asked[2], asked[3], asked[4]]
    (part,) = planned.parts
    assert (part.number, part.round, part.requests, part.lane) == (3, 1, 4, "batch")
    assert part.size_bytes == sum(map(len, asked[1:5]))
    assert planned.held_back == 0


def test_request_that_is_answered_is_sent_no_more(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2"), request("k3")])
    stored.store(1, *(nasty.failure(key, 8) for key in ("k1", "k2", "k3")))
    assert keys_of(stored, stored.plan_round()) == ["k1", "k2", "k3"]
    stored.store(2, used("k2"), nasty.failure("k3", 3))
    assert keys_of(stored, stored.plan_round()) == ["k1"]
    stored.store(3, used("k1"))
    assert stored.plan_round().parts == ()


def test_each_request_has_its_own_last_try(storage: LocalStorage) -> None:
    """One of the first part, one of the second round."""
    stored = StoredSubmission.plan(storage, [request("k1")], [request("k2")])
    stored.store(1, nasty.failure("k1", 8))
    stored.store(2, nasty.failure("k2", 8))
    stored.change(2, is_cancelled=True)
    assert keys_of(stored, stored.plan_round(is_rescue=True)) == ["k2"]
    stored.store(3, nasty.failure("k2", 8))
    planned = stored.plan_round()
    assert keys_of(stored, planned) == ["k1", "k2"]
    assert [part.number for part in planned.parts] == [4]


def test_whole_batch_without_results_is_sent_again(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2")])
    stored.store(1)
    assert keys_of(stored, stored.plan_round()) == ["k1", "k2"]


def test_what_is_lost_is_not_sent_again(storage: LocalStorage) -> None:
    """It may have been paid for."""
    stored = StoredSubmission.plan(storage, [request("k1")], [request("k2")])
    stored.store(1, nasty.failure("k1", 8))
    stored.send(2)
    stored.change(2, lost="its results are gone")
    assert keys_of(stored, stored.plan_round()) == ["k1"]


def test_cut_answers_get_more_room_until_the_limit(storage: LocalStorage) -> None:
    asked = [request("k1", maxOutputTokens=300), request("k2"), request("k3", maxOutputTokens=600)]
    stored = StoredSubmission.plan(storage, asked)
    stored.policy = Policy(max_output_tokens=600)

    def cut(*keys: str) -> list[bytes]:
        return [used(key, reason="MAX_TOKENS") for key in keys]

    stored.store(1, *cut("k1", "k2", "k3"))
    (line,) = lines_of(stored, stored.plan_round())
    assert json.loads(line)["request"]["generationConfig"] == {"maxOutputTokens": 600}
    stored.store(2, *cut("k1"))
    last = stored.plan_round()
    assert (last.parts, last.held_back) == ((), 0)


@pytest.mark.parametrize("explained", [False, True])
def test_answer_that_breaks_the_schema_is_asked_for_again(
    storage: LocalStorage, *, explained: bool
) -> None:
    asked = [request("k1"), request("k2"), request("k3")]
    stored = StoredSubmission.plan(storage, asked)
    stored.policy = Policy(explain_invalid=explained)
    stored.store(1, used("k1", '{"a": 1}'), used("k2", "no JSON"), used("k3", "{}"), **CHECKED)
    sent = lines_of(stored, stored.plan_round())
    if not explained:
        assert sent == asked[1:]
        return
    words = [json.loads(one)["request"]["contents"][-1]["parts"][0]["text"] for one in sent]
    assert words[0].startswith(f"{NOTE}the answer is not JSON")
    assert "breaks the schema at $: 'a' is a required property" in words[1]
    stored.store(2, used("k2", '{"a": 1}'), used("k3", "[]"), **CHECKED)
    (again,) = lines_of(stored, stored.plan_round())
    assert len(json.loads(again)["request"]["contents"]) == 2
    assert b"is not of type 'object'" in again


def test_answers_without_a_schema_are_not_judged_by_one(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1")])
    stored.store(1, used("k1", "no JSON"), OUTPUT_FORMS="json")
    assert stored.plan_round().parts == ()


def test_further_candidate_that_breaks_the_schema_is_none(storage: LocalStorage) -> None:
    both: Any = json.loads(used("k1", '{"a": 1}'))
    both["response"]["candidates"] += json.loads(used("k1", "no"))["response"]["candidates"]
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2")])
    stored.store(1, json.dumps(both).encode(), used("k2", "no"), **CHECKED)
    assert keys_of(stored, stored.plan_round()) == ["k2"]


def test_what_may_not_be_sent_is_counted(storage: LocalStorage) -> None:
    asked = [request("k1"), request("k2", maxOutputTokens=5), request("k3"), request("k4")]
    stored = StoredSubmission.plan(storage, asked)
    lines = nasty.failure("k1", 8), used("k2", reason="MAX_TOKENS"), used("k3"), used("k4")
    stored.store(1, *lines)
    planned = stored.plan_round(may_send=False)
    assert (planned.parts, planned.held_back, planned.number) == ((), 2, 1)


def test_rescue_sends_what_the_cancelled_batch_left(storage: LocalStorage) -> None:
    """Failures of others wait for the round after it, and so do its answers that were cut."""
    asked = [request("k1"), request("k2"), request("k3", maxOutputTokens=5)]
    stored = StoredSubmission.plan(storage, asked, [request("k4")])
    stored.store(1, used("k1"), used("k3", reason="MAX_TOKENS"))
    stored.change(1, is_cancelled=True)
    stored.store(2, nasty.failure("k4", 8))
    stored.policy = Policy(rescue="flex")
    planned = stored.plan_round(is_rescue=True)
    assert keys_of(stored, planned) == ["k2"]
    assert (planned.parts[0].lane, planned.is_rescue, planned.held_back) == ("flex", True, 0)
    stored.store(3, used("k2"))
    planned = stored.plan_round()
    assert keys_of(stored, planned) == ["k3", "k4"]
    assert {part.lane for part in planned.parts} == {"batch"}


def test_embeddings_are_rescued_as_a_batch(storage: LocalStorage) -> None:
    """There is no tier flex for them."""
    stored = StoredSubmission.plan(storage, [request("k1")])
    spec = msgspec.structs.replace(stored.submission.spec, kind="embed")
    stored.submission = msgspec.structs.replace(stored.submission, spec=spec)
    stored.policy = Policy(rescue="flex")
    stored.store(1)
    stored.change(1, is_cancelled=True)
    assert [part.lane for part in stored.plan_round(is_rescue=True).parts] == ["batch"]


def test_rescue_that_finds_nothing_leaves_a_round_to_come(storage: LocalStorage) -> None:
    """Else the submission would end, though a request may succeed."""
    stored = StoredSubmission.plan(storage, [request("k2")], [request("k1")])
    stored.store(1, used("k2"))
    stored.change(1, is_cancelled=True)
    stored.store(2, nasty.failure("k1", 8))
    planned = stored.plan_round(is_rescue=True)
    assert (planned.parts, planned.held_back) == ((), 1)


def test_round_is_cut_by_its_limits(storage: LocalStorage) -> None:
    asked = [request(f"k{number}") for number in range(10)]
    stored = StoredSubmission.plan(storage, asked)
    stored.store(1)
    planned = stored.plan_round(requests=3)
    assert [(part.number, part.requests) for part in planned.parts] == [
        (2, 3),
        (3, 3),
        (4, 3),
        (5, 1),
    ]
    assert [part.offset for part in planned.parts] == [0] * 4
    assert lines_of(stored, planned) == asked


def test_grown_budget_may_cost_more(storage: LocalStorage) -> None:
    """A cap counts what a part may cost at most."""
    model = "gemini-3.5-flash"
    stored = StoredSubmission.plan(storage, [request("k", maxOutputTokens=1000)], model=model)
    stored.store(1, nasty.failure("k", 8))
    (again,) = stored.plan_round().parts
    stored.store(2, used("k", reason="MAX_TOKENS"))
    (wider,) = stored.plan_round().parts
    assert again.most_cost is not None
    assert wider.most_cost is not None
    assert again.most_cost * Decimal("1.9") < wider.most_cost < again.most_cost * 2


def test_request_that_fits_no_batch_is_held_back(storage: LocalStorage) -> None:
    """Somebody has lowered the limit since."""
    stored = StoredSubmission.plan(storage, [request("k1")])
    stored.store(1)
    planned = stored.plan_round(enqueue_limit=3)
    assert (planned.parts, planned.held_back) == ((), 1)


def test_round_that_another_process_recorded_counts(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1")])
    stored.store(1)
    state, other = stored.state, Round(1, False, (), 7)
    stored.records.record_round(other)
    scratch = Path(str(storage.scratch_near()))
    scratch.mkdir(exist_ok=True, parents=True)
    action, reading = PlanRound(1, False, True), Reading(storage, scratch, lambda: None)
    write_round(reading, state, action, stored.cutter(1))
    assert stored.records.rounds() == [other]


def test_second_plan_stores_the_same(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1"), request("k2")])
    stored.store(1, nasty.failure("k1", 8))
    first = stored.plan_round()
    before = storage.list_names("_requests")
    storage.delete(f"_submissions/{stored.submission.id}/round.1.json")
    stored.parts = stored.parts[:1]
    assert (stored.plan_round(), storage.list_names("_requests")) == (first, before)


def test_requests_that_are_gone_are_named(storage: LocalStorage) -> None:
    """Without them, nobody could say what is answered."""
    stored = StoredSubmission.plan(storage, [request("k1")], [request("k2")])
    stored.store(1)
    storage.delete(requests_name(stored.parts[1].part.sha256))
    with pytest.raises(StorageError, match="the requests of part 2 are lost"):
        stored.plan_round()


def test_requests_of_an_earlier_version_lie_beside_the_outputs(storage: LocalStorage) -> None:
    stored = StoredSubmission.plan(storage, [request("k1")])
    stored.store(1)
    storage.delete(requests_name(stored.parts[0].part.sha256))
    planned = stored.plan_round()
    assert lines_of(stored, planned) == [request("k1")]


def test_keys_are_read_by_the_member_that_the_batch_was_read_with(storage: LocalStorage) -> None:
    asked = b'{"key":"k","metadata":{"id":"%d"},"request":{"contents":[1]}}\n'
    stored = StoredSubmission.plan(storage, [asked % number for number in (1, 2)])
    answer = json.loads(used("k")) | {"metadata": {"id": "2"}}
    stored.store(1, json.dumps(answer).encode(), RESULT_KEY="id")
    assert lines_of(stored, stored.plan_round()) == [asked % 1]
