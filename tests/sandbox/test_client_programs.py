"""Our own programs for each part of Gemini's guide do the same in every language."""

import json
import re
import stat
from pathlib import Path

import pytest
from PIL import Image

from tests.programs import require
from tests.sandbox.api.test_batches import inline, rows_of
from tests.sandbox.callbacks import Callbacks
from tests.sandbox.conftest import Json, Sandbox
from tests.sandbox.printed_samples import code_blocks, guide_text
from tests.sandbox.program_runs import (
    PROGRAMS,
    Program,
    in_a_process,
    in_this_process,
    provide_node_modules,
)

ENDS = {
    "": "SUCCEEDED",
    "[fail]": "FAILED",
    "[expire]": "EXPIRED",
    "[cancel-partial]": "CANCELLED",
}
TEXT = {"contents": [{"parts": [{"text": "hello"}]}]}
THINKING = {**TEXT, "generation_config": {"thinking_config": {"include_thoughts": True}}}
BLOCKED = {"contents": [{"parts": [{"text": "[sandbox:blocked]"}]}]}
FAILING = {"contents": [{"parts": [{"text": "[sandbox:error 8]"}]}]}
EMBED = "asyncBatchEmbedContent"
MIN_LETTERS_OF_A_SENTENCE = 40  # shorter lines consist of names that the API gives
pytestmark = pytest.mark.filterwarnings(r"ignore:batches.create_embeddings\(\) is experimental")


@pytest.fixture(params=["python", "javascript", "curl"])
def program(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Program:
    monkeypatch.setenv("POLL_SECONDS", "0.05")
    monkeypatch.chdir(tmp_path)
    if request.param == "python":
        return in_this_process(sandbox.url, monkeypatch, capsys)
    if request.param == "javascript":
        provide_node_modules(tmp_path)
        return in_a_process("node", ".mjs", sandbox.url, tmp_path)
    for needed in ("curl", "jq"):
        require(needed)
    return in_a_process("bash", ".sh", sandbox.url, tmp_path)


def embedding(text: str) -> Json:
    return {"content": {"parts": [{"text": text}]}, "output_dimensionality": 3}


def lines_of(*requests: Json) -> bytes:
    """An input file whose keys are row-0, row-1 and so on."""
    entries = ({"key": f"row-{row}", "request": asked} for row, asked in enumerate(requests))
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def test_inline_requests_keep_their_keys(sandbox: Sandbox, program: Program) -> None:
    ended = sandbox.ended(program("submit_inline").printed)
    assert ended["metadata"]["displayName"] == "two questions"
    assert ended["metadata"]["batchStats"] == {"requestCount": "2", "successfulRequestCount": "2"}
    assert [row["metadata"]["key"] for row in rows_of(ended)] == ["tides", "rust"]


def test_uploaded_file_becomes_a_batch(sandbox: Sandbox, program: Program) -> None:
    uploaded = program("upload_input").printed
    stored = sandbox.ask("GET", f"/v1/{uploaded}")
    assert (stored["displayName"], stored["mimeType"]) == ("questions", "application/jsonl")
    ended = sandbox.ended(program("submit_file", uploaded).printed)
    assert ended["metadata"]["inputConfig"] == {"fileName": uploaded}
    lines = sandbox.result_lines(ended)
    assert [line["key"] for line in lines] == ["volcano", "bridge"]
    assert all("response" in line for line in lines)


def test_embeddings_come_from_file_and_texts(sandbox: Sandbox, program: Program) -> None:
    uploaded = sandbox.upload(lines_of(embedding("one")))
    names = program("submit_embeddings", uploaded).printed.split("\n")
    of_file, of_texts = map(sandbox.ended, names)
    (line,) = sandbox.result_lines(of_file)
    assert (line["key"], len(line["response"]["embedding"]["values"])) == ("row-0", 3)
    vectors = [row["response"]["embedding"]["values"] for row in rows_of(of_texts)]
    assert [len(vector) for vector in vectors] == [256, 256]
    assert vectors[0] != vectors[1]


def test_system_instruction_goes_with_one_request(program: Program, callbacks: Callbacks) -> None:
    """The sandbox's answers do not show instructions: the call itself does."""
    callbacks.answer = b'{"name": "batches/sent"}'
    assert program("system_instruction", url=callbacks.url).printed == "batches/sent"
    (received,) = callbacks.received
    assert received.path.endswith("/models/gemini-3.8-flash:batchGenerateContent")
    requests = json.loads(received.body)["batch"]["inputConfig"]["requests"]["requests"]
    asked = {entry["metadata"]["key"]: entry["request"] for entry in requests}
    assert "systemInstruction" not in asked["plain"]
    (part,) = asked["pirate"]["systemInstruction"]["parts"]
    assert part == {"text": "Answer as an old pirate would."}


def test_search_grounds_one_answer(sandbox: Sandbox, program: Program) -> None:
    rows = rows_of(sandbox.ended(program("search_tool").printed))
    answers = {row["metadata"]["key"]: row["response"]["candidates"][0] for row in rows}
    assert sorted(answers) == ["from memory", "searched"]
    assert [key for key in answers if "groundingMetadata" in answers[key]] == ["searched"]


def test_both_questions_use_the_cached_document(sandbox: Sandbox, program: Program) -> None:
    rows = rows_of(sandbox.ended(program("cached_content", "cachedContents/abc").printed))
    assert [row["metadata"]["key"] for row in rows] == ["who", "when"]
    assert all(row["response"]["usageMetadata"]["cachedContentTokenCount"] for row in rows)


def test_structured_answers_are_read(program: Program) -> None:
    lines = program("structured_output").printed.split("\n")
    assert all(re.fullmatch(r"the (Alps|North Sea): .+, \d+ cm", line) for line in lines)
    assert {line.partition(":")[0] for line in lines} == {"the Alps", "the North Sea"}


def test_wait_says_how_a_batch_ended(sandbox: Sandbox, program: Program) -> None:
    for marker, state in ENDS.items():
        name = sandbox.create(inline("a", name=marker))["name"]
        ended = program("wait", name)
        error = sandbox.ended(name).get("error", {}).get("message", "")
        assert ended == ((0 if not marker else 1), f"{state}\n", f"{error}\n" if error else "")
        assert bool(error) == bool(marker)


def test_wait_for_an_unknown_batch_ends(program: Program) -> None:
    ended = program("wait", "batches/none")
    assert ended.code != 0
    assert "404" in ended.output + ended.errors


def test_webhook_keeps_its_secret_private(
    sandbox: Sandbox,
    program: Program,
    tmp_path: Path,
) -> None:
    url = "https://example.com/gemini"
    registered = sandbox.ask("GET", f"/v1/webhooks/{program('register_webhook', url).printed}")
    assert registered["uri"] == url
    ends = ["batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired"]
    assert registered["subscribed_events"] == ends
    secret = tmp_path / "webhook-secret"
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]+=*", secret.read_text())
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_results_of_a_file_are_shown(sandbox: Sandbox, program: Program) -> None:
    uploaded = sandbox.upload(lines_of(TEXT, THINKING, BLOCKED, FAILING))
    name = sandbox.run({"inputConfig": {"fileName": uploaded}})["name"]
    lines = program("show_results", name).output.split("\n")
    assert lines[0].startswith("row-0: You asked: 'hello'. ")
    assert lines[1].startswith("row-1: You asked: 'hello'. ")
    assert lines[2:] == ["row-2: ", "row-3: error 8: The quota is used up.", ""]


