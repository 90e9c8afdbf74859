"""What the pages say of a submission's proof and of its notice has every field."""

import re
from pathlib import Path

import msgspec

from receiver.storage import LocalStorage
from receiver.submissions.notices import describe_submission
from receiver.submissions.proof import AnswerRow, BatchProof, RowsProof, SubmissionManifest
from tests.pages import section
from tests.workers.stored_batches import used
from tests.workers.submissions.stored_submissions import StoredSubmission, request


def shown(text: str) -> set[str]:
    return set(re.findall(r'"(\w+)":', text))


def test_rows_and_manifest_are_shown_whole() -> None:
    page = section("## Submissions")
    first, second = page.split("\n```\n{")[1:]
    assert set(AnswerRow.__struct_fields__) <= shown(first.partition("```")[0])
    fields = {*SubmissionManifest.__struct_fields__, *BatchProof.__struct_fields__}
    fields |= {*RowsProof.__struct_fields__}
    assert fields <= shown(second.partition("```")[0])


def test_notice_is_shown_whole(tmp_path: Path) -> None:
    stored = StoredSubmission.plan(LocalStorage(tmp_path), [request("k1")])
    stored.store(1, used("k1"))
    message = describe_submission(stored.finish("rounds"))
    assert message.type == "submission.stopped"
    assert message.data["why"]
    fields = {"submission", "project", *message.data}
    assert fields <= shown(section("## Notices"))
    assert msgspec.json.encode(message.data)
