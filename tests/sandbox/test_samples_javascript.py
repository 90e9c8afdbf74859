"""The guide's JavaScript samples, run by Node as printed and with mistakes corrected."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.api.test_batches import inline, rows_of
from tests.sandbox.conftest import Sandbox
from tests.sandbox.printed_samples import made_right, sample
from tests.sandbox.program_runs import Ran, provide_node_modules, run
from tests.sandbox.test_samples_python import (
    EMBED_ENTRY,
    EMBED_INLINE,
    ENDS,
    ENTRY,
    file_job,
    named_job,
    only,
    texts,
)

RunNode = Callable[..., Ran]
IMPORT = "import {GoogleGenAI} from '@google/genai';\n"
AI = f"{IMPORT}const ai = new GoogleGenAI({{}});\n"
SHORT_WAITS = """
const wait = setTimeout;
globalThis.setTimeout = (done, ms) => wait(done, ms >= 10000 ? 50 : ms);
"""
# The samples upload a file that their stream has not written yet.
AWAIT_END = ("writeStream.end();", "await new Promise(done => writeStream.end(done));")
AWAIT_WRITE = (
    "\nwriteBatchRequestsToFile(requests, filePath);",
    "\nawait writeBatchRequestsToFile(requests, filePath);",
)
# `files.download` sends nothing and returns nothing unless it is told where to write.
TO_FILE = [
    (
        "fileContentBuffer = await ",
        "fileContentBuffer = fs.readFileSync(await (async () => { await ",
    ),
    (
        "download({ file: resultFileName })",
        "download({ file: resultFileName, downloadPath: 'out' }); return 'out'; })())",
    ),
]


@pytest.fixture
def node(sandbox: Sandbox, tmp_path: Path) -> RunNode:
    """Run sources as one module, with waits of the samples cut short."""
    provide_node_modules(tmp_path)
    (tmp_path / "waits.mjs").write_text(SHORT_WAITS)

    def run_module(*sources: str) -> Ran:
        (tmp_path / "sample.mjs").write_text("\n".join(sources))
        return run(["node", "--import", "./waits.mjs", "sample.mjs"], sandbox.url, tmp_path)

    return run_module


def output_of(ran: Ran) -> str:
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def in_block(source: str) -> str:
    """Keeps a sample's names to itself, so that several of them fit into one start of Node."""
    return f"{{\n{source}\n}}"


def test_inline(sandbox: Sandbox, node: RunNode) -> None:
    name = only(r"name: '(batches/[a-z0-9]{36})'", output_of(node(sample("javascript/inline"))))
    assert sandbox.ended(name)["metadata"]["batchStats"]["successfulRequestCount"] == "2"


def test_upload_as_printed_races_with_its_own_file(sandbox: Sandbox, node: RunNode) -> None:
    """It does not wait until its file is written: mostly it finds none."""
    ran = node(sample("javascript/upload"))
    assert "ENOENT" in ran.stderr or sandbox.ask("GET", "/v1/files")["files"]


def test_upload_and_create_from_file(sandbox: Sandbox, node: RunNode) -> None:
    upload = made_right(sample("javascript/upload"), AWAIT_END, AWAIT_WRITE)
    output = output_of(node(upload, sample("javascript/create_from_file")))
    assert output.startswith("Successfully wrote batch requests to ")
    lines = sandbox.result_lines(sandbox.ended(only(r"name: '(batches/.+)'", output)))
    assert [line["key"] for line in lines] == ["request-1", "request-2"]


def test_embeddings(sandbox: Sandbox, node: RunNode) -> None:
    """The sample takes a client, an uploaded file and inline requests as given."""
    file = sandbox.upload(json.dumps(EMBED_ENTRY).encode())
    given = (
        f"{IMPORT}const client = new GoogleGenAI({{}});\n"
        f"const uploadedBatchRequests = {{name: '{file}'}};\n"
        "const inlinedRequests = {contents: ['one', 'two']};\n"
    )
    output = output_of(node(given, sample("javascript/embeddings")))
    names = re.findall(r"Created batch job: (.+)", output)
    of_file, inlined = [sandbox.ended(name) for name in names]
    rows = [sandbox.result_lines(of_file), rows_of(inlined)]
    assert [[len(row["response"]["embedding"]["values"]) for row in some] for some in rows] == [
        [3],
        [768, 768],
    ]


@pytest.mark.parametrize(
    ("name", "grounded"),
    [
        ("system_instruction", [False, False]),
        ("tools", [False, True]),
    ],
)
def test_request_configs(sandbox: Sandbox, node: RunNode, name: str, grounded: list[bool]) -> None:
    """The lists are assigned to a name that nobody declared, which a module refuses."""
    printed = sample(f"javascript/{name}")
    assert "ReferenceError: inlineRequestsList is not defined" in node(printed).stderr
    create = (
        "const source = {model: 'gemini-3.5-flash', src: inlineRequestsList};\n"
        "console.log(await ai.batches.create(source));\n"
    )
    output = output_of(node(AI, "let inlineRequestsList;\n", printed, create))
    rows = rows_of(sandbox.ended(only(r"name: '(batches/.+)'", output)))
    assert ["groundingMetadata" in row["response"]["candidates"][0] for row in rows] == grounded


def test_structured_output(sandbox: Sandbox, node: RunNode) -> None:
    show = "console.log(inlinedBatchJob.name);\n"
    name = output_of(node(sample("javascript/structured_output"), show)).strip()
    answers = [json.loads(text) for text in texts(sandbox, name)]
    assert len(answers) == 2
    for recipe in itertools.chain(*answers):
        assert set(recipe) == {"recipeName", "ingredients"}


