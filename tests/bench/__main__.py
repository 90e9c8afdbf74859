"""`python -m tests.bench`: measures the result path and the intake beside their peers."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from tests.bench import footprint, latency, memory, row_tables, scaling, starting, storing
from tests.bench.generator import KINDS, Results, cached_results
from tests.bench.goals import BY_KEY_GOALS, Goal, result_goals
from tests.bench.ingest import measure as ingest
from tests.bench.peers import measure as peers
from tests.bench.peers.subjects import PEERS
from tests.bench.rounds import run_rounds, runnable
from tests.bench.stage import Stage, open_stage
from tests.bench.subjects import BY_KEY_SUBJECTS, SUBJECTS, Subject
from tests.bench.submitted_rows import cached_rows
from tests.bench.tables import figures_table, goals_table, title

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
QUICK_BYTES = 20 * 10**6
WARM_UP_BYTES = 20 * 10**6
QUICK_BY_KEY_BYTES = 2 * 10**6
JUDGED_BYTES = 10**8
JUDGED_OBJECTS = 10_000
QUICK_ROWS = 2_000
JUDGED_ROWS = 100_000
PEER_NAMES = tuple(peer.subject.name for peer in PEERS)
NAMES = tuple(subject.name for subject in SUBJECTS)


class Size(click.ParamType[int]):
    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]B)", str(value).upper())
        if match is None:
            self.fail("expected a size such as 200MB or 2GB", param, ctx)
        return int(float(match[1]) * UNITS[match[2]])


def say(text: str) -> None:
    click.echo(text, err=True)


data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(tempfile.gettempdir()) / "gemini-batch-receiver-bench",
    show_default=True,
    help="Folder of generated files, kept from run to run; outputs lie in it meanwhile.",
)
size_option = click.option(
    "--size", type=Size(), default="2GB", show_default=True, help="Size of the result file."
)
runs_option = click.option(
    "--runs", default=3, show_default=True, help="Rounds; medians are shown."
)


@click.group()
def main() -> None:
    """Measure beside peers.

    Ratios of one run are to be trusted; absolute figures drift with the machine.
    """


@main.command()
@size_option
@runs_option
@data_option
@click.option("--kind", type=click.Choice(KINDS), default="text", show_default=True)
@click.option(
    "--only",
    type=click.Choice(NAMES),
    multiple=True,
    help="This subject; may be given several times.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="20 MB once, in less than half a minute: shows that all of it works.",
)
def results(  # noqa: PLR0913, PLR0917 - one parameter for each option
    size: int,
    runs: int,
    data: Path,
    kind: str,
    only: tuple[str, ...],
    quick: bool,  # noqa: FBT001
) -> None:
    """Our worker and its peers, from the same served file."""
    size, runs = (QUICK_BYTES, 1) if quick else (size, runs)
    chosen = [subject for subject in SUBJECTS if not only or subject.name in only]
    with open_stage(data) as stage:
        file = cached_results(data, kind, size)
        warm_up = None if quick else cached_results(data, kind, WARM_UP_BYTES)
        goals, judged = result_goals(kind), file.size_bytes >= JUDGED_BYTES
        compare(stage, chosen, file, runs=runs, warm_up=warm_up, goals=goals, judged=judged)


def compare(  # noqa: PLR0913 - what a comparison is made of
    stage: Stage,
    chosen: Sequence[Subject],
    file: Results,
    *,
    runs: int,
    warm_up: Results | None,
    goals: Sequence[Goal],
    judged: bool,
) -> None:
    """Run subjects in turn on a file, and print their figures and the goals."""
    able = runnable(stage, chosen, file, say)
    if warm_up is not None:
        say("warming up")
        run_rounds(stage, able, warm_up, 1, lambda _: None)
    found = run_rounds(stage, able, file, runs, say)
    click.echo(title(file, runs))
    click.echo(f"\n{figures_table(able, found, file)}")
    click.echo(f"\n{goals_table(goals, found, file, judged=judged)}")


@main.command(name="by-key")
@click.option("--size", type=Size(), default="50MB", show_default=True, help="Of the result file.")
@runs_option
@data_option
@click.option("--quick", is_flag=True, help="2 MB once: shows that all of it works.")
def by_key(size: int, runs: int, data: Path, quick: bool) -> None:  # noqa: FBT001 - an option
    """Our worker with one object per key in a local folder, and a script that proves nothing."""
    size, runs = (QUICK_BY_KEY_BYTES, 1) if quick else (size, runs)
    with open_stage(data) as stage:
        file = cached_results(data, "text", size)
        warm_up = None if quick else cached_results(data, "text", QUICK_BY_KEY_BYTES)
        compare(
            stage,
            BY_KEY_SUBJECTS,
            file,
            runs=runs,
            warm_up=warm_up,
            goals=BY_KEY_GOALS,
            judged=file.lines >= JUDGED_OBJECTS,
        )


@main.command(name="peers")
@click.option("--size", type=Size(), default="20MB", show_default=True, help="Of the result file.")
@runs_option
@data_option
@click.option("--only", type=click.Choice(PEER_NAMES), multiple=True, help="This one; repeatable.")
def peers_command(size: int, runs: int, data: Path, only: tuple[str, ...]) -> None:
    """Other tools that take a batch's results, installed from PyPI, beside ours."""
    with open_stage(data) as stage:
        file = cached_results(data, "structured", size)
        for table in peers.measure(stage, peers.choose(only), file, runs, say):
            click.echo(f"{table}\n")


