import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import row_tables
from tests.bench.__main__ import main
from tests.bench.figures import ROOT, Figures, RunFailedError, run_measured
from tests.bench.generator import KINDS, cached_results, write_results
from tests.bench.goals import BY_KEY_GOALS, Bound, Goal, Ratio, lines_per_s, result_goals, verdict
from tests.bench.ingest.subjects import SUBJECTS as INGEST_SUBJECTS
from tests.bench.peers.subjects import STEADYBATCH
from tests.bench.peers.wheels import WheelMissingError, install
from tests.bench.rounds import run_once
from tests.bench.row_tables import WAYS
from tests.bench.stage import Stage, open_stage
from tests.bench.starting import STARTS
from tests.bench.subjects import (
    BY_KEY_SUBJECTS,
    CURL,
    OURS,
    OURS_BY_KEY,
    SPLIT,
    SUBJECTS,
    Subject,
    WrongWorkError,
)
from tests.bench.submitted_rows import cached_rows
from tests.programs import require, require_module

HOG = "held = b'x' * (200 * 1024 * 1024)"
BURNER = "import time\nwhile time.process_time() < 0.3: pass"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "tests" / "README.md").read_text()
    assert [name for name in main.commands if f"\n| `{name}` | " not in readme] == []


def test_quick_bench_runs_all_subjects(tmp_path: Path) -> None:
    """Each subject proves its counts to the bench, which fails where one did not do the work."""
    argv = [sys.executable, "-m", "tests.bench", "results", "--quick", "--data", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    table, _, ratios = done.stdout.partition("ratio")
    skipped = done.stderr
    for subject in SUBJECTS:
        assert (subject.label in table) != (f"skipped: {subject.label}: " in skipped), (
            done.stdout + skipped
        )
    assert OURS.label in table
    assert "peak MiB of ours" in ratios


def test_quick_bench_by_key_runs_all_subjects(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.bench", "by-key", "--quick", "--data", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    table, _, ratios = done.stdout.partition("ratio")
    for subject in BY_KEY_SUBJECTS:
        skipped = f"skipped: {subject.label}: " in done.stderr
        assert (subject.label in table) != skipped, done.stdout + done.stderr
    assert f"objects/s of {OURS_BY_KEY.label}" in ratios
    assert "not judged" in ratios


def test_quick_ingest_runs_all_subjects() -> None:
    """Each taker of deliveries is seen to have kept what it answered with a 2xx."""
    require("wrk")
    argv = [sys.executable, "-m", "tests.bench", "ingest", "--quick"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    table, _, ratios = done.stdout.partition("ratio")
    for taker in INGEST_SUBJECTS:
        assert (taker.label in table) != (f"skipped: {taker.label}: " in done.stderr), (
            done.stdout + done.stderr
        )
    assert "per s of ours / ceiling" in ratios


def test_quick_storage_bench_runs(tmp_path: Path) -> None:
    """Every object is seen in the storage by the bench, which fails where one is not."""
    argv = [sys.executable, "-m", "tests.bench", "storage", "--quick", "--data", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    by_key, _, rest = done.stdout.partition("peak memory of ours")
    assert "ours, download to manifest" in by_key
    assert "CPU us of ours per put" in by_key
    assert ("boto3, 64 threads" in by_key) != ("skipped: boto3" in done.stderr), (
        done.stdout + done.stderr
    )
    assert "24 MB in 100 objects" in rest


def test_quick_rows_bench_runs(tmp_path: Path) -> None:
    """Each way is seen to make every row."""
    require_module("pandas")
    argv = [sys.executable, "-m", "tests.bench", "rows", "--quick", "--data", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert [way.label for way in WAYS if way.label not in done.stdout] == []
    assert "2,000 rows" in done.stdout
    assert "not judged" in done.stdout


def test_way_that_loses_a_row_stops_the_bench(tmp_path: Path) -> None:
    submitted = cached_rows(tmp_path, 3)
    wrong = replace(submitted, rows=4)
    with pytest.raises(RunFailedError, match="rows in, ours made 3 rows of 4"):
        list(row_tables.measure(wrong, 1, lambda _: None))


def test_peer_without_its_wheel_is_left_out(tmp_path: Path) -> None:
    """The command fetches wheels; a test asks no address but loopback."""
    argv = [sys.executable, "-m", "tests.bench", "peers", "--data", str(tmp_path), "--runs", "1"]
    argv += ["--size", "1KB", "--only", OURS_BY_KEY.name, "--only", STEADYBATCH.name]
    env = {**os.environ, "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    table, _, words = done.stdout.partition("  unproven: ")
    assert OURS_BY_KEY.label in table
    assert STEADYBATCH.label not in table
    assert f"{STEADYBATCH.label}\n  did not run: pip: " in words


def test_peer_without_a_wheel_says_why(tmp_path: Path) -> None:
    with pytest.raises(WheelMissingError, match=r"it needs Python 3\.90, which is not on the PATH"):
        install(tmp_path, [], (3, 90))
    for _ in range(2):  # what failed is not taken for installed
        with pytest.raises(WheelMissingError, match=r"pip: ERROR: No matching distribution"):
            install(tmp_path, ["--no-index steadybatch"], (3, 11))


def test_memory_of_a_small_file_is_shown(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.bench", "memory", "--data", str(tmp_path)]
    argv += ["--size", "20MB", "--only", "text, a tenth"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert "<= 64" in done.stdout


def test_latency_of_few_deliveries_is_shown() -> None:
    argv = [sys.executable, "-m", "tests.bench", "latency", "--count", "2"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert "delivery to download, idle: median ms" in done.stdout
    assert "delivery to output, idle: median ms" in done.stdout


def test_quick_start_bench_runs() -> None:
    """Every command ends as it must, or the bench fails."""
    argv = [sys.executable, "-m", "tests.bench", "start", "--runs", "1"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    for start in STARTS:
        assert start.label in done.stdout


def test_quick_pages_bench_runs() -> None:
    require_module("playwright")
    require("chromium")
    argv = [sys.executable, "-m", "tests.bench", "pages", "--runs", "1", "--batches", "100"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert "100 stored batches" in done.stdout
    assert "a text that is nowhere" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ends_as_expected(stage: Stage, kind: str) -> None:
    run_once(stage, SPLIT, cached_results(stage.data, kind, 2_000_000))


def test_worker_accounts_for_nasty_lines(stage: Stage) -> None:
    run_once(stage, OURS, cached_results(stage.data, "nasty", 1_000_000))


def test_wrong_counts_stop_the_bench(stage: Stage) -> None:
    results = cached_results(stage.data, "text", 100_000)
    with pytest.raises(WrongWorkError, match="outcomes: found"):
        run_once(stage, SPLIT, replace(results, outcomes={"ok": results.lines + 1}))


def test_same_seed_gives_same_bytes(tmp_path: Path) -> None:
    made = [
        write_results(tmp_path / str(index), "nasty", 300_000, seed)
        for index, seed in enumerate([1, 1, 2])
    ]
    first, same, other = (results.path.read_bytes() for results in made)
    assert first == same != other
    assert made[0].lines == first.count(b"\n")
    assert made[0].size_bytes == len(first) >= 300_000


def test_keys_spread_over_groups(tmp_path: Path) -> None:
    results = write_results(tmp_path / "x", "tiny", 100_000, groups=7)
    keys = [
        line[line.rindex(b'"key":"') + 7 : -2]
        for line in (tmp_path / "x").read_bytes().splitlines()
    ]
    assert len(set(keys)) == results.lines
    assert {key.partition(b"-")[0] for key in keys} == {
        b"g%d" % group for group in range(results.groups)
    }


def test_cached_file_is_used_again(tmp_path: Path) -> None:
    first = cached_results(tmp_path, "tiny", 10_000)
    made_ns = first.path.stat().st_mtime_ns
    assert cached_results(tmp_path, "tiny", 10_000) == first
    assert first.path.stat().st_mtime_ns == made_ns


def test_figures_are_of_the_program_alone(tmp_path: Path) -> None:
    held = bytearray(150 * 1024 * 1024)  # this process is large, which must not show
    small, _ = run_measured([sys.executable, "-I", "-S", "-c", "pass"], tmp_path)
    large, _ = run_measured([sys.executable, "-I", "-S", "-c", HOG], tmp_path)
    burner, text = run_measured([sys.executable, "-c", f"{BURNER}\nprint('done')"], tmp_path)
    assert small.rss_bytes < 50 * 1024 * 1024 < len(held)
    assert large.rss_bytes > 200 * 1024 * 1024
    assert 0.3 <= burner.cpu_s <= burner.wall_s * 1.1
    assert text == "done\n"


def test_failed_program_stops_the_bench(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"ended with 3:\nlast words"):
        run_measured(
            [sys.executable, "-c", "import sys; print('last words'); sys.exit(3)"], tmp_path
        )


def test_ratio_is_the_median_of_pairs(tmp_path: Path) -> None:
    goal, results = Ratio(OURS, CURL, "wall_s", 1.25), write_results(tmp_path / "x", "tiny", 1)
    runs = {
        "ours": [Figures(wall, 0, 0) for wall in (2, 9, 4)],
        "curl": [Figures(wall, 0, 0) for wall in (1, 3, 4)],
    }
    assert goal.measured(runs, results) == 2
    assert goal.measured({"ours": runs["ours"]}, results) is None


def test_bound_is_the_median_of_runs(tmp_path: Path) -> None:
    results = write_results(tmp_path / "x", "tiny", 1)
    goal = Bound(OURS, "lines/s", lines_per_s, 1, at_least=True)
    runs = {"ours": [Figures(wall * results.lines, 0, 0) for wall in (2, 9, 4)]}
    assert goal.measured(runs, results) == 1 / 4
    assert goal.measured({}, results) is None


@pytest.mark.parametrize(
    ("measured", "limit", "words"),
    [(0.3, 0.3, "holds"), (0.36, 0.3, "misses by 20%"), (5, None, "")],
)
def test_verdict_says_by_how_much(measured: float, limit: float | None, words: str) -> None:
    assert verdict(measured, limit) == words


def test_verdict_of_a_least() -> None:
    assert verdict(9_000, 9_000, at_least=True) == "holds"
    assert verdict(6_000, 9_000, at_least=True) == "misses by 50%"


@pytest.mark.parametrize(
    ("goals", "subjects"),
    [(result_goals("text"), SUBJECTS), (BY_KEY_GOALS, BY_KEY_SUBJECTS)],
    ids=["results", "by-key"],
)
def test_goals_name_known_subjects(goals: list[Goal], subjects: tuple[Subject, ...]) -> None:
    named = {goal.subject for goal in goals}
    named |= {goal.peer for goal in goals if isinstance(goal, Ratio)}
    assert named <= set(subjects)
