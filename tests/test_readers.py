"""The lines of workers/README.md read what a mixed batch with hostile keys left, each library in its own process."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import nasty
from tests.pages import section
from tests.programs import require_module
from tests.workers.forms.reading import line, thought

LINES = [
    text
    for block in section("## Read the tables").split("```python\n")[1:]
    for text in block.partition("```")[0].splitlines()
]
KEYS = [
    "../../x",
    "a/b",
    "CON",
    "Ä",
    "ä",
    "'; DROP TABLE x --",
    "\x00",
    "\n",
    "null",
    "1",
    "",
    "x" * 10_000,
    "\U0001f600",
]
DATA = nasty.FILE + b"\n" + b"".join(line(key, thought("hm"), f"text of {key}") for key in KEYS)
STORE = """
import sys
from pathlib import Path
if sys.argv[1] == "jsonl.gz":
    sys.modules["pyarrow"] = None  # as if it were not installed
from receiver.storage import LocalStorage
from tests.workers.storing import store
store(LocalStorage(Path("outputs")), sys.stdin.buffer.read(), None, OUTPUT_FORMS="table,media")
"""
READ = """
import json, sys, {imports}
found = {line}
to_rows = {{
    "duckdb": lambda: [dict(zip(found.columns, row)) for row in found.fetchall()],
    "polars": lambda: found.to_dicts(),
    "pandas": lambda: json.loads(found.to_json(orient="records")),
    "pyarrow": lambda: found.to_pylist(),
    "datasets": lambda: found.to_list(),
}}
json.dump(to_rows["{library}"](), sys.stdout, default=str)  # a moment, or a cost
"""


def run(code: str, folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    environ = os.environ | offline | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ, input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module", params=["parquet", "jsonl.gz"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two batches that have tables of one ending."""
    if request.param == "parquet":
        require_module("pyarrow")
    folder = tmp_path_factory.mktemp(request.param.replace(".", "-"))
    run(STORE, folder, request.param, stdin=DATA)
    assert (folder / "outputs" / "b1" / f"_table.{request.param}").is_file()
    shutil.copytree(folder / "outputs" / "b1", folder / "outputs" / "b2")
    return folder


def expected_rows(folder: Path) -> list[tuple[Any, ...]]:
    """Line, outcome and object of the raw index, in order."""
    index = gzip.decompress((folder / "outputs" / "b1" / "_index.jsonl.gz").read_bytes())
    rows = [json.loads(row) for row in index.splitlines()]
    return [(row["line"], plain(row["key"]), row["outcome"]) for row in rows]


def plain(key: str | None) -> str | None:
    return None if key is None else key.encode(errors="backslashreplace").decode()


def test_readme_has_a_line_for_each_reader() -> None:
    libraries = {"duckdb", "polars", "pandas", "pyarrow", "datasets"}
    for ending in ("_table.parquet", "_table.jsonl.gz"):
        assert {text.partition(".")[0] for text in LINES if ending in text} == libraries


@pytest.mark.parametrize("library", ["duckdb", "polars", "pandas", "pyarrow", "datasets"])
def test_readme_line_reads_the_tables(stored: Path, library: str) -> None:
    require_module(library)
    ending = "parquet" if (stored / "outputs" / "b1" / "_table.parquet").exists() else "jsonl.gz"
    (text,) = [one for one in LINES if one.startswith(f"{library}.") and f"_table.{ending}" in one]
    imports = ".".join(text.partition("(")[0].split(".")[:-1])
    read = READ.format(imports=imports, line=text.replace("/abc/", "/b1/"), library=library)
    rows = json.loads(run(read, stored))
    expected = expected_rows(stored) * (2 if "*" in text else 1)
    found = [(row["line"], row["key"], row["outcome"]) for row in rows]
    assert sorted(found, key=str) == sorted(expected, key=str)
    texts = {row["key"]: row["text"] for row in rows if row["text"] is not None}
    assert {key: texts[key] for key in KEYS} == {key: f"text of {key}" for key in KEYS}
    (vector,) = {tuple(row["embedding"]) for row in rows if row["embedding"] is not None}
    assert vector == pytest.approx((0.1,))
