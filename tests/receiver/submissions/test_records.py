from pathlib import Path

from receiver.storage import LocalStorage
from receiver.submissions.batch_links import read_spec
from receiver.submissions.records import SubmissionRecords

PLAN = b"""{"id": "5d41402abc4b2a76b971", "order": {"project": "", "model": "gemini-3.8-flash",
"kind": "generate", "inline": false, "display_name": "evening", "is_named": true, "webhook": null,
"metadata": {}, "retry_of": null, "sha256": "0a"}, "file": "requests.jsonl", "requests": 2,
"parts": [{"number": 1, "first_line": 1, "offset": 0, "size_bytes": 9, "requests": 2}]}"""
ORIGIN = b'{"submission": "5d41402abc4b2a76b971", "part": 1, "parts": 1, "retry_of": null}'


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put_many(
        [
            ("_submissions/5d41402abc4b2a76b971/plan.json", PLAN),
            ("b1/_submission.json", ORIGIN),
        ]
    )
    plan = SubmissionRecords(storage, "5d41402abc4b2a76b971").read_plan()
    assert plan is not None
    assert (plan.spec.display_name, plan.parts[0].requests) == ("evening", 2)
    assert read_spec(storage, "b1") == plan.spec