@main.command(name="memory")
@size_option
@data_option
@click.option("--only", default="", help="Cases whose name holds this.")
def memory_command(size: int, data: Path, only: str) -> None:
    """Peak memory of our worker: flat in the size, bounded in keys and groups."""
    with open_stage(data) as stage:
        for table in memory.measure(stage, size, only, say):
            click.echo(f"{table}\n")


@main.command(name="scaling")
@size_option
@runs_option
@data_option
def scaling_command(size: int, runs: int, data: Path) -> None:
    """Time of our worker at a hundredth, a tenth and the whole of the size."""
    with open_stage(data) as stage:
        for table in scaling.measure(stage, size, runs, say):
            click.echo(table)


@main.command(name="ingest")
@runs_option
@click.option("--seconds", default=5, show_default=True, help="Length of one run.")
@click.option("--quick", is_flag=True, help="A second each: shows that all of it works.")
def ingest_command(runs: int, seconds: int, quick: bool) -> None:  # noqa: FBT001 - an option
    """Our web process and its peers, taking deliveries from 32 connections."""
    seconds, runs = (1, 1) if quick else (seconds, runs)
    for table in ingest.measure(seconds, runs, say):
        click.echo(f"{table}\n")


@main.command(name="storage")
@size_option
@data_option
@click.option("--runs", default=1, show_default=True, help="Rounds; medians are shown.")
@click.option("--objects", default=20_000, show_default=True, help="Of one line each.")
@click.option("--quick", is_flag=True, help="200 objects and 20 MB: shows that all of it works.")
def storage_command(
    size: int,
    data: Path,
    runs: int,
    objects: int,
    quick: bool,  # noqa: FBT001
) -> None:
    """Our worker and boto3, on an object storage that takes 30 ms for every answer."""
    size, objects = (QUICK_BYTES, 200) if quick else (size, objects)
    with open_stage(data) as stage:
        for table in storing.measure(stage, objects, size, runs, say):
            click.echo(f"{table}\n")


@main.command(name="rows")
@click.option("--rows", default=1_000_000, show_default=True, help="Of the table.")
@click.option("--runs", default=1, show_default=True, help="Rounds; medians are shown.")
@data_option
@click.option("--quick", is_flag=True, help="2,000 rows once: shows that all of it works.")
def rows_command(rows: int, runs: int, data: Path, quick: bool) -> None:  # noqa: FBT001 - an option
    """Rows in and rows out, beside a pandas script that does the same."""
    rows, runs = (QUICK_ROWS, 1) if quick else (rows, runs)
    submitted = cached_rows(data, rows)
    for table in row_tables.measure(submitted, runs, say, judged=rows >= JUDGED_ROWS):
        click.echo(f"{table}\n")


@main.command(name="latency")
@click.option("--count", default=100, show_default=True, help="Deliveries, and batches that wait.")
def latency_command(count: int) -> None:
    """From a delivery to its output, idle and with a queue."""
    for table in latency.measure(count, say):
        click.echo(table)


@main.command(name="start")
@click.option("--runs", default=11, show_default=True, help="Rounds; medians are shown.")
def start_command(runs: int) -> None:
    """Commands that a person waits for, from their start to their end."""
    with tempfile.TemporaryDirectory(prefix="start-") as folder:
        for table in starting.measure(Path(folder), runs, say):
            click.echo(table)


@main.command(name="pages")
@click.option("--batches", default=100_000, show_default=True, help="Stored ones in the inbox.")
@click.option("--runs", default=5, show_default=True, help="Rounds; medians are shown.")
def pages_command(batches: int, runs: int) -> None:
    """The status page of many batches, until a browser shows the first text."""
    from tests.bench import pages  # noqa: PLC0415 - only this one needs a browser

    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        for table in pages.measure(Path(folder), batches, runs, say):
            click.echo(table)


@main.command(name="footprint")
@click.option("--count", default=1000, show_default=True, help="Small batches.")
def footprint_command(count: int) -> None:
    """What a small batch costs in Redis and in our processes."""
    for table in footprint.measure(count, say):
        click.echo(table)


if __name__ == "__main__":
    main()
