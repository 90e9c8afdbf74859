"""Our worker and boto3 on an object storage that takes 30 ms for every answer."""

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.figures import Figures, median_of, run_measured
from tests.bench.generator import Results, cached_results
from tests.bench.goals import MIB, cpu_us_per_line, verdict
from tests.bench.rounds import Say
from tests.bench.stage import BY_GROUP, BY_KEY, Stage
from tests.bench.subjects import expect, module, printed, without_zeros
from tests.bench.tables import draw
from tests.object_server.running import ObjectServer, running_object_server
from tests.running import CLIENT

DELAY_MS = 30
BUCKET = "bench"
LINE_BYTES = 2_750
THREADS = (32, 64)
TIMES_BOTO3 = {32: 10}  # with so many threads; with others it is shown for comparison
CPU_US_PER_PUT = 150
JUDGED_OBJECTS = 10_000  # of fewer the start of the worker weighs most
FLAT = 1.1
GROUPED_MIB = 160
RECORDS = 4  # of every batch: index, errors, what to send again, manifest


@dataclass(frozen=True)
class Place:
    """Where a run finds its results and leaves its objects."""

    stage: Stage
    server: ObjectServer

    def run_ours(self, results: Results, template: str) -> Figures:
        """`worker --burst`, from the claim to the manifest, checked."""
        stage, folder = self.stage, self.stage.fresh_folder()
        batch = stage.serve(results)
        settings = stage.settings(folder, template) | {"STORAGE_URL": f"s3://{BUCKET}/ours"}
        settings |= self.server.environment()
        self.server.turn(empty=True, delay_ms=DELAY_MS)
        stage.owe(batch, settings)
        figures, _ = run_measured(
            [sys.executable, "-m", "workers", "worker", "--burst"], folder, settings
        )
        url = f"{self.server.url}/{BUCKET}/ours/{batch.removeprefix('batches/')}/_manifest.json"
        manifest = json.loads(CLIENT.get(url).raise_for_status().content)
        expect("outcomes", without_zeros(manifest["outcomes"]), results.outcomes)
        expect("bytes", manifest["source"]["bytes"], results.size_bytes)
        seen = self.server.seen()
        expect("objects", seen["objects"], manifest["objects"]["count"] + RECORDS)
        stage.clear(folder)
        return figures

    def run_boto3(self, results: Results, threads: int) -> Figures:
        folder = self.stage.fresh_folder()
        self.server.turn(empty=True, delay_ms=DELAY_MS)
        argv = module("boto3_threads", str(results.path), BUCKET, "theirs", str(threads))
        figures, text = run_measured(argv, folder, self.server.environment())
        expect("lines", printed(text)["objects"], results.lines)
        expect("objects", self.server.seen()["objects"], results.lines)
        self.stage.clear(folder)
        return figures


def results_of(data: Path, lines: int) -> Results:
    return cached_results(data, "text", lines * LINE_BYTES)


def measure(stage: Stage, objects: int, size_bytes: int, rounds: int, say: Say) -> Iterator[str]:
    """Gives the tables. Raises WrongWorkError when objects are not where they must be."""
    with running_object_server(keep=False) as server:
        place = Place(stage, server)
        yield from _by_key(place, objects, rounds, say)
        yield _memory(place, objects, size_bytes, say)


def _by_key(place: Place, objects: int, rounds: int, say: Say) -> Iterator[str]:
    results = results_of(place.stage.data, objects)
    threads = THREADS if importlib.util.find_spec("boto3") else ()
    if not threads:
        say("skipped: boto3 is not installed: pip install -e '.[bench]'")
    ours: list[Figures] = []
    theirs: dict[int, list[Figures]] = {count: [] for count in threads}
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}: ours, {results.lines:,} objects")
        ours.append(place.run_ours(results, BY_KEY))
        for count, found in theirs.items():
            say(f"round {number} of {rounds}: boto3, {count} threads")
            found.append(place.run_boto3(results, count))
    rows = [_row("ours, download to manifest", ours, results)]
    rows += [
        _row(f"boto3, {count} threads, from a file", found, results)
        for count, found in theirs.items()
    ]
    header = (f"one object a line, {DELAY_MS} ms", "wall s", "CPU s", "peak MiB", "objects/s")
    yield draw(header, rows)
    yield draw(("", "goal", "measured", ""), _goals(results, ours, theirs))


def _goals(
    results: Results, ours: list[Figures], theirs: Mapping[int, list[Figures]]
) -> Iterator[list[str]]:
    judged = results.lines >= JUDGED_OBJECTS
    cpu_us = median(cpu_us_per_line(figures, results) for figures in ours)
    said = verdict(cpu_us, CPU_US_PER_PUT) if judged else "too few to judge"
    yield ["CPU us of ours per put", f"<= {CPU_US_PER_PUT}", f"{cpu_us:.0f}", said]

    for count, found in theirs.items():
        times = median(their.wall_s / our.wall_s for our, their in zip(ours, found, strict=True))
        least = TIMES_BOTO3.get(count)
        said = verdict(times, least, at_least=True) if judged else "too few to judge"
        goal = "" if least is None else f">= {least}"
        yield [f"objects/s of ours / boto3, {count} threads", goal, f"{times:.1f}", said]


def _row(label: str, found: list[Figures], results: Results) -> list[str]:
    middle = median_of(found)
    return [
        label,
        f"{middle.wall_s:.2f}",
        f"{middle.cpu_s:.2f}",
        f"{middle.rss_bytes / MIB:.0f}",
        f"{results.lines / middle.wall_s:,.0f}",
    ]


def _memory(place: Place, objects: int, size_bytes: int, say: Say) -> str:
    """A quarter of the objects and ten times as many; then few large ones."""
    data, peaks = place.stage.data, []
    for count in (objects // 4, objects * 5 // 2):
        say(f"memory: {count:,} objects")
        peaks.append(place.run_ours(results_of(data, count), BY_KEY).rss_bytes / MIB)
    grouped = cached_results(data, "text", size_bytes)
    say(f"memory: {grouped.size_bytes / 1e6:,.0f} MB in {grouped.groups} objects")
    peak = place.run_ours(grouped, BY_GROUP).rss_bytes / MIB
    growth = peaks[1] / peaks[0]
    few, many = f"{objects // 4:,}", f"{objects * 5 // 2:,}"
    return draw(
        ("peak memory of ours", "goal", "measured", ""),
        [
            [f"{few} objects, MiB", "", f"{peaks[0]:.0f}", ""],
            [f"{many} objects, MiB", "", f"{peaks[1]:.0f}", ""],
            [f"{many} / {few}", str(FLAT), f"{growth:.2f}", verdict(growth, FLAT)],
            [
                f"{grouped.size_bytes / 1e6:,.0f} MB in {grouped.groups} objects, MiB",
                str(GROUPED_MIB),
                f"{peak:.0f}",
                verdict(peak, GROUPED_MIB),
            ],
        ],
    )
