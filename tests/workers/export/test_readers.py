"""The lines of workers/README.md read an export, each library in its own process."""

import json
from pathlib import Path

import pytest

from receiver.outputs.paths import Template
from tests.pages import section
from tests.programs import require_module
from tests.receiver.rows.test_readers import HOSTILE
from tests.test_readers import READ, run
from tests.workers.export.exporting import answer_line
from tests.workers.export.test_export import ALL, SCHEMA, submit_rows

LINES = section("### Read an export").partition("```python\n")[2].partition("```")[0].splitlines()
LIBRARIES = ("duckdb", "polars", "pandas", "pyarrow", "datasets")
TEXTS = [*HOSTILE[:-2], "lost", HOSTILE[0]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export of hostile rows, a copied one, and one without an answer."""
    require_module("pyarrow")
    folder = tmp_path_factory.mktemp("exported")
    submitted = submit_rows(folder, TEXTS, schema=SCHEMA)
    answer = json.dumps({"mood": "good", "stars": 5})
    lines = {key: answer_line(key, answer) for key in submitted.requests}
    del lines[f"r{TEXTS.index('lost')}"]
    manifest = submitted.answer(lines, Template.parse("{batch}/all.jsonl"))
    submitted.job(manifest).run(folder / "answers.parquet", "parquet", ALL)
    return folder


def test_readme_has_a_line_for_each_reader() -> None:
    assert tuple(text.partition(".")[0] for text in LINES) == LIBRARIES


@pytest.mark.parametrize("library", LIBRARIES)
def test_readme_line_reads_an_export(exported: Path, library: str) -> None:
    require_module(library)
    (text,) = [text for text in LINES if text.startswith(f"{library}.")]
    imports = ".".join(text.partition("(")[0].split(".")[:-1])
    select = ["text", "mood", "stars", "_outcome"]
    read = READ.format(imports=imports, line=text, library=library)
    chosen = read.replace("json.dump(", "rows = (").replace("(), sys.stdout, default=str)", "())")
    chosen += f"json.dump([[row[name] for name in {select}] for row in rows], sys.stdout)"
    rows = json.loads(run(chosen, exported))
    answered = ["good", 5, "ok"]
    expected = [
        [text, None, None, "missing"] if text == "lost" else [text, *answered] for text in TEXTS
    ]
    assert rows == expected
