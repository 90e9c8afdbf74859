"""What the SDK for Python makes of the sandbox's answers to the calls of the guide."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from PIL import Image
from pydantic import BaseModel, TypeAdapter

from tests.sandbox.callbacks import Callbacks

MODEL = "gemini-3.5-flash"
Wait = Callable[[str], types.BatchJob]
# The SDK warns on every call of create_embeddings; the guide recommends it all the same.
EXPERIMENTAL = pytest.mark.filterwarnings(r"ignore:batches.create_embeddings\(\) is experimental")


class Recipe(BaseModel):
    recipe_name: str
    ingredients: list[str]


def ask(text: str, **config: Any) -> Any:
    request: dict[str, Any] = {"contents": [{"parts": [{"text": text}], "role": "user"}]}
    return {**request, "config": config} if config else request


def name_of(named: types.BatchJob | types.File) -> str:
    assert named.name is not None
    return named.name


def inlined(job: types.BatchJob) -> list[types.InlinedResponse]:
    assert job.dest is not None
    assert job.dest.inlined_responses is not None
    return job.dest.inlined_responses


def result_file(job: types.BatchJob) -> str:
    assert job.dest is not None
    assert job.dest.file_name is not None
    return job.dest.file_name


def text_of(row: types.InlinedResponse) -> str:
    assert row.response is not None
    assert row.response.text is not None
    return row.response.text


@pytest.fixture
def uploaded(client: genai.Client, tmp_path: Path) -> types.File:
    path = tmp_path / "questions.jsonl"
    questions = {"moss": "How does moss drink?", "clock": "Who built the first clock?"}
    requests = ({"key": key, "request": ask(text)} for key, text in questions.items())
    path.write_text("".join(json.dumps(request) + "\n" for request in requests))
    config = types.UploadFileConfig(display_name="questions", mime_type="jsonl")
    return client.files.upload(file=str(path), config=config)


def test_inline_requests_answer_inline(client: genai.Client, wait_job: Wait) -> None:
    requests = [ask("Name a river in Peru."), ask("How old can an oak become?")]
    config: Any = {"display_name": "two questions"}
    created = client.batches.create(model=MODEL, src=requests, config=config)
    assert created.state is types.JobState.JOB_STATE_PENDING
    job = wait_job(name_of(created))
    assert job.state is types.JobState.JOB_STATE_SUCCEEDED
    assert (job.display_name, job.model) == ("two questions", "models/gemini-3.5-flash")
    assert job.create_time is not None
    assert job.end_time is not None
    assert job.end_time > job.create_time
    rows = inlined(job)
    assert ["river" in text_of(rows[0]), "oak" in text_of(rows[1])] == [True, True]
    assert all(row.response and row.response.usage_metadata for row in rows)


def test_uploaded_file_reads_back(client: genai.Client, uploaded: types.File) -> None:
    assert (uploaded.display_name, uploaded.mime_type) == ("questions", "jsonl")
    assert uploaded.state is types.FileState.ACTIVE
    assert uploaded.source is types.FileSource.UPLOADED
    found = client.files.get(name=name_of(uploaded))
    assert found.size_bytes == uploaded.size_bytes
    assert found.expiration_time == uploaded.expiration_time
    client.files.delete(name=name_of(uploaded))
    with pytest.raises(errors.ClientError) as refused:
        client.files.get(name=name_of(uploaded))
    assert refused.value.code == 403


def test_file_job_gives_file(client: genai.Client, uploaded: types.File, wait_job: Wait) -> None:
    config: Any = {"display_name": "questions from a file"}
    created = client.batches.create(model=MODEL, src=name_of(uploaded), config=config)
    job = wait_job(name_of(created))
    assert len(result_file(job).removeprefix("files/")) == 42
    lines = client.files.download(file=result_file(job)).decode("utf-8").splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["moss", "clock"]
    assert all(line.startswith('{"response":{') for line in lines)
    assert lines[0].endswith('"key":"moss"}')
    assert lines[1].endswith('"key":"clock"}')


def test_result_file_has_no_metadata(
    client: genai.Client,
    uploaded: types.File,
    wait_job: Wait,
) -> None:
    job = wait_job(name_of(client.batches.create(model=MODEL, src=name_of(uploaded))))
    with pytest.raises(errors.ClientError, match="cannot be more than 40 characters") as refused:
        client.files.get(name=result_file(job))
    assert refused.value.code == 400
    with pytest.raises(errors.ClientError, match="cannot be more than 40 characters"):
        client.files.delete(name=result_file(job))


def test_download_streams_to_path(
    client: genai.Client,
    uploaded: types.File,
    wait_job: Wait,
    tmp_path: Path,
) -> None:
    job = wait_job(name_of(client.batches.create(model=MODEL, src=name_of(uploaded))))
    client.files.download(file=result_file(job), destination=str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == client.files.download(file=result_file(job))


@EXPERIMENTAL
def test_embeddings_from_inline_requests(client: genai.Client, wait_job: Wait) -> None:
    requests: Any = {"contents": [{"parts": [{"text": "one"}]}, {"parts": [{"text": "two"}]}]}
    requests["config"] = {"output_dimensionality": 64}
    created = client.batches.create_embeddings(
        model="gemini-embedding-2",
        src={"inlined_requests": requests},
        config={"display_name": "two texts"},
    )
    job = wait_job(name_of(created))
    assert job.dest is not None
    rows = job.dest.inlined_embed_content_responses
    assert rows is not None
    answers = [row.response for row in rows if row.response]
    values = [answer.embedding.values for answer in answers if answer.embedding]
    assert [len(found or []) for found in values] == [64, 64]
    assert values[0] != values[1]


@EXPERIMENTAL
def test_embeddings_from_input_file(client: genai.Client, wait_job: Wait) -> None:
    request = {"content": {"parts": [{"text": "one"}]}, "output_dimensionality": 3}
    line = {"key": "request_1", "request": request}
    content = io.BytesIO(json.dumps(line).encode())
    source = client.files.upload(file=content, config=types.UploadFileConfig(mime_type="jsonl"))
    created = client.batches.create_embeddings(
        model="gemini-embedding-2",
        src={"file_name": source.name},
        config={"display_name": "texts of a file"},
    )
    job = wait_job(name_of(created))
    row = json.loads(client.files.download(file=result_file(job)))
    assert row["key"] == "request_1"
    assert row["response"]["tokenCount"] == "1"
    assert len(row["response"]["embedding"]["values"]) == 3


def test_system_instruction_is_accepted(client: genai.Client, wait_job: Wait) -> None:
    requests = [
        {"contents": [{"parts": [{"text": "Praise a lighthouse."}]}]},
        ask("Praise a harbour.", system_instruction={"parts": [{"text": "You are a gull."}]}),
    ]
    job = wait_job(name_of(client.batches.create(model=MODEL, src=requests)))
    first, second = map(text_of, inlined(job))
    assert ["lighthouse" in first, "harbour" in second] == [True, True]


def test_google_search_grounds_answer(client: genai.Client, wait_job: Wait) -> None:
    question = "Which comets are near?"
    requests = [ask(question), ask(question, tools=[{"google_search": {}}])]
    plain, searched = inlined(wait_job(name_of(client.batches.create(model=MODEL, src=requests))))
    assert plain.response is not None
    assert plain.response.candidates is not None
    assert plain.response.candidates[0].grounding_metadata is None
    assert searched.response is not None
    assert searched.response.candidates is not None
    grounding = searched.response.candidates[0].grounding_metadata
    assert grounding is not None
    assert grounding.web_search_queries == [question]
    assert grounding.grounding_chunks is not None
    assert grounding.grounding_chunks[0].web is not None


def test_structured_output_fits_schema(client: genai.Client, wait_job: Wait) -> None:
    config = {"response_mime_type": "application/json", "response_schema": list[Recipe]}
    requests = [ask("Name three soups.", **config), ask("Name two pies.", **config)]
    created = client.batches.create(model=MODEL, src=requests)
    for row in inlined(wait_job(name_of(created))):
        recipes = TypeAdapter(list[Recipe]).validate_json(text_of(row))
        assert recipes
        assert all(recipe.ingredients for recipe in recipes)


def test_webhook_create_shows_secret(client: genai.Client) -> None:
    webhook = client.webhooks.create(
        name="ended",
        subscribed_events=["batch.succeeded", "batch.failed"],
        uri="https://example.com/gemini",
    )
    assert (webhook.name, webhook.uri) == ("ended", "https://example.com/gemini")
    assert webhook.subscribed_events == ["batch.succeeded", "batch.failed"]
    assert webhook.state == "enabled"
    assert webhook.new_signing_secret is not None
    assert webhook.new_signing_secret.startswith("whsec_")


def test_list_walks_all_pages(client: genai.Client) -> None:
    sources = [[ask(f"Question {number}")] for number in range(5)]
    created = [name_of(client.batches.create(model=MODEL, src=source)) for source in sources]
    pager = client.batches.list(config={"page_size": 2})
    assert len(pager.page) == 2
    listed = [job.name for job, _ in zip(pager, range(5), strict=False)]
    assert listed == created[::-1]


def test_cancelled_job_says_so(client: genai.Client, wait_job: Wait) -> None:
    job = client.batches.create(model=MODEL, src=[ask("x")], config={"display_name": "[stuck]"})
    client.batches.cancel(name=name_of(job))
    ended = wait_job(name_of(job))
    assert ended.state is types.JobState.JOB_STATE_CANCELLED
    assert ended.dest is None


def test_deleted_job_is_gone(client: genai.Client) -> None:
    job = client.batches.create(model=MODEL, src=[ask("x")])
    client.batches.delete(name=name_of(job))
    with pytest.raises(errors.ClientError) as refused:
        client.batches.get(name=name_of(job))
    assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")
    assert name_of(job) not in [listed.name for listed in client.batches.list()]


def test_failed_job_says_so(client: genai.Client, wait_job: Wait) -> None:
    config: Any = {"display_name": "[fail]"}
    job = wait_job(name_of(client.batches.create(model=MODEL, src=[ask("x")], config=config)))
    assert job.state is types.JobState.JOB_STATE_FAILED
    assert job.dest is None


def test_image_job_gives_pictures(client: genai.Client, wait_job: Wait, tmp_path: Path) -> None:
    path = tmp_path / "pictures.jsonl"
    config = {"responseModalities": ["TEXT", "IMAGE"]}
    with path.open("w") as file:
        for letter in "AB":
            contents = [{"parts": [{"text": f"The letter {letter}, woven of willow"}]}]
            request = {"contents": contents, "generation_config": config}
            file.write(json.dumps({"key": f"request-{letter}", "request": request}) + "\n")
    upload_config = types.UploadFileConfig(display_name="pictures", mime_type="jsonl")
    source = client.files.upload(file=str(path), config=upload_config)
    created = client.batches.create(
        model="gemini-3-pro-image-preview", src=name_of(source), config={"display_name": "pictures"}
    )
    job = wait_job(name_of(created))
    pictures = []
    for line in client.files.download(file=result_file(job)).decode("utf-8").splitlines():
        parts = json.loads(line)["response"]["candidates"][0]["content"]["parts"]
        assert any(part.get("text") for part in parts)
        inline = next(part["inlineData"] for part in parts if part.get("inlineData"))
        assert inline["mimeType"] == "image/png"
        with Image.open(io.BytesIO(base64.b64decode(inline["data"]))) as picture:
            picture.load()
            pictures.append(picture.tobytes())
    assert pictures[0] != pictures[1]


def test_webhook_config_reaches_endpoint(
    client: genai.Client,
    uploaded: types.File,
    callbacks: Callbacks,
) -> None:
    webhook: Any = {"uris": [callbacks.url], "user_metadata": {"job_group": "nightly", "n": 1}}
    config: Any = {"webhook_config": webhook}
    job = client.batches.create(model=MODEL, src=name_of(uploaded), config=config)
    event = json.loads(callbacks.wait()[0].body)
    assert event["type"] == "batch.succeeded"
    assert event["user_metadata"] == {"job_group": "nightly", "n": 1}
    assert event["data"]["id"] == job.name
    batch_id = name_of(job).removeprefix("batches/")
    assert event["data"]["output_file_uri"] == f"files/batch-{batch_id}"


def test_unknown_input_file_is_refused(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match="was not found") as refused:
        client.batches.create(model=MODEL, src="files/never-there")
    assert refused.value.code == 404
