import json
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.sandbox.processes import allocate_port
from receiver.errors import GeminiError, NotFoundError
from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch, read_batch
from receiver.gemini.refusals import KEY_HEADER, read_error
from tests.receiver.key_server import serving_calls
from tests.running import ready_batch, set_faults


@pytest.fixture
def gemini(sandbox_url: str) -> Iterator[Gemini]:
    with Gemini(sandbox_url, "right-key") as gemini:
        yield gemini


@pytest.fixture(autouse=True)
def _no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "sandbox_url" in request.fixturenames:
        httpx.delete(f"{request.getfixturevalue('sandbox_url')}/sandbox/faults")


def read(**operation: Any) -> Batch:
    return read_batch(json.dumps({"name": "batches/x"} | operation).encode(), "batches/x")


OUTPUT = {"responsesFile": "files/batch-x"}


@pytest.mark.parametrize("state", ["BATCH_STATE_SUCCEEDED", "JOB_STATE_SUCCEEDED"])
def test_state_goes_by_its_suffix(state: str) -> None:
    batch = read(metadata={"state": state})
    assert batch.state == "SUCCEEDED"
    assert batch.is_terminal


@pytest.mark.parametrize(
    "state", ["BATCH_STATE_PENDING", "BATCH_STATE_RUNNING", "BATCH_STATE_PAUSED", ""]
)
def test_other_states_are_not_terminal(state: str) -> None:
    assert not read(metadata={"state": state}).is_terminal


@pytest.mark.parametrize(
    "operation",
    [
        {"metadata": {"output": OUTPUT}},
        {"response": OUTPUT},
        {"metadata": {"output": OUTPUT}, "response": OUTPUT},
    ],
)
def test_result_file_is_found_wherever_it_is(operation: dict[str, Any]) -> None:
    assert read(**operation).result_file == "files/batch-x"


def test_absent_output_is_no_output() -> None:
    assert not read(metadata={"state": "BATCH_STATE_SUCCEEDED"}).has_output


@pytest.mark.parametrize("count", ["4", 4])
def test_counts_are_strings_or_numbers(count: str | int) -> None:
    assert read(metadata={"batchStats": {"requestCount": count}}).requests == 4


def test_absent_count_is_unknown() -> None:
    assert read(metadata={"batchStats": {}}).requests is None


@pytest.mark.parametrize("name", ["https://evil.example/x", "files/../batches/x", "gs://bucket/x"])
def test_strange_file_name_is_refused(name: str) -> None:
    with pytest.raises(GeminiError, match="no file name"):
        read(response={"responsesFile": name})


def test_inlined_rows_keep_their_numbers() -> None:
    row = '{\n  "response": {"n": 1.10, "big": 123456789012345678901234567890, "text": "\\u00e9  x"}\n}'
    response = f'{{"inlinedResponses": {{"inlinedResponses": [{row}]}}}}'
    body = f'{{"name": "batches/x", "response": {response}}}'
    batch = read_batch(body.encode(), "batches/x")
    assert batch.inlined == (
        b'{"response":{"n":1.10,"big":123456789012345678901234567890,"text":"\\u00e9  x"}}',
    )


@pytest.mark.parametrize(
    "operation", [{"error": {"code": 13}}, {"metadata": {"error": {"code": 13}}}]
)
def test_error_is_found_wherever_it_is(operation: dict[str, Any]) -> None:
    assert read(**operation).error_code == 13


def test_get_gives_the_batch(gemini: Gemini, sandbox_url: str) -> None:
    name = ready_batch(
        sandbox_url,
        output={"inlinedResponses": {"inlinedResponses": [{"error": {"code": 3}}]}},
        request_count=1,
    )
    batch = gemini.get_batch(name)
    assert (batch.name, batch.state, batch.requests) == (name, "SUCCEEDED", 1)
    assert batch.inlined == (b'{"error":{"code":3}}',)


