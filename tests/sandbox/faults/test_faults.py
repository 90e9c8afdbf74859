import time

import pytest

from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import ApiError
from tests.sandbox.api.test_batches import inline
from tests.sandbox.conftest import Json, Sandbox


def test_counts_are_used_up() -> None:
    faults = Faults()
    faults.set({"drop_deliveries": 2, "late_output": "all"})
    assert [faults.take("drop_deliveries") for _ in range(3)] == [True, True, False]
    assert [faults.take("late_output") for _ in range(3)] == [True, True, True]


def test_detailed_faults_are_used_up() -> None:
    faults = Faults()
    faults.set({"cut_download_after": {"bytes": 5, "times": 1}})
    assert faults.take_fault("cut_download_after").bytes == 5
    assert faults.take_fault("cut_download_after") is None


def test_status_fault_is_raised() -> None:
    faults = Faults()
    faults.set({"get_status": {"status": 429, "retry_after": 3}})
    with pytest.raises(ApiError) as raised:
        faults.raise_status("get_status")
    assert (raised.value.code, raised.value.headers) == (429, {"retry-after": "3"})
    faults.raise_status("get_status")


@pytest.mark.parametrize("status", [403, 404, 429, 503])
@pytest.mark.parametrize(
    ("fault", "method", "path"),
    [
        ("create_status", "POST", "/v1/models/m:batchGenerateContent"),
        ("get_status", "GET", "/v1/batches/none"),
        ("list_status", "GET", "/v1/batches"),
        ("upload_status", "POST", "/upload/v1/files"),
        ("download_status", "GET", "/v1/files/batch-none:download"),
    ],
)
def test_every_call_can_be_refused(
    sandbox: Sandbox, fault: str, method: str, path: str, status: int
) -> None:
    sandbox.fault(**{fault: {"status": status, "retry_after": 2}})
    answers = [sandbox.http.request(method, path) for _ in range(2)]
    assert (answers[0].status_code, answers[0].headers["retry-after"]) == (status, "2")
    assert "was told to" in answers[0].json()["error"]["message"]
    assert "was told to" not in answers[1].text


def test_states_can_have_the_guides_prefix(sandbox: Sandbox) -> None:
    sandbox.fault(state_prefix="JOB_STATE_")
    name = sandbox.run(inline("a"))["name"]
    assert sandbox.ask("GET", f"/v1/{name}")["metadata"]["state"] == "JOB_STATE_SUCCEEDED"


@pytest.mark.parametrize(
    "changes",
    [
        {"no_such": 1},
        {"drop_deliveries": "some"},
        {"late_output": 3, "get_status": {"status": "x"}},
    ],
    ids=str,
)
def test_wrong_fault_changes_nothing(sandbox: Sandbox, changes: Json) -> None:
    refused = sandbox.http.post("/sandbox/faults", json=changes)
    assert refused.status_code == 400
    assert sandbox.ask("GET", "/sandbox/faults")["late_output"] == 0


def test_fault_options_change_one_by_one(sandbox: Sandbox) -> None:
    sandbox.fault(late_output=3)
    sandbox.fault(drop_deliveries="all")
    shown = sandbox.ask("GET", "/sandbox/faults")
    assert (shown["late_output"], shown["drop_deliveries"]) == (3, "all")
    sandbox.ask("DELETE", "/sandbox/faults")
    assert sandbox.ask("GET", "/sandbox/faults")["late_output"] == 0


def test_batch_is_created_though_its_answer_is_lost(sandbox: Sandbox) -> None:
    sandbox.fault(lost_creates={"status": 503})
    path = "/v1beta/models/gemini-3.5-flash:batchGenerateContent"
    answer = sandbox.http.post(path, json={"batch": inline("a", name="lost")})
    assert answer.status_code == 503
    (made,) = sandbox.ask("GET", "/v1/batches")["operations"]
    assert made["metadata"]["displayName"] == "lost"
    assert sandbox.create(inline("b"))["name"] != made["name"]


def test_status_fault_hits_an_even_share() -> None:
    faults = Faults()
    faults.set({"create_status": {"status": 429, "times": "all", "share": 0.25}})
    hits = [_is_raised(faults) for _ in range(8)]
    assert hits == [False, False, False, True, False, False, False, True]


def test_setting_one_fault_leaves_the_time_of_another() -> None:
    faults = Faults()
    faults.set({"create_status": {"status": 429, "times": "all", "for_s": 0.2}})
    assert _is_raised(faults)
    deadline = time.monotonic() + 5
    while _is_raised(faults) and time.monotonic() < deadline:
        faults.set({"late_output": 1})
        time.sleep(0.01)
    assert time.monotonic() < deadline


def _is_raised(faults: Faults) -> bool:
    try:
        faults.raise_status("create_status")
    except ApiError:
        return True
    return False
