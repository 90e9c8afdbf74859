"""The guide's Python samples, run with the real SDK in this process. Only sleeps are shorter."""

import itertools
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.programs import require_module
from tests.sandbox.api.test_batches import inline, rows_of
from tests.sandbox.conftest import Json, Sandbox
from tests.sandbox.printed_samples import sample
from tests.sandbox.program_runs import environment

CLIENT = "from google import genai\nclient = genai.Client()\n"
ENDS = [
    ("", "SUCCEEDED"),
    ("[fail]", "FAILED"),
    ("[expire]", "EXPIRED"),
    ("[cancel-partial]", "CANCELLED"),
]
ENTRY = {"key": "request-1", "request": {"contents": [{"parts": [{"text": "hello"}]}]}}
EMBED_REQUEST = {"content": {"parts": [{"text": "one"}]}, "output_dimensionality": 3}
EMBED_ENTRY = {"key": "request-1", "request": EMBED_REQUEST}
EMBED_INLINE = {"inputConfig": {"requests": {"requests": [{"request": EMBED_REQUEST}]}}}
pytestmark = pytest.mark.filterwarnings(r"ignore:batches.create_embeddings\(\) is experimental")


class Ran(NamedTuple):
    output: str
    names: dict[str, Any]  # what the script has defined


Run = Callable[..., Ran]


@pytest.fixture
def run(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Ran]:
    """Run sources as one script in a folder of its own; a sample follows what it continues."""
    require_module("google.genai")
    sleep = time.sleep
    for name, value in environment(sandbox.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _: sleep(0.05))

    def run_script(*sources: str) -> Ran:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile("\n".join(sources), "sample", "exec"), names)
        return Ran(capsys.readouterr().out, names)

    return run_script


def named_job(name: str, job: str) -> str:
    """A sample with the job's name filled in where it says so."""
    text = sample(name)
    assert "YOUR_BATCH_JOB_NAME" in text
    return text.replace("YOUR_BATCH_JOB_NAME", job)


def only(pattern: str, output: str) -> str:
    """The group of the pattern's only match."""
    found = re.findall(pattern, output)
    assert len(found) == 1, output
    return str(found[0])


def texts(sandbox: Sandbox, job: str) -> list[str]:
    rows = rows_of(sandbox.ended(job))
    return [row["response"]["candidates"][0]["content"]["parts"][0]["text"] for row in rows]


def file_job(sandbox: Sandbox, entry: Json, method: str = "batchGenerateContent") -> str:
    name = sandbox.upload(json.dumps(entry).encode())
    return str(sandbox.run({"inputConfig": {"fileName": name}}, method)["name"])


def test_inline(sandbox: Sandbox, run: Run) -> None:
    ran = run(sample("python/inline"))
    name = only(r"^Created batch job: (batches/[a-z0-9]{36})\n$", ran.output)
    assert ["joke" in texts(sandbox, name)[0], "sky" in texts(sandbox, name)[1]] == [True, True]
    assert sandbox.ended(name)["metadata"]["displayName"] == "inlined-requests-job-1"


def test_upload_and_create_from_file(sandbox: Sandbox, run: Run) -> None:
    ran = run(sample("python/upload"), sample("python/create_from_file"))
    stored = sandbox.ask("GET", f"/v1/{only(r'Uploaded file: (files/[a-z0-9]{12})', ran.output)}")
    assert (stored["displayName"], stored["mimeType"]) == ("my-batch-requests", "jsonl")
    lines = sandbox.result_lines(sandbox.ended(only("Created batch job: (.+)", ran.output)))
    assert [line["key"] for line in lines] == ["request-1", "request-2"]


def test_embeddings(sandbox: Sandbox, run: Run) -> None:
    """The sample takes an uploaded file and inline requests as given."""
    file = sandbox.upload(json.dumps(EMBED_ENTRY).encode())
    given = (
        f"import types\nuploaded_batch_requests = types.SimpleNamespace(name={file!r})\n"
        "inlined_requests = {'contents': ['one', 'two']}\n"
    )
    names = run(given, sample("python/embeddings")).names
    (line,) = sandbox.result_lines(sandbox.ended(names["file_job"].name))
    assert (line["key"], len(line["response"]["embedding"]["values"])) == ("request-1", 3)
    rows = rows_of(sandbox.ended(names["batch_job"].name))
    assert [len(row["response"]["embedding"]["values"]) for row in rows] == [768, 768]


@pytest.mark.parametrize(
    ("name", "source", "grounded"),
    [
        ("system_instruction", "inline_requests_list", [False, False]),
        ("tools", "inlined_requests", [False, True]),
    ],
)
def test_request_configs(
    sandbox: Sandbox,
    run: Run,
    name: str,
    source: str,
    grounded: list[bool],
) -> None:
    create = f"job = client.batches.create(model='gemini-3.5-flash', src={source})\n"
    job = run(CLIENT, sample(f"python/{name}"), create).names["job"].name
    rows = rows_of(sandbox.ended(job))
    assert ["groundingMetadata" in row["response"]["candidates"][0] for row in rows] == grounded


