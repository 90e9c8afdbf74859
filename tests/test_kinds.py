"""The tests that KINDS.md names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "tests/KINDS.md").read_text())


def test_many_kinds_are_named() -> None:
    assert len(NAMED) > 50


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_named_test_is_there(file: str, name: str) -> None:
    source = (ROOT / file).read_text()
    assert f"def {name}(" in source if name else "def test_" in source
