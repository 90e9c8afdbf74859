"""The guide's curl samples, run by bash, as printed and with mistakes corrected."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.programs import require
from tests.sandbox.api.test_batches import inline, rows_of
from tests.sandbox.conftest import Json, Sandbox
from tests.sandbox.printed_samples import made_right, sample
from tests.sandbox.program_runs import run

HOST = "https://generativelanguage.googleapis.com"  # what the samples call
RunShell = Callable[[str], str]
NAMED = {"id": "123456"}  # the batch that the samples ask for: batches/123456
ENTRY = b'{"key":"request-1","request":{"contents":[{"parts":[{"text":"hello"}]}]}}'
DONE = f"curl -s {HOST}/v1beta/$BATCH_NAME?key=a-key | grep -q '\"done\": true'"
UNTIL_DONE = f"until {DONE}; do sleep 0.1; done"


@pytest.fixture
def shell(sandbox: Sandbox, tmp_path: Path) -> RunShell:
    """Run a script with the sandbox for a host; gives what it prints."""
    for program in ("curl", "jq", "file"):
        require(program)

    def run_script(script: str) -> str:
        ran = run(["bash", "-c", script.replace(HOST, sandbox.url)], sandbox.url, tmp_path)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run_script


def ready(sandbox: Sandbox, **members: object) -> None:
    sandbox.ask("POST", "/sandbox/batches", {**NAMED, **members})


def stuck(sandbox: Sandbox) -> str:
    """A job that runs on, whose name then stands in the sample."""
    return str(sandbox.create(inline("a", name="[stuck]"))["name"])


def test_inline(sandbox: Sandbox, shell: RunShell) -> None:
    created: Json = json.loads(shell(sample("rest/inline")))
    assert created["metadata"]["displayName"] == "my-batch-requests"
    rows = rows_of(sandbox.ended(created["name"]))
    assert [row["metadata"]["key"] for row in rows] == ["request-1", "request-2"]


def test_upload(sandbox: Sandbox, shell: RunShell) -> None:
    uri = json.loads(shell(sample("rest/upload") + 'echo "$file_uri"\n'))
    stored = sandbox.ask("GET", f"/v1beta/files/{uri.rpartition('/')[2]}")
    assert (stored["displayName"], stored["uri"]) == ("BatchInput", uri)
    ended = sandbox.run({"inputConfig": {"fileName": stored["name"]}})
    assert [list(line) for line in sandbox.result_lines(ended)] == [["response"], ["response"]]


def test_create_from_file(sandbox: Sandbox, shell: RunShell) -> None:
    sandbox.upload(ENTRY, name="files/123456")
    created = json.loads(shell(sample("rest/create_from_file")))
    (line,) = sandbox.result_lines(sandbox.ended(created["name"]))
    assert line["key"] == "request-1"


def test_webhook(sandbox: Sandbox, shell: RunShell) -> None:
    """The sample takes the key from another variable than all the others."""
    given = "GOOGLE_API_KEY=$GEMINI_API_KEY\n"
    created = json.loads(shell(given + sample("rest/webhook")))
    assert created["new_signing_secret"].startswith("whsec_")
    assert sandbox.ask("GET", "/v1/webhooks/my-example-webhook-123")["name"] == "My Example Webhook"


def test_results_as_printed_show_nothing(sandbox: Sandbox, shell: RunShell) -> None:
    """The sample waits for JOB_STATE_SUCCEEDED; the service says BATCH_STATE_SUCCEEDED."""
    ready(sandbox, output={"inlinedResponses": {"inlinedResponses": []}})
    assert shell(sample("rest/results")) == ""
    assert "inlinedResponses" in shell(sample("rest/results").replace("JOB_STATE_", "BATCH_STATE_"))


def test_results_from_file(sandbox: Sandbox, shell: RunShell, tmp_path: Path) -> None:
    sandbox.fault(state_prefix="JOB_STATE_")
    (tmp_path / "result").write_bytes(b'{"response":{},"key":"a"}\n')
    ready(sandbox, result_path=str(tmp_path / "result"), request_count=1)
    assert shell(sample("rest/results")) == '{"response":{},"key":"a"}\n'


@pytest.mark.parametrize(
    "row",
    [{"candidates": []}, {"embedding": {"values": [0.5]}}],
    ids=["text", "embedding"],
)
def test_results_from_inline(sandbox: Sandbox, shell: RunShell, row: Json) -> None:
    sandbox.fault(state_prefix="JOB_STATE_")
    rows = {"inlinedResponses": [{"response": row, "metadata": {"key": "a"}}]}
    ready(sandbox, output={"inlinedResponses": rows}, request_count=1)
    assert json.loads(shell(sample("rest/results"))) == rows


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("FAILED", '"code": 13'),
        ("CANCELLED", "Batch was cancelled by the user"),
        ("EXPIRED", "Batch expired after 48 hours"),
    ],
)
def test_results_of_unsuccessful_jobs(
    sandbox: Sandbox,
    shell: RunShell,
    state: str,
    words: str,
) -> None:
    sandbox.fault(state_prefix="JOB_STATE_")
    ready(sandbox, state=state)
    assert words in shell(sample("rest/results"))


def test_list(sandbox: Sandbox, shell: RunShell) -> None:
    ready(sandbox)
    (shown,) = json.loads(shell(sample("rest/list")))["operations"]
    assert shown["name"] == "batches/123456"


def test_cancel_as_printed_cancels_nothing(sandbox: Sandbox, shell: RunShell) -> None:
    """The sample lacks `-X POST`: a GET of `…:cancel` is no call of the service."""
    job = stuck(sandbox)
    printed = made_right(sample("rest/cancel"), ("batches/123456", job))
    output = shell(printed)
    assert '"code": 404' in output
    assert output.endswith(("}\nBATCH_STATE_PENDING\n", "}\nBATCH_STATE_RUNNING\n"))
    output = shell(made_right(printed, (":cancel \\\n", ":cancel -X POST \\\n")))
    assert output == "{}\nBATCH_STATE_CANCELLED\n"


def test_delete(sandbox: Sandbox, shell: RunShell) -> None:
    ready(sandbox)
    assert shell(sample("rest/delete")) == "{}\n"
    assert sandbox.http.get("/v1/batches/123456").status_code == 404


def test_images_as_printed_download_nothing(
    sandbox: Sandbox,
    shell: RunShell,
    tmp_path: Path,
) -> None:
    """It reads `.state` and `.dest.fileName`, which no answer has, and expects JOB_STATE_."""
    shell(sample("rest/images").split("# Follow")[0])
    written = (tmp_path / "my-batch-image-requests.jsonl").read_bytes()
    sandbox.upload(written, name="files/your-uploaded-file-name")
    assert "Job succeeded" not in shell(sample("rest/images"))
    right = made_right(
        sample("rest/images"),
        ("# 3.", f"{UNTIL_DONE} #"),
        ("'.state'", "'.metadata.state'"),
        ("'.dest.fileName'", "'.response.responsesFile'"),
        ('= "JOB_STATE_', '= "BATCH_STATE_'),
    )
    assert "Results saved to batch_results.jsonl" in shell(right)
    lines = (tmp_path / "batch_results.jsonl").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    kinds = [set().union(*row["response"]["candidates"][0]["content"]["parts"]) for row in rows]
    assert kinds == [{"text", "inlineData"}] * 2