def test_structured_output(run: Run) -> None:
    output = run(sample("python/structured_output")).output
    assert "Job finished with state: JOB_STATE_SUCCEEDED" in output
    answers = re.findall(r"--- Response \d ---\n(.+)\n", output)
    assert len(answers) == 2
    for recipe in itertools.chain(*map(json.loads, answers)):
        assert set(recipe) == {"recipe_name", "ingredients"}


@pytest.mark.parametrize(("marker", "state"), ENDS)
def test_poll(sandbox: Sandbox, run: Run, marker: str, state: str) -> None:
    output = run(named_job("python/poll", sandbox.create(inline("a", name=marker))["name"])).output
    assert f"Job finished with state: JOB_STATE_{state}\n" in output
    # The SDK never fills `error` on this API: the sample prints None for what went wrong.
    assert ("Error: None" in output) == (state == "FAILED")


def test_webhook(sandbox: Sandbox, run: Run) -> None:
    assert run(sample("python/webhook")).output == "Created webhook: MyBatchWebhook\n"
    (webhook,) = sandbox.ask("GET", "/v1/webhooks")["webhooks"]
    assert webhook["subscribed_events"] == ["batch.succeeded", "batch.failed"]


def test_results_from_file(sandbox: Sandbox, run: Run) -> None:
    output = run(named_job("python/results", file_job(sandbox, ENTRY))).output
    assert json.loads(output.partition("content...\n")[2])["key"] == "request-1"


def test_results_from_inline(sandbox: Sandbox, run: Run) -> None:
    job = sandbox.run(inline("hello", "[sandbox:error 8]"))["name"]
    output = run(named_job("python/results", job)).output
    assert re.search(r"Response 1:\nYou asked: 'hello'.+\nResponse 2:\nError: .*code=8", output)


def test_results_from_embedding_file(sandbox: Sandbox, run: Run) -> None:
    job = file_job(sandbox, EMBED_ENTRY, "asyncBatchEmbedContent")
    output = run(named_job("python/results", job)).output
    line = json.loads(output.partition("content...\n")[2])
    assert len(line["response"]["embedding"]["values"]) == 3


def test_results_from_inline_embeddings(sandbox: Sandbox, run: Run) -> None:
    """As printed the sample finds nothing: its comment says which other name embeddings need."""
    job = sandbox.run(EMBED_INLINE, "asyncBatchEmbedContent")["name"]
    printed = named_job("python/results", job)
    assert run(printed).output == "No results found (neither file nor inline).\n"
    right = printed.replace("dest.inlined_responses", "dest.inlined_embed_content_responses")
    output = run(right).output
    assert "Response 1:" in output
    assert "embedding=" in output


@pytest.mark.parametrize(("marker", "state"), ENDS[1:])
def test_results_of_unsuccessful_jobs(sandbox: Sandbox, run: Run, marker: str, state: str) -> None:
    job = sandbox.run(inline("a", name=marker))["name"]
    output = run(named_job("python/results", job)).output
    assert output == f"Job did not succeed. Final state: JOB_STATE_{state}\n"


def test_list(sandbox: Sandbox, run: Run) -> None:
    names = [sandbox.create(inline("a"))["name"] for _ in range(3)]
    output = run(CLIENT, sample("python/list")).output
    assert re.findall(r"name='(batches/[a-z0-9]+)'", output) == names[::-1]


def test_cancel(sandbox: Sandbox, run: Run) -> None:
    name = sandbox.create(inline("a", name="[stuck]"))["name"]
    given = f"batch_job_to_cancel = client.batches.get(name={name!r})\n"
    run(CLIENT, given, sample("python/cancel"))
    assert sandbox.ask("GET", f"/v1/{name}")["metadata"]["state"] == "BATCH_STATE_CANCELLED"


def test_delete(sandbox: Sandbox, run: Run) -> None:
    name = sandbox.create(inline("a"))["name"]
    given = f"batch_job_to_delete = client.batches.get(name={name!r})\n"
    run(CLIENT, given, sample("python/delete"))
    assert sandbox.http.get(f"/v1/{name}").status_code == 404


def test_images(run: Run) -> None:
    ran = run(sample("python/images"))
    assert ran.output.count("Image mime type: image/png\n") == 2
    assert ran.names["data"].startswith(b"\x89PNG")


def test_cached_content_names(sandbox: Sandbox, run: Run) -> None:
    """The guide has words about these, and no sample."""
    cached = (
        "cached = {'cached_content': 'cachedContents/abc'}\n"
        "src = [{'contents': 'a', 'config': cached}, {'contents': 'b'}]\n"
    )
    create = "job = client.batches.create(model='gemini-3.5-flash', src=src)\n"
    job = run(CLIENT, cached, create).names["job"].name
    rows = rows_of(sandbox.ended(job))
    usages = [row["response"]["usageMetadata"] for row in rows]
    assert ["cachedContentTokenCount" in usage for usage in usages] == [True, False]