def test_results_of_inline_requests_are_shown(sandbox: Sandbox, program: Program) -> None:
    name = sandbox.run(inline("hello", "[sandbox:blocked]", "[sandbox:error 8]"))["name"]
    lines = program("show_results", name).output.split("\n")
    assert lines[0].startswith("0: You asked: 'hello'. ")
    assert lines[1:] == ["1: ", "2: error 8: The quota is used up.", ""]


def test_results_of_embeddings_are_shown(sandbox: Sandbox, program: Program) -> None:
    uploaded = sandbox.upload(lines_of(embedding("one"), embedding("[sandbox:error 8]")))
    of_file = sandbox.run({"inputConfig": {"fileName": uploaded}}, EMBED)["name"]
    shown = program("show_results", of_file).output
    assert shown == "row-0: 3 numbers\nrow-1: error 8: The quota is used up.\n"
    requests = [{"request": embedding("one"), "metadata": {"key": "first"}}]
    of_texts = sandbox.run({"inputConfig": {"requests": {"requests": requests}}}, EMBED)["name"]
    assert program("show_results", of_texts).output == "first: 3 numbers\n"


def test_missing_results_are_said(sandbox: Sandbox, program: Program) -> None:
    name = sandbox.run(inline("a", name="[fail]"))["name"]
    ended = program("show_results", name)
    assert (ended.code, ended.output) == (1, "")
    assert re.fullmatch(rf"{name} has no results: \w+_STATE_FAILED\n", ended.errors)


def test_list_walks_all_pages(sandbox: Sandbox, program: Program) -> None:
    names = [sandbox.run(inline("a", name=title))["name"] for title in (None, "[fail]", "last")]
    lines = program("list_batches", "2").printed.split("\n")
    assert [line.split("\t") for line in lines] == [
        [names[2], "SUCCEEDED", "last"],
        [names[1], "FAILED", "[fail]"],
        [names[0], "SUCCEEDED", "-"],
    ]


def test_cancelled_batch_says_so(sandbox: Sandbox, program: Program) -> None:
    name = sandbox.create(inline("a", name="[stuck]"))["name"]
    assert program("cancel_batch", name).printed == "CANCELLED"
    assert sandbox.ask("GET", f"/v1/{name}")["metadata"]["state"] == "BATCH_STATE_CANCELLED"


def test_deleted_batch_is_gone(sandbox: Sandbox, program: Program) -> None:
    name = sandbox.create(inline("a"))["name"]
    assert program("delete_batch", name).printed == f"{name} is deleted"
    assert sandbox.http.get(f"/v1/{name}").status_code == 404


def test_images_become_picture_files(program: Program, tmp_path: Path) -> None:
    assert program("make_images").printed.split("\n") == ["lighthouse.png", "orchard.png"]
    pictures = []
    for name in ("lighthouse.png", "orchard.png"):
        with Image.open(tmp_path / name) as picture:
            picture.load()
            pictures.append(picture.tobytes())
    assert pictures[0] != pictures[1]


def test_programs_repeat_no_line_of_the_guide() -> None:
    printed = {line.strip() for _, code in code_blocks(guide_text()) for line in code.split("\n")}
    for path in PROGRAMS.glob("*/*.*"):
        lines = {line.strip() for line in path.read_text().split("\n")}
        shared = [line for line in lines & printed if len(line) >= MIN_LETTERS_OF_A_SENTENCE]
        assert shared == [], path
