"""Tables where pyarrow is not installed: what `doctor` and a worker say at its start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.outputs.forms import warn_of_missing_parquet
from tests.programs import require_module
from workers.forms.table import JsonTable, open_table

WITH = "from receiver.cli import main; main()"
WITHOUT = f"import sys; sys.modules['pyarrow'] = None; {WITH}"
WARNING = (
    "OUTPUT_FORMS has table, but pyarrow is not installed: tables are written as"
    " _table.jsonl.gz instead of _table.parquet; pip install -e '.[parquet]'"
)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> dict[str, str]:
    """Of a service whose Gemini does not answer; all that is asked here is known without it."""
    urls = {"GEMINI_BASE_URL": "http://127.0.0.1:9", "STORAGE_URL": tmp_path.as_uri()}
    return {"GEMINI_API_KEY": "k", "REDIS_URL": redis_url, "LOG_FORMAT": "json", **urls}


def run(program: str, settings: dict[str, str], *args: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-c", program, *args]
    env = os.environ | settings
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("program", "forms", "warns"),
    [
        (WITHOUT, "text,table", True),
        (WITHOUT, "text", False),
        (WITH, "table", False),
    ],
    ids=["missing", "not asked for", "installed"],
)
def test_table_without_pyarrow_is_a_warning(
    settings: dict[str, str], program: str, forms: str, *, warns: bool
) -> None:
    if program == WITH:
        require_module("pyarrow")
    settings["OUTPUT_FORMS"] = forms
    findings = json.loads(run(program, settings, "doctor", "--json").stdout)
    found = [one for one in findings if one["check"] == "output forms"]
    expected = {"check": "output forms", "ok": True, "detail": WARNING, "warning": True}
    assert found == ([expected] if warns else [])

    worker = run(program, settings, "worker", "--burst")
    assert worker.returncode == 0, worker.stderr
    logged = [json.loads(line) for line in worker.stderr.splitlines() if "parquet" in line]
    said = [(one["level"], one["event"], one["cause"]) for one in logged]
    assert said == ([("warning", "worker.parquet_missing", WARNING)] if warns else [])


def test_table_is_json_where_the_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    assert warn_of_missing_parquet(["table"]) == WARNING
    table = open_table(tmp_path, lambda: None)
    assert isinstance(table, JsonTable)
    table.close()
