"""All that is measured: how each is started on a result file, and how its work is checked."""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.generator import KEY_PATTERN, Results
from tests.bench.stage import BY_GROUP, BY_KEY, Stage
from tests.bench.yardstick import YardstickMissingError, build_yardstick

Check = Callable[[str], None]  # of what the program printed; raises WrongWorkError


class WrongWorkError(Exception):
    """A subject ended well but did not do the work: its figures mean nothing."""


@dataclass(frozen=True)
class Start:
    """A program that is ready to run."""

    argv: list[str]
    check: Check
    env: Mapping[str, str] = field(default_factory=dict)


Prepare = Callable[[Stage, Results, Path], Start]


@dataclass(frozen=True)
class Subject:
    name: str  # for --only and for the goals
    label: str
    prepare: Prepare  # the folder is fresh, and goes after the run
    missing: Callable[[Stage], str | None] = lambda _: None  # why it can't run here
    reads_broken_lines: bool = False
    memory_factor: float = 0  # of the file's size; it is left out where so much memory is not free


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise WrongWorkError(f"{what}: found {found}, expected {wanted}")


def printed(text: str) -> dict[str, Any]:
    """The JSON object that a program printed last."""
    counts: dict[str, Any] = json.loads(text[text.rindex("\n") + 1 if "\n" in text else 0 :])
    return counts


