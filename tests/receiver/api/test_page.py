"""The page says what can be called, and with which limits."""

from receiver.answers.packed_lines import MAX_LINE_BYTES
from receiver.api.operations import OPERATIONS
from receiver.api.queries import BatchQuery
from receiver.api.submit_query import SubmitQuery
from receiver.api.submitting import DEADLINE_S
from receiver.api.uploads import AT_ONCE, MAX_BYTES, MAX_LINES
from receiver.submissions.policy import Policy
from receiver.web.http_limits import HttpLimits
from tests.pages import section

PAGE = section("## API for programs")


def test_every_call_is_on_the_page() -> None:
    rows = [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert rows == [f"{one.method} {one.path}" for one in OPERATIONS]


def test_filters_are_on_the_page() -> None:
    filters = [name for name in BatchQuery.__struct_fields__ if name not in {"limit", "cursor"}]
    assert [name for name in filters if f"`{name}`" not in PAGE] == []


def test_policy_can_be_stated_but_for_its_export() -> None:
    """A path on the worker's machine, or a bucket, is nothing for a caller to choose."""
    assert set(Policy.__struct_fields__) - set(SubmitQuery.__struct_fields__) == {"export"}


def test_limits_are_on_the_page() -> None:
    page = " ".join(PAGE.split())
    assert f"up to {MAX_BYTES // 1_000_000} MB, two at a time, with at most {MAX_LINES:,}" in page
    assert AT_ONCE == 2
    assert f"up to {MAX_LINE_BYTES >> 20} MiB" in PAGE
    answer_s = HttpLimits().upload_answer_s
    assert f"may take {answer_s / 60:.0f} minutes" in page
    assert answer_s > DEADLINE_S