def test_list_gives_every_page(gemini: Gemini, sandbox_url: str) -> None:
    names = {ready_batch(sandbox_url, request_count=1) for _ in range(130)}
    listed = [batch.name for batch in gemini.list_batches()]
    assert names <= set(listed)
    assert len(listed) == len(set(listed))


def test_unknown_batch_is_said(gemini: Gemini) -> None:
    with pytest.raises(NotFoundError, match="knows no batches/unknown"):
        gemini.get_batch("batches/unknown")


@pytest.mark.parametrize(
    "name", ["unknown", "batches/", "batches/../files/x", "batches/x?y", "models/x"]
)
def test_wrong_name_sends_nothing(name: str) -> None:
    with (
        Gemini(f"http://127.0.0.1:{allocate_port()}", "key") as gemini,
        pytest.raises(GeminiError, match="no batch name"),
    ):
        gemini.get_batch(name)


def test_wrong_key_is_said(sandbox_url: str) -> None:
    with (
        Gemini(sandbox_url, "wrong-key") as gemini,
        pytest.raises(GeminiError, match="check that GEMINI_API_KEY") as told,
    ):
        gemini.get_batch("batches/any")
    assert "wrong-key" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "retryable"), [(429, True), (503, True), (500, True), (400, False)]
)
def test_failing_api_is_said(
    gemini: Gemini, sandbox_url: str, status: int, *, retryable: bool
) -> None:
    name = ready_batch(sandbox_url, request_count=1)
    set_faults(sandbox_url, get_status={"status": status, "times": 1})
    with pytest.raises(GeminiError, match=f"did not give {name}") as told:
        gemini.get_batch(name)
    assert told.value.retryable is retryable


def test_absent_api_is_said() -> None:
    with (
        Gemini(f"http://127.0.0.1:{allocate_port()}", "key") as gemini,
        pytest.raises(GeminiError, match="no answer from Gemini") as told,
    ):
        gemini.get_batch("batches/any")
    assert told.value.retryable


KEY = "canary-key-of-ours"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_key_in_an_answer_is_hidden(status: int) -> None:
    """Google says "Consumer 'api_key:…' has been suspended", with the key in full."""
    words = json.dumps(
        {"error": {"code": status, "message": f"Consumer 'api_key:{KEY}' has been suspended"}}
    )
    response = httpx.Response(
        status, content=words, request=httpx.Request("GET", "http://g", headers={KEY_HEADER: KEY})
    )
    assert "Consumer 'api_key:[API key]' has been suspended" in str(
        read_error(response, "batches/x")
    )


def test_key_in_a_batchs_error_is_hidden(sandbox_url: str) -> None:
    error = {"code": 7, "message": "Consumer 'api_key:right-key' has been suspended"}
    name = ready_batch(sandbox_url, state="FAILED", request_count=1, error=error)
    with Gemini(sandbox_url, "right-key") as gemini:
        assert (
            gemini.get_batch(name).error_message
            == "Consumer 'api_key:[API key]' has been suspended"
        )


@pytest.mark.parametrize("where", ["nowhere", "strange"])
def test_no_trace_holds_the_key(where: str) -> None:
    with (
        serving_calls(b"<html>") as server,
        Gemini(
            server.url if where == "strange" else f"http://127.0.0.1:{allocate_port()}", KEY
        ) as gemini,
        pytest.raises(GeminiError) as told,
    ):
        gemini.get_batch("batches/x")
    assert KEY not in "".join(traceback.format_exception(told.value)) + repr(gemini)


def test_redirect_takes_the_key_nowhere() -> None:
    """Another port of the same host is another origin."""
    with (
        serving_calls() as trap,
        serving_calls(elsewhere=f"{trap.url}/v1beta/batches/x") as server,
        Gemini(server.url, KEY) as gemini,
        pytest.raises(GeminiError, match="another origin"),
    ):
        gemini.get_batch("batches/x")
    assert (len(server.calls), trap.calls) == (1, [])
