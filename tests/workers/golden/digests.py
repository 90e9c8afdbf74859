"""What a case of the corpus becomes, as one digest for each kind of output."""

import gzip
import json
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from receiver.outputs.prices import parse_prices
from receiver.storage import LocalStorage
from tests.workers.golden.corpus import Case
from tests.workers.storing import put_input, store_chunks
from workers.job.readings import Survey
from workers.results.doubts import LineCounts

RECORDED = Path(__file__).with_name("digests.json")
HEX_DIGITS = 16
# As long as the corpus: the built-in list changes.
PRICES = parse_prices(
    json.dumps(
        {
            "date": "2026-01-01",
            "models": {
                "gemini-3.5-flash": [
                    {
                        "input": {"AUDIO": "1.1", "*": "0.7"},
                        "output": "3.3",
                        "cached": "0.07",
                        "long": {"input": "1.4", "output": "4.4", "cached": "0.14"},
                    }
                ]
            },
        }
    ).encode()
)
# Fields of the manifest by what they tell. Those left out are of the program, not of the results.
MANIFEST = {
    "source": ("source", "input"),
    "counts": ("requests", "outcomes", "unmatched", "objects"),
    "balance": ("missing", "missing_keys", "balanced"),
    "usage": ("usage",),
    "cost": ("cost", "priced"),
}
RECORDS = {  # by the start of the object's name, without the batch's folder
    "_index.jsonl.gz": "index",
    "_errors.jsonl": "errors",
    "_retry.jsonl": "retry",
    "_oversize/": "oversize",
    "_forms.jsonl.gz": "forms",
    "_input.jsonl.gz": "input",
    "_manifest.json": "manifest",
}


DOUBTS = ("strays", "bare_errors", "ends_malformed", "is_unterminated")


def store_case(case: Case, folder: Path) -> dict[str, Any]:
    """Store a case in a folder. Returns what is compared of its manifest and its counts."""
    storage = LocalStorage(folder)
    if case.input is not None:
        put_input(storage, case.input)
    stored = store_chunks(
        storage, case.chunks(), case.requests, case.template, prices=PRICES, **case.settings
    )
    manifest = msgspec.to_builtins(stored.manifest)
    index = (folder / "b1" / "_index.jsonl.gz").read_bytes()
    assert manifest["index"]["sha256"] == sha256(index).hexdigest()
    told = {kind: [manifest.get(name) for name in names] for kind, names in MANIFEST.items()}
    return told | {"doubts": _doubts(stored.line_counts), "survey": _survey(case)}


def _doubts(counts: LineCounts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in DOUBTS}


def _survey(case: Case) -> list[Any]:
    """What a reading that writes nothing counts."""
    with tempfile.TemporaryDirectory() as scratch:
        survey = Survey(Path(scratch), case.settings.get("RESULT_KEY", ""))
        survey.run(case.chunks(), lambda: None)
    counts = survey.counts
    return [
        survey.size_bytes,
        counts.lines,
        counts.blank,
        counts.outcomes(),
        counts.usage(),
        _doubts(survey.line_counts),
    ]


def digest_case(case: Case, folder: Path) -> dict[str, str]:
    """The digest of each kind of output of a case."""
    told = {
        kind: json.dumps(value, default=str) for kind, value in store_case(case, folder).items()
    }
    return {kind: _short(text.encode()) for kind, text in told.items()} | _digest_objects(folder)


def _digest_objects(folder: Path) -> dict[str, str]:
    """By kind, over the names and bytes of all its objects; gzip files count as what they hold."""
    gathered: dict[str, list[str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, data = path.relative_to(folder).as_posix(), path.read_bytes()
        kind = _kind(name.removeprefix("b1/"))
        if kind != "manifest" and not name.startswith(".tmp/"):
            whole = gzip.decompress(data) if name.endswith(".gz") else data
            gathered.setdefault(kind, []).append(f"{name} {sha256(whole).hexdigest()}")
    return {kind: _short("\n".join(lines).encode()) for kind, lines in gathered.items()}


def _kind(name: str) -> str:
    return next((kind for start, kind in RECORDS.items() if name.startswith(start)), "outputs")


def _short(data: bytes) -> str:
    return sha256(data).hexdigest()[:HEX_DIGITS]


def read_recorded() -> dict[str, dict[str, str]]:
    recorded: dict[str, dict[str, str]] = json.loads(RECORDED.read_text())
    return recorded


def write_recorded(digests: Mapping[str, Mapping[str, str]]) -> None:
    """One line for each case, so that a change shows which cases it concerns."""
    lines = [f"{json.dumps(name)}: {json.dumps(digests[name])}" for name in digests]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