def test_poll(sandbox: Sandbox, node: RunNode) -> None:
    jobs = [sandbox.run(inline("a", name=marker))["name"] for marker, _ in ENDS]
    given = [f"const inlinedBatchJob = {{name: '{job}'}};\n" for job in jobs]
    ran = node(AI, *[in_block(one + sample("javascript/poll")) for one in given])
    finished = [f"Job finished with state: JOB_STATE_{state}" for _, state in ENDS]
    assert output_of(ran) == "".join(f"{line}\n" for line in finished)
    assert re.findall("^Error.*", ran.stderr, re.MULTILINE) == ["Error: JOB_STATE_FAILED"]


def test_poll_as_printed_gives_up_on_a_job_that_runs(sandbox: Sandbox, node: RunNode) -> None:
    """The loop asks a `client` that the sample calls `ai`."""
    job = sandbox.create(inline("a", name="[stuck]"))["name"]
    given = f"const inlinedBatchJob = {{name: '{job}'}};\n"
    ran = node(AI, given, sample("javascript/poll"))
    failed = f"An error occurred while polling job {job}"
    assert f"{failed}: ReferenceError: client is not defined" in ran.stderr
    waiting = sandbox.create(inline("a"))["name"]
    given = f"const inlinedBatchJob = {{name: '{waiting}'}};\nconst client = ai;\n"
    assert output_of(node(AI, given, sample("javascript/poll"))).endswith("JOB_STATE_SUCCEEDED\n")


def test_webhook(sandbox: Sandbox, node: RunNode) -> None:
    assert output_of(node(sample("javascript/webhook"))) == "Created webhook: MyBatchWebhook\n"
    (webhook,) = sandbox.ask("GET", "/v1/webhooks")["webhooks"]
    assert webhook["uri"] == "https://my-api.com/gemini-callback"


def test_results_from_files(sandbox: Sandbox, node: RunNode) -> None:
    """As printed, `files.download` sends no request and gives nothing to show."""
    jobs = [file_job(sandbox, ENTRY), file_job(sandbox, EMBED_ENTRY, "asyncBatchEmbedContent")]
    printed = [named_job("javascript/results", job) for job in jobs]
    errors = node(AI, *map(in_block, printed)).stderr
    assert errors.count("TypeError: Cannot read properties of undefined (reading 'toString')") == 2
    right = [in_block(made_right(text, *TO_FILE)) for text in printed]
    output = output_of(node("import * as fs from 'fs';\n", AI, *right))
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"response"')]
    assert [min(line["response"]) for line in lines] == ["candidates", "embedding"]


def test_results_from_inline(sandbox: Sandbox, node: RunNode) -> None:
    job = sandbox.run(inline("hello", "[sandbox:error 8]"))["name"]
    ran = node(AI, named_job("javascript/results", job))
    assert "candidates: [ {" in output_of(ran).partition("Response 1:")[2]
    assert "Error: [object Object]" in ran.stderr  # the sample prints an object as a text


def test_results_from_inline_embeddings(sandbox: Sandbox, node: RunNode) -> None:
    job = sandbox.run(EMBED_INLINE, "asyncBatchEmbedContent")["name"]
    output = output_of(node(AI, named_job("javascript/results", job)))
    assert "embedding: " in output.partition("Embedding results found inline:")[2]


def test_results_of_unsuccessful_jobs(sandbox: Sandbox, node: RunNode) -> None:
    jobs = [sandbox.run(inline("a", name=marker))["name"] for marker, _ in ENDS[1:]]
    output = output_of(node(AI, *[in_block(named_job("javascript/results", job)) for job in jobs]))
    unsuccessful = [f"Job did not succeed. Final state: JOB_STATE_{state}" for _, state in ENDS[1:]]
    assert output == "".join(f"{line}\n" for line in unsuccessful)


def test_list(sandbox: Sandbox, node: RunNode) -> None:
    names = [sandbox.create(inline("a"))["name"] for _ in range(3)]
    output = output_of(node(AI, sample("javascript/list")))
    assert re.findall(r"name: '(batches/[a-z0-9]+)'", output) == names[::-1]


def test_cancel(sandbox: Sandbox, node: RunNode) -> None:
    name = sandbox.create(inline("a", name="[stuck]"))["name"]
    given = f"const batchJobToCancel = {{name: '{name}'}};\n"
    output_of(node(AI, given, sample("javascript/cancel")))
    assert sandbox.ask("GET", f"/v1/{name}")["metadata"]["state"] == "BATCH_STATE_CANCELLED"


def test_delete(sandbox: Sandbox, node: RunNode) -> None:
    name = sandbox.create(inline("a"))["name"]
    given = f"const batchJobToDelete = {{name: '{name}'}};\n"
    output_of(node(AI, given, sample("javascript/delete")))
    assert sandbox.http.get(f"/v1/{name}").status_code == 404


def test_images(node: RunNode) -> None:
    """As printed it uploads too early, as the upload does, and shows what was never downloaded."""
    in_time = made_right(sample("javascript/images"), AWAIT_END)
    ran = node(in_time)
    assert "Job finished with state: JOB_STATE_SUCCEEDED" in ran.stdout
    assert "TypeError: Cannot read properties of undefined (reading 'toString')" in ran.stderr
    assert ran.returncode == 1
    output = output_of(node(made_right(in_time, *TO_FILE)))
    assert output.count("Image mime type: image/png\n") == 2
