"""The pages of submissions, of a real web process: how far each is, and what it waits for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from receiver.batch_names import SubmissionName
from receiver.inbox.redis import RUNNING, connect, now_ms
from receiver.notices.overdue import RunningBatch
from receiver.notices.running_batches import RunningNote
from receiver.storage import LocalStorage
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.records import Created, SubmissionRecords
from receiver.submissions.submission import Submission
from tests.receiver.listing import ago
from tests.receiver.status.test_routes import BEARER, serving
from tests.running import CLIENT

HOSTILE = "<script>alert(1)</script> \u202e evening"


@pytest.fixture
def web(redis_url: str, tmp_path: Path) -> Iterator[str]:
    with serving(redis_url, tmp_path) as url:
        yield url


def get(web: str, path: str) -> httpx.Response:
    return CLIENT.get(f"{web}/status{path}", headers=BEARER)


def plan(tmp_path: Path, name: str = HOSTILE, requests: int = 4) -> Submission:
    """A submission in the storage, in parts of two requests."""
    source = tmp_path / "requests.jsonl"
    rows = [
        {"key": f"k{number}", "request": {"contents": [{"parts": [{"text": name}]}]}}
        for number in range(requests)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = SubmitRequest("", "gemini-3.5-flash", max_requests=2, display_name=name)
    draft = draft_submission(source, asked, check_input(source, asked))
    settled, _ = settle_submission(LocalStorage(tmp_path / "outputs"), source, draft)
    return settled


def accept(redis_url: str, submission: Submission) -> None:
    with connect(redis_url) as client:
        accept_submission(client, SubmissionName("", submission.id))


def test_the_list_shows_what_is_under_way(web: str, redis_url: str, tmp_path: Path) -> None:
    submission = plan(tmp_path)
    accept(redis_url, submission)
    page = get(web, "/submissions")
    assert page.status_code == 200
    assert f'href="/status/submissions/{submission.id}"' in page.text
    assert "&lt;script&gt;" in page.text
    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text
    assert "0 of 4 answered" in page.text
    assert "0 of 2 parts sent" in page.text


def test_a_list_without_any_says_how_to_begin(web: str) -> None:
    assert "batches submit" in get(web, "/submissions").text


def test_a_page_shows_every_part(web: str, redis_url: str, tmp_path: Path) -> None:
    submission = plan(tmp_path)
    accept(redis_url, submission)
    records = SubmissionRecords(LocalStorage(tmp_path / "outputs"), submission.id)
    records.write_created(submission.parts[0], Created("batches/b1"))
    with connect(redis_url) as client:
        about = RunningBatch(
            batch="batches/b1", state="RUNNING", created=ago(hours=3), requests=2, failed=1
        )
        note = RunningNote(now_ms(client), 1, [about])
        client.set(RUNNING, msgspec.json.encode(note))
    page = get(web, f"/submissions/{submission.id}")
    assert page.status_code == 200
    assert 'href="/status/batches/b1"' in page.text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text))
    assert "at Gemini RUNNING for 3h, 1 done, 1 of these failed" in text
    assert "not sent" in text
    assert f"submissions pause {submission.id}" in text


def test_one_that_the_storage_lacks_is_not_found(web: str, redis_url: str, tmp_path: Path) -> None:
    submission = plan(tmp_path)
    accept(redis_url, submission)
    (tmp_path / "outputs" / "_submissions" / submission.id / "plan.json").unlink()
    assert "the storage does not have it" in get(web, "/submissions").text
    assert get(web, f"/submissions/{submission.id}").status_code == 404


@pytest.mark.parametrize("name", ["nonsense", "5d41402abc4b2a76b97", "..%2f..%2fetc"])
def test_what_is_no_name_is_not_found(web: str, name: str) -> None:
    assert get(web, f"/submissions/{name}").status_code == 404


def test_another_projects_submission_is_not_shown(web: str, tmp_path: Path) -> None:
    submission = plan(tmp_path)
    assert get(web, f"/submissions/{submission.id}").status_code == 200
    assert get(web, f"/acme/submissions/{submission.id}").status_code == 404


def test_a_damaged_plan_is_said(web: str, redis_url: str, tmp_path: Path) -> None:
    submission = plan(tmp_path)
    accept(redis_url, submission)
    path = tmp_path / "outputs" / "_submissions" / submission.id / "plan.json"
    path.write_text("nonsense")
    assert "is no record of a submission" in get(web, "/submissions").text
    assert get(web, f"/submissions/{submission.id}").status_code == 503


def test_nobody_sees_them_without_the_token(web: str, tmp_path: Path) -> None:
    submission = plan(tmp_path)
    for path in ("/submissions", f"/submissions/{submission.id}"):
        answer = CLIENT.get(f"{web}/status{path}")
        assert answer.status_code == 401
        assert f'value="/status{path}"' in answer.text  # where the login leads
        assert submission.id not in answer.text or f'value="/status{path}"' in answer.text


def test_many_submissions_come_in_pages(web: str, redis_url: str, tmp_path: Path) -> None:
    for number in range(21):
        accept(redis_url, plan(tmp_path, f"name {number}", 1))
    first, second = get(web, "/submissions").text, get(web, "/submissions?page=2").text
    shown = [
        len(re.findall(r'href="/status/submissions/[0-9a-f]{20}"', one)) for one in (first, second)
    ]
    assert shown == [20, 1]
    assert 'rel="next"' in first
    assert 'rel="prev"' in second
