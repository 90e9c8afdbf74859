"""The stop matrix: as each platform stops, at every moment, with 5, 10 and 30 s until it kills."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy.sandbox.processes import stop
from tests.bench.tables import draw
from tests.chaos import stop_webs, stop_workers
from tests.chaos.report import Options, Report
from tests.chaos.stop_ways import GRACES_S, WAYS, Stopped
from tests.chaos.stop_workers import BUCKET, Stage
from tests.chaos.system import running_system
from tests.object_server.running import running_object_server
from tests.running import ready_batch

OUT_S, RESUMED_S = 5.0, 15.0


@dataclass(frozen=True)
class Cell:
    process: str
    moment: str
    way: str
    grace_s: int  # until all is killed

    def __str__(self) -> str:
        return f"{self.process}, {self.moment}, {self.way}, killed after {self.grace_s} s"


@dataclass(frozen=True)
class Outcome:
    stopped: Stopped
    resumed_s: float
    losses: tuple[str, ...]  # what must not be


SHORT: Sequence[Cell] = (
    Cell("worker", "idle", "SIGINT", 5),
    Cell("worker", "asking Gemini", "repeated", 5),
    Cell("worker", "downloading", "SIGINT to all", 5),
    Cell("worker", "storage hangs", "SIGTERM to all", 5),
    Cell("worker", "manifest hangs", "SIGTERM", 5),
    Cell("worker", "Redis silent", "SIGTERM to all", 5),
    Cell("web", "request in flight", "SIGTERM to all", 5),
    Cell("web", "slow body", "SIGINT", 5),
    Cell("web", "Redis silent", "SIGTERM", 5),
)


def all_cells() -> Iterator[Cell]:
    for process, moments in (("worker", tuple(stop_workers.MOMENTS)), ("web", stop_webs.MOMENTS)):
        for moment in moments:
            yield from (Cell(process, moment, way, grace_s) for way in WAYS for grace_s in GRACES_S)


def stop_matrix(options: Options) -> Report:
    """Every cell, one after the other; the short form takes the hardest ones."""
    report = Report("stop matrix", options.seed)
    cells = SHORT if options.short else tuple(all_cells())
    scratch = options.folder / "scratch"
    scratch.mkdir(parents=True)
    with running_object_server() as bucket:
        settings = {
            "STORAGE_URL": f"s3://{BUCKET}",
            "SCRATCH_DIR": str(scratch),
        } | bucket.environment()
        with running_system(options.folder, options.seed, settings=settings) as system:
            stage = Stage(system, bucket)
            outcomes = {
                cell: _stop_worker(stage, cell) for cell in cells if cell.process == "worker"
            }
            proven = system.command("verify", *stage.names)
            assert system.web is not None
            stop(system.web)
            outcomes |= {cell: _stop_web(stage, cell) for cell in cells if cell.process == "web"}
    report.note(cells=len(cells), stored_and_proven=len(stage.names))
    report.hold(f"what is stored is whole: {proven.stdout}", proven.returncode == 0)
    _judge(report, outcomes)
    return report


def _stop_worker(stage: Stage, cell: Cell) -> Outcome:
    done = stop_workers.stop_worker(stage, cell.moment, WAYS[cell.way], cell.grace_s)
    losses = ("an attempt was counted",) if done.attempts else ()
    return Outcome(done.stopped, done.resumed_s, losses)


def _stop_web(stage: Stage, cell: Cell) -> Outcome:
    name = ready_batch(stage.system.gemini_url, notify=False)
    done = stop_webs.stop_web(stage.system, cell.moment, WAYS[cell.way], cell.grace_s, name)
    losses = () if done.kept else (f"a delivery was lost that got a {done.status}",)
    return Outcome(done.stopped, done.resumed_s, losses)


def _judge(report: Report, outcomes: dict[Cell, Outcome]) -> None:
    for cell, outcome in outcomes.items():
        for loss in outcome.losses:
            report.hold(f"{cell}: {loss}", held=False)
        report.hold(f"{cell}: nothing of it is left", not outcome.stopped.left)
        report.hold_time(
            f"{cell}: out by itself within {OUT_S:.0f} s",
            not outcome.stopped.killed and outcome.stopped.seconds <= OUT_S,
        )
        report.hold_time(
            f"{cell}: resumed within {RESUMED_S:.0f} s", outcome.resumed_s <= RESUMED_S
        )
    report.note(longest_out=f"{max(one.stopped.seconds for one in outcomes.values()):.1f} s")
    report.note(killed=sum(one.stopped.killed for one in outcomes.values()))
    report.note(longest_resumed=f"{max(one.resumed_s for one in outcomes.values()):.1f} s")
    report.note(losses=sum(len(one.losses) for one in outcomes.values()))
    report.table = draw(("seconds until it is out", *WAYS, "resumed"), _rows(outcomes))


def _rows(outcomes: dict[Cell, Outcome]) -> Iterator[list[str]]:
    """A row a moment: the longest of each way, and of all."""
    for about in dict.fromkeys((cell.process, cell.moment) for cell in outcomes):
        here = {cell: one for cell, one in outcomes.items() if (cell.process, cell.moment) == about}
        outs = [
            [one.stopped.seconds for cell, one in here.items() if cell.way == way] for way in WAYS
        ]
        resumed = max(one.resumed_s for one in here.values())
        yield [
            ", ".join(about),
            *(f"{max(seconds):.1f}" if seconds else "" for seconds in outs),
            f"{resumed:.1f}",
        ]
