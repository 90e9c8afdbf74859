"""Kills things and counts what is lost: `python -m tests.chaos [name ...] --seed N [--events N] [--short]`.

Each scenario prints one line of figures, some a table below it. The exit code is 1 when a bar was missed. Without names
all run but plain-rq.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from tests.chaos import (
    disk_faults,
    doors,
    failover,
    floods,
    hostile,
    hosts,
    lies,
    notices,
    outages,
    plain_rq,
    points,
    redis_faults,
    redis_files,
    soak,
    stops,
    storms,
    submissions,
    upkeep,
    versions,
)
from tests.chaos.report import Options, Report
from tests.chaos.system import TRACE
from tests.model.model import RefusedError
from tests.model.trace import validate

SCENARIOS: dict[str, Callable[[Options], Report]] = {
    "web-kills": storms.web_kills,
    "kill-storm": storms.kill_storm,
    "sigterm-storm": storms.sigterm_storm,
    "stop-matrix": stops.stop_matrix,
    "kill-points": points.kill_points,
    "fences": points.fences,
    "poison": points.poison,
    "redis-absence": redis_faults.absence,
    "redis-black-hole": redis_faults.black_hole,
    "redis-failover": failover.failover,
    "redis-wipe": redis_faults.wipe,
    "redis-clock": redis_files.clock_jumps,
    "redis-old-file": redis_files.old_files,
    "missed": redis_faults.missed,
    "duplicates": doors.duplicates,
    "every-door": doors.every_door,
    "every-order": doors.every_order,
    "foreign": hostile.foreign,
    "vanished": hostile.vanished,
    "burst": floods.burst,
    "unfit": upkeep.unfit,
    "flips": upkeep.flips,
    "buried": upkeep.buried,
    "growth": upkeep.growth,
    "notices": notices.notices,
    "lying-download": lies.lying_download,
    "outage": outages.outage,
    "disk-faults": disk_faults.disk_faults,
    "hosts": hosts.hosts,
    "cut-host": hosts.cut_host,
    "two-versions": versions.two_versions,
    "submissions": submissions.submissions,
    "soak": soak.soak,
}
MEASUREMENTS = {
    "plain-rq": plain_rq.plain_rq
}  # of something else, so not run unless they are named


def run(
    name: str, seed: int, events: int | None, *, short: bool, keep: Path | None = None
) -> Report:
    """Run one scenario in a folder of its own, which is removed unless `keep` says where it goes."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        place = keep / f"{name}-{seed}" if keep else Path(folder)
        report = (SCENARIOS | MEASUREMENTS)[name](Options(place, seed, events, short))
        judge_traces(place, report)
        return report


def judge_traces(folder: Path, report: Report) -> None:
    """Whether the model of the ledger accepts every call that was recorded in this folder."""
    traces = sorted(folder.rglob(TRACE))
    try:
        figures = [validate(trace) for trace in traces]
    except RefusedError as error:
        report.misses.append(f"the model of the ledger refuses the trace: {error}")
        return
    if traces:
        report.note(calls_that_the_model_accepts=sum(one.calls for one in figures))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(SCENARIOS | MEASUREMENTS)}"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, help="size of a scenario; each has its own default")
    parser.add_argument(
        "--short", action="store_true", help="small sizes: all of them take about two minutes"
    )
    parser.add_argument(
        "--any-speed", action="store_true", help="bars of time are shown, but don't count"
    )
    parser.add_argument("--keep", type=Path, help="keep the processes' files in this folder")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in SCENARIOS | MEASUREMENTS]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    missed = False
    for name in arguments.names or SCENARIOS:
        begun = time.monotonic()
        report = run(
            name, arguments.seed, arguments.events, short=arguments.short, keep=arguments.keep
        )
        click.echo(f"{report.line} ({name}, {time.monotonic() - begun:.0f} s)")
        for line in report.below():
            click.echo(line)
        missed |= bool(report.misses or (report.late and not arguments.any_speed))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
