import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.batch_names import INBOX_NAME, PROJECT, BatchName, add_tag, new_tag, split_tag
from receiver.errors import EventError

PROJECTS = st.just("") | st.from_regex(PROJECT, fullmatch=True) | st.just("batches")
BATCHES = st.from_regex(r"batches/[A-Za-z0-9_-]{1,128}", fullmatch=True)


@given(PROJECTS, BATCHES)
def test_names_come_back(project: str, batch: str) -> None:
    name = str(BatchName.read(batch, project))
    assert INBOX_NAME.fullmatch(name)
    back = BatchName.read(name)
    assert (back.project, back.gemini) == (project, batch)
    assert BatchName.parse(name) == BatchName.parse(back.short) == back


@given(PROJECTS, BATCHES, PROJECTS, BATCHES)
def test_no_two_batches_share_a_name(project: str, batch: str, other: str, another: str) -> None:
    same = (project, batch) == (other, another)
    assert (str(BatchName.read(batch, project)) == str(BatchName.read(another, other))) is same


@pytest.mark.parametrize(
    ("text", "project", "name"),
    [
        ("x1", "", "batches/x1"),
        ("batches/x1", "", "batches/x1"),
        ("batch_x1", "acme", "acme/batches/x1"),
        ("acme/x1", "", "acme/batches/x1"),
        ("acme/batches/x1", "globex", "acme/batches/x1"),
        ("batches/batches/x1", "", "batches/batches/x1"),
    ],
)
def test_people_may_write_less(text: str, project: str, name: str) -> None:
    assert str(BatchName.parse(text, project)) == name


@pytest.mark.parametrize(
    "text", ["", "/", "acme/", "acme/batches/", "ACME/x1", "../x1", "acme//x1", "acme/x 1"]
)
def test_other_texts_are_no_names(text: str) -> None:
    with pytest.raises(EventError):
        BatchName.parse(text)


def test_gemini_names_no_project() -> None:
    assert [BatchName.parse_gemini(text) for text in ("x1", "batches/x1", "batch_x1")] == [
        BatchName("", "x1")
    ] * 3
    said = "the batch's name is not batches/ and 1 to 128 letters, digits, _ or -"
    with pytest.raises(EventError, match=f"^{said}$"):
        BatchName.parse_gemini("x 1")


def test_tag_comes_back_with_the_name() -> None:
    tag = new_tag("5d41402abc4b2a76b971", 1)
    assert re.fullmatch(r"5d41402abc4b2a76b971\.1\.[0-9a-f]{12}", tag)
    assert tag != new_tag("5d41402abc4b2a76b971", 1)
    assert split_tag(add_tag("evening", tag)) == ("evening", tag)


@pytest.mark.parametrize("name", [None, "", "evening", "evening [stuck]", "[gbr:]"])
def test_name_without_a_tag_stays(name: str | None) -> None:
    assert split_tag(name) == (name, None)