def module(name: str, *args: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.ways.{name}", *args]


def without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _worker(template: str) -> Prepare:
    """`worker --burst`, which claims the batch, downloads, splits, stores and commits it."""

    def prepare(stage: Stage, results: Results, folder: Path) -> Start:
        batch = stage.serve(results)
        settings = stage.settings(folder / "outputs", template)
        stage.owe(batch, settings)

        def check(_: str) -> None:
            stored = folder / "outputs" / batch.removeprefix("batches/")
            manifest = json.loads((stored / "_manifest.json").read_bytes())
            expect("outcomes", without_zeros(manifest["outcomes"]), results.outcomes)
            source = manifest["source"]
            expect(
                "source", (source["bytes"], source["lines"]), (results.size_bytes, results.lines)
            )
            expect("missing", manifest["missing"], 0)

        return Start([sys.executable, "-m", "workers", "worker", "--burst"], check, settings)

    return prepare


def _split_alone(template: str) -> Prepare:
    def prepare(_: Stage, results: Results, folder: Path) -> Start:
        def check(text: str) -> None:
            expect("outcomes", without_zeros(printed(text)["outcomes"]), results.outcomes)

        outputs = str(folder / "outputs")
        pattern = KEY_PATTERN if template == BY_GROUP else ""
        return Start(module("split_alone", str(results.path), outputs, template, pattern), check)

    return prepare


def _curl(after: str = "true") -> Prepare:
    """`after` is a command on the file."""

    def prepare(stage: Stage, results: Results, folder: Path) -> Start:
        url = stage.download_url(stage.serve(results))
        target = folder / "results.jsonl"

        def check(_: str) -> None:
            expect("bytes", target.stat().st_size, results.size_bytes)

        script = f'curl -sf -H "x-goog-api-key: right-key" -o "$0" "$1" && {after} "$0"'
        return Start(["sh", "-c", script, str(target), url], check)

    return prepare


def _reader(name: str, *, to_file: bool = False) -> Prepare:
    def prepare(stage: Stage, results: Results, folder: Path) -> Start:
        file = stage.result_file(stage.serve(results))
        destination = [str(folder / "results.jsonl")] if to_file else []

        def check(text: str) -> None:
            expect("lines", printed(text)["lines"], results.lines)

        return Start(module(name, stage.gemini_url, file, *destination), check)

    return prepare


def _naive_by_key(stage: Stage, results: Results, folder: Path) -> Start:
    file = stage.result_file(stage.serve(results))
    outputs = folder / "outputs"
    outputs.mkdir()
    downloaded = str(folder / "results.jsonl")
    argv = module("naive_by_key", stage.gemini_url, file, downloaded, str(outputs))
    return Start(argv, _file_check(outputs, results))


def _bare_files(after: str = "") -> Prepare:
    def prepare(_: Stage, results: Results, folder: Path) -> Start:
        outputs = folder / "outputs"
        outputs.mkdir()
        argv = module("bare_files", str(results.path), str(outputs), after)
        return Start(argv, _file_check(outputs, results))

    return prepare


def _file_check(outputs: Path, results: Results) -> Check:
    """Every line is in a file of its own."""

    def check(_: str) -> None:
        sizes = [entry.stat().st_size for entry in os.scandir(outputs)]
        expect("files and bytes", (len(sizes), sum(sizes)), (results.lines, results.size_bytes))

    return check


def _partition(name: str) -> Prepare:
    def prepare(_: Stage, results: Results, folder: Path) -> Start:
        outputs = folder / "groups"

        def check(_: str) -> None:
            files = [path for path in outputs.rglob("*") if path.is_file()]
            expect("files", len(files), results.groups)
            expect("bytes", sum(path.stat().st_size for path in files), results.size_bytes)

        return Start(module(name, str(results.path), str(outputs)), check)

    return prepare


def _yardstick(stage: Stage, results: Results, folder: Path) -> Start:
    def check(text: str) -> None:
        counts = printed(text)
        expect(
            "lines and files", (counts["lines"], counts["objects"]), (results.lines, results.groups)
        )
        expect(
            "bytes",
            sum(path.stat().st_size for path in folder.glob("g*.jsonl")),
            results.size_bytes,
        )

    return Start([str(build_yardstick(stage.data)), str(results.path), str(folder)], check)


def _without_yardstick(stage: Stage) -> str | None:
    try:
        build_yardstick(stage.data)
    except YardstickMissingError as error:
        return str(error)
    return None


def _without_module(name: str) -> Callable[[Stage], str | None]:
    def missing(_: Stage) -> str | None:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:  # the package that it is in
            found = None
        return None if found else f"{name} is not installed: pip install -e '.[test-all]'"

    return missing


def _without_curl(_: Stage) -> str | None:
    return None if shutil.which("curl") else "curl is not installed"


OURS = Subject("ours", "ours, end to end", _worker(BY_GROUP), reads_broken_lines=True)
OURS_BY_KEY = Subject(
    "ours-by-key", "ours, one object per key", _worker(BY_KEY), reads_broken_lines=True
)
NAIVE_BY_KEY = Subject(
    "naive-by-key",
    "naive script: SDK, json.loads, one sync",
    _naive_by_key,
    _without_module("google.genai"),
)
FILES = Subject("files", "bare loop of open, write, close", _bare_files())
FILES_FLUSHED = Subject("files-flushed", "the same loop and one sync", _bare_files("sync"))
SPLIT = Subject("split", "our split alone", _split_alone(BY_GROUP), reads_broken_lines=True)
CURL = Subject("curl", "curl -o file", _curl(), _without_curl, reads_broken_lines=True)
CURL_FLUSHED = Subject(
    "curl-flushed",
    "curl -o file && sync file",
    _curl("sync"),
    _without_curl,
    reads_broken_lines=True,
)
SDK = Subject(
    "sdk",
    "SDK to a file + json.loads",
    _reader("sdk_to_file", to_file=True),
    _without_module("google.genai"),
)
# Bytes twice, text of up to two bytes a character twice: four of them live at once.
DOCUMENTED = Subject(
    "documented",
    "the guide's way",
    _reader("documented"),
    _without_module("google.genai"),
    memory_factor=8,
)
STREAMING = Subject("streaming", "httpx lines + json.loads", _reader("streaming_json"))
POLARS = Subject(
    "polars",
    "polars, raw lines by group",
    _partition("polars_partition"),
    _without_module("polars"),
)
DUCKDB = Subject(
    "duckdb",
    "DuckDB, raw lines by group",
    _partition("duckdb_partition"),
    _without_module("duckdb"),
)
YARDSTICK = Subject("yardstick", "the same split in C++", _yardstick, _without_yardstick)

# In pairs that are compared: what drifts between two runs drifts least between neighbours.
SUBJECTS = (CURL_FLUSHED, CURL, OURS, SDK, STREAMING, DOCUMENTED, POLARS, SPLIT, DUCKDB, YARDSTICK)
BY_KEY_SUBJECTS = (FILES_FLUSHED, OURS_BY_KEY, NAIVE_BY_KEY, FILES)
