"""Requests whose fault passes, and what their answers cost."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.faults.markers import Marker
from deploy.sandbox.jobs.answers import answer_generate
from deploy.sandbox.jobs.tries import Tries
from deploy.sandbox.ledger import Sightings
from tests.sandbox.api.test_batches import inline, rows_of
from tests.sandbox.conftest import Json, Sandbox

SCHEMA = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}}


def entry(key: str, text: str, **config: Any) -> Json:
    request: Json = {"contents": [{"parts": [{"text": text}]}]}
    return {"key": key, "request": request | ({"generationConfig": config} if config else {})}


def tries(**faults: Any) -> Tries:
    made = Faults()
    made.set(faults)
    return Tries(made, Sightings())


def test_marker_counts_as_often_as_it_says() -> None:
    seen = tries()
    marker = Marker("empty", None, 2)
    found = [seen.find("a [sandbox:empty x2]") for _ in range(4)]
    assert found == [marker, marker, None, None]
    assert seen.find("b [sandbox:empty x2]") == marker
    assert [seen.find("[sandbox:empty]") for _ in range(3)] == [Marker("empty", None)] * 3


def test_words_after_the_marker_do_not_make_it_another_request() -> None:
    seen = tries()
    assert seen.find("a [sandbox:invalid x1]")
    assert seen.find("a [sandbox:invalid x1] The last answer did not fit") is None


def test_a_share_of_requests_fails_at_first() -> None:
    seen = tries(failing_rows={"share": 0.3, "tries": 1})
    texts = [f"request {number}" for number in range(1000)]
    first = [seen.find(text) for text in texts]
    failing = [marker for marker in first if marker is not None]
    assert 230 < len(failing) < 370
    assert {marker.name for marker in failing} == {"error", "empty", "truncated"}
    assert not any(seen.find(text) for text in texts)


def test_budget_ends_truncation() -> None:
    request = entry("k", "[sandbox:truncated 200]", maxOutputTokens=100)["request"]
    cut = answer_generate(request, "m", 0)[0]["response"]["candidates"][0]
    assert cut["finishReason"] == "MAX_TOKENS"
    request["generationConfig"]["maxOutputTokens"] = 200
    whole = answer_generate(request, "m", 0)[0]["response"]["candidates"][0]
    assert whole["finishReason"] == "STOP"


@pytest.mark.parametrize(
    ("schema", "text"),
    [(SCHEMA, '["unlike","the schema"]'), ({"type": "array"}, '{"unlike":"the schema"}')],
)
def test_invalid_answer_has_another_type_than_its_schema(schema: Json, text: str) -> None:
    request = entry("k", "[sandbox:invalid]", responseSchema=schema)["request"]
    answer = answer_generate(request, "m", 0)[0]["response"]["candidates"][0]
    assert answer["content"]["parts"] == [{"text": text}]


def test_second_batch_and_flex_answer_what_the_first_did_not(sandbox: Sandbox) -> None:
    entries = [entry("a", "A [sandbox:error 14 x1]"), entry("b", "B [sandbox:error 14 x2]")]
    assert ["error" in row for row in sandbox.run_lines(*entries)] == [True, True]
    assert ["error" in row for row in sandbox.run_lines(*entries)] == [False, True]
    path = "/v1beta/models/gemini-3.8-flash:generateContent"
    assert sandbox.ask("POST", path, entries[1]["request"])["candidates"]


def test_stuck_row_holds_its_job_until_it_is_cancelled(sandbox: Sandbox) -> None:
    entries = entry("a", "plain"), entry("b", "[sandbox:stuck x1]")
    name = sandbox.upload(b"\n".join(map(_line, entries)))
    made = sandbox.create({"inputConfig": {"fileName": name}})["name"]
    sandbox.run(inline("a job that ends"))
    assert sandbox.ask("GET", f"/v1/{made}")["metadata"]["state"] == "BATCH_STATE_RUNNING"
    sandbox.ask("POST", f"/v1/{made}:cancel")
    ended = sandbox.ask("GET", f"/v1/{made}")
    assert ended["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    path = f"/v1/{ended['metadata']['output']['responsesFile']}:download?alt=media"
    assert [_decode(line)["key"] for line in sandbox.http.get(path).content.splitlines()] == ["a"]
    assert len(sandbox.run_lines(*entries)) == 2


@pytest.mark.parametrize("way", ["marker", "fault"])
def test_pending_job_waits_to_be_cancelled(sandbox: Sandbox, way: str) -> None:
    if way == "fault":
        sandbox.fault(pending_jobs=1)
    held = sandbox.create(inline("a", name="[pending]" if way == "marker" else None))["name"]
    sandbox.run(inline("b"))
    assert sandbox.ask("GET", f"/v1/{held}")["metadata"]["state"] == "BATCH_STATE_PENDING"
    sandbox.ask("POST", f"/v1/{held}:cancel")
    ended = sandbox.ask("GET", f"/v1/{held}")["metadata"]
    assert (ended["state"], "output" in ended) == ("BATCH_STATE_CANCELLED", False)


def test_payments_tell_who_was_charged_for_what(start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--payments")
    texts = "A", "B [sandbox:empty x1]", "[sandbox:error 14]", "[sandbox:missing]"
    done = sandbox.run(inline(*texts))
    assert len(rows_of(done)) == 3
    cancelled = sandbox.create(inline("A", name="[stuck]"))["name"]
    sandbox.ask("POST", f"/v1/{cancelled}:cancel")
    body = {"contents": [{"parts": [{"text": "B [sandbox:empty x1]"}]}], "serviceTier": "flex"}
    sandbox.ask("POST", "/v1beta/models/gemini-3.8-flash:generateContent", body)
    paid = sandbox.ask("GET", "/sandbox/payments")["payments"]
    assert [(one["by"], one["key"], one["text"], one["outcome"]) for one in paid] == [
        (done["name"], "0", "A", "ok"),
        (done["name"], "1", "B [sandbox:empty x1]", "empty"),
        ("flex", None, "B [sandbox:empty x1]", "ok"),
    ]
    assert paid[1]["request_sha256"] == paid[2]["request_sha256"] != paid[0]["request_sha256"]
    sandbox.ask("DELETE", "/sandbox/state")
    assert sandbox.ask("GET", "/sandbox/payments") == {"payments": []}


def test_payments_are_kept_only_on_demand(sandbox: Sandbox) -> None:
    sandbox.run(inline("A"))
    assert sandbox.ask("GET", "/sandbox/payments") == {"payments": []}


def _line(value: Json) -> bytes:
    return json.dumps(value).encode()


def _decode(line: bytes) -> Json:
    found: Json = json.loads(line)
    return found
