import msgspec
import pytest

from receiver.inbox.entry_fields import Summary, read_summary


def test_older_counts_become_outcomes() -> None:
    assert read_summary('{"ok": 3, "error": 1}') == Summary(outcomes={"ok": 3, "error": 1})


def test_summary_survives_its_encoding() -> None:
    summary = Summary(
        state="SUCCEEDED", requests=3, outcomes={"ok": 3}, cost="unknown", problems=["one"]
    )
    assert read_summary(msgspec.json.encode(summary).decode()) == summary


@pytest.mark.parametrize(
    "text", ["", "{}", "junk", "[]", '{"outcomes": 5}', '{"state": {"deep": []}}']
)
def test_unreadable_summary_is_empty(text: str) -> None:
    assert read_summary(text) == Summary()
