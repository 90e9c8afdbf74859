from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai import errors

from tests.sandbox.api.test_batches import inline
from tests.sandbox.conftest import Sandbox, wait_for

MODEL = "gemini-3.8-flash"
FORTY_TOKENS = "x" * 160


def refused(sandbox: Sandbox, model: str = MODEL, text: str = FORTY_TOKENS) -> str | None:
    """What a create was refused with; None where it was not."""
    path = f"/v1beta/models/{model}:batchGenerateContent"
    answer = sandbox.http.post(path, json={"batch": inline(text, name="held [pending]")})
    if answer.is_success:
        return None
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (429, "RESOURCE_EXHAUSTED")
    said: str = error["message"]
    return said


def test_tokens_of_a_model_are_freed_when_its_batch_ends(sandbox: Sandbox) -> None:
    sandbox.fault(enqueued_tokens=100)
    assert [refused(sandbox), refused(sandbox)] == [None, None]
    assert "100 tokens of models/gemini-3.8-flash may be enqueued, 80 are" in str(refused(sandbox))
    assert refused(sandbox, text="x" * 80) is None  # exactly fits
    first = sandbox.ask("GET", "/sandbox/ledger")["batches"][0]["name"]
    sandbox.ask("POST", f"/v1/{first}:cancel")
    assert refused(sandbox) is None


def test_each_model_has_its_own_tokens(sandbox: Sandbox) -> None:
    sandbox.fault(enqueued_tokens=60)
    assert refused(sandbox) is None
    assert refused(sandbox)
    assert refused(sandbox, "gemini-3.5-flash") is None


def test_file_is_counted_by_its_requests(sandbox: Sandbox) -> None:
    line = b'{"key":"a","request":{"contents":[{"parts":[{"text":"%s"}]}]}}\n' % (b"x" * 400)
    name = sandbox.upload(line * 3 + b"no request\n")
    batch = {"batch": {"displayName": "[pending]", "inputConfig": {"fileName": name}}}
    path = f"/v1beta/models/{MODEL}:batchGenerateContent"
    sandbox.fault(enqueued_tokens=299)
    assert sandbox.http.post(path, json=batch).status_code == 429
    sandbox.fault(enqueued_tokens=300)
    assert sandbox.http.post(path, json=batch).status_code == 200
    assert sandbox.http.post(path, json=batch).status_code == 429


def test_earlier_batches_count_once_a_limit_is_set(sandbox: Sandbox) -> None:
    assert refused(sandbox) is None
    sandbox.fault(enqueued_tokens=50)
    assert refused(sandbox)


def test_only_so_many_batches_are_active(client: genai.Client, sandbox: Sandbox) -> None:
    sandbox.fault(active_batches=1)
    requests: Any = [{"contents": [{"parts": [{"text": "x"}], "role": "user"}]}]
    held = client.batches.create(
        model=MODEL, src=requests, config={"display_name": "held [pending]"}
    )
    with pytest.raises(errors.ClientError, match="at most 1 batches") as told:
        client.batches.create(model=MODEL, src=requests)
    assert (told.value.code, told.value.status) == (429, "RESOURCE_EXHAUSTED")
    client.batches.cancel(name=held.name or "")
    assert client.batches.create(model=MODEL, src=requests).name


def test_create_is_refused_for_a_time(sandbox: Sandbox) -> None:
    sandbox.fault(create_status={"status": 429, "times": "all", "for_s": 0.3})
    assert refused(sandbox)
    wait_for(lambda: refused(sandbox) is None)


def test_quotas_are_options(start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--enqueued-tokens", "50", "--active-batches", "9")
    assert refused(sandbox) is None
    assert refused(sandbox)
