"""The printed samples are found in the guide, and one that is not found is named."""

import re
from pathlib import Path

import pytest

from tests.sandbox.printed_samples import (
    PRINTED,
    VARIABLE,
    code_blocks,
    digest,
    find_sample,
    guide_text,
    made_right,
    sample,
)

PYTHON = [name for name in PRINTED if name.startswith("python/")]
PROSE = "نص\n"
LATER = "two()\n"


@pytest.mark.parametrize("name", PRINTED)
def test_guide_prints_the_sample(name: str) -> None:
    printed = "".join(line.lstrip() for line in sample(name).splitlines(keepends=True))
    assert f"\n{printed}" in guide_text()


def test_every_sample_of_the_guide_is_known() -> None:
    known = {printed.digest for printed in PRINTED.values()}
    found = {digest(code): (language, code) for language, code in code_blocks(guide_text())}
    assert {new: found[new] for new in found.keys() - known} == {}


@pytest.mark.parametrize("name", PYTHON)
def test_python_has_its_blocks_again(name: str) -> None:
    compile(sample(name), name, "exec")


def test_sample_is_found_wherever_it_is_printed() -> None:
    moved = f"Python\nfirst = True\n{PROSE}{guide_text()}"
    assert find_sample(moved, "python/poll") == sample("python/poll")


def test_sample_that_has_changed_is_named() -> None:
    guide = f"{PROSE}Python\none()\n{PROSE}JavaScript\nother()\nPython\n{LATER}"
    place = f"number 2 of 14.+ of 2 now, the one at that place has the digest {digest(LATER)}"
    with pytest.raises(LookupError, match=f"no longer prints the sample python/upload.+{place}"):
        find_sample(guide, "python/upload")


def test_sample_that_is_gone_is_named() -> None:
    with pytest.raises(LookupError, match=r"rest/images.+number 9 of 9.+ is not there"):
        find_sample(f"{PROSE}REST\ncurl\n", "rest/images")


def test_prose_and_headings_end_a_block() -> None:
    guide = f"before\nPython\na = 1\n\nb = 2\nREST\ncurl\n{PROSE}after\nJavaScript\nc()"
    assert code_blocks(guide) == [
        ("python", "a = 1\n\nb = 2\n"),
        ("rest", "curl\n"),
        ("javascript", "c()\n"),
    ]


def test_variable_names_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_text(PROSE, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(copy))
    assert guide_text() == PROSE


def test_missing_copy_skips_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(
        pytest.skip.Exception, match=re.escape(f"guide at {tmp_path}/gone: set {VARIABLE}")
    ):
        sample("python/inline")


@pytest.mark.parametrize("text", ["right", "wrong wrong"])
def test_mistake_stands_once(text: str) -> None:
    with pytest.raises(AssertionError, match="wrong"):
        made_right(text, ("wrong", "right"))
