"""A gate before the sandbox, and an input."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forwarding import Gate, gate_before


@pytest.fixture
def gate(sandbox_url: str) -> Iterator[Gate]:
    with gate_before(sandbox_url) as gate:
        yield gate


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An input that no other test has."""
    salt, path = uuid.uuid4().hex, tmp_path / "requests.jsonl"
    rows = [
        {"key": f"{salt}-{number}", "request": {"contents": [{"parts": [{"text": "Hi"}]}]}}
        for number in range(5)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
