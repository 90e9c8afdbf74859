"""The page's table of how each platform stops a process is what the files say, and the stop matrix does all of it."""

import json
import tomllib
from typing import Any

import pytest

from tests.chaos.stop_ways import GRACES_S, WAYS
from tests.chaos.stops import all_cells
from tests.deploy.reading import DEPLOY, LONGEST_STOP_S, read_documents, read_yaml

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (DEPLOY / "README.md")
    .read_text()
    .partition("## Stop\n")[2]
    .partition("\n`python")[0]
    .splitlines()
    if line.startswith("|")
]
TABLE = {row[0]: dict(zip(ROWS[0][1:], row[1:], strict=True)) for row in ROWS[2:]}


def deployment(kind: str) -> Any:
    (found,) = (
        one for one in read_documents(f"kubernetes/{kind}.yaml") if one["kind"] == "Deployment"
    )
    return found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def told_by_files() -> dict[str, int]:
    """Seconds until each platform kills, where a file of ours says it."""
    render = {
        one.get("maxShutdownDelaySeconds") for one in read_yaml("render/render.yaml")["services"]
    } - {None}
    compose = {
        one["stop_grace_period"] for one in read_yaml("docker/compose.yaml")["services"].values()
    }
    railway = {
        json.loads((DEPLOY / "railway" / f"{name}.json").read_text())["deploy"]["drainingSeconds"]
        for name in ("web", "worker")
    }
    units = {
        line.partition("=")[2]
        for path in (DEPLOY / "systemd").glob("*.service")
        for line in path.read_text().splitlines()
        if line.startswith("TimeoutStopSec=")
    }
    (render_s,), (compose_s,), (railway_s,), (units_s,) = render, compose, railway, units
    return {
        "Render": render_s,
        "Fly": tomllib.loads((DEPLOY / "fly" / "fly.toml").read_text())["kill_timeout"],
        "Railway": railway_s,
        "compose": int(compose_s.removesuffix("s")),
        "Kubernetes, web": deployment("web"),
        "Kubernetes, worker": deployment("worker"),
        "systemd": int(units_s),
    }


def test_table_says_what_the_files_say() -> None:
    told = told_by_files()
    assert {name: int(TABLE[name]["kills after, s"]) for name in told} == told


@pytest.mark.parametrize("name", TABLE)
def test_every_platform_gives_enough_time(name: str) -> None:
    after = TABLE[name]["kills after, s"]
    assert after == "never" or int(after) >= LONGEST_STOP_S


def test_matrix_has_every_signal_of_the_table() -> None:
    signals = {row["signal"] for row in TABLE.values()}
    assert signals == {which.name for way in WAYS.values() for _, which, _ in way.signals}
    assert min(GRACES_S) == LONGEST_STOP_S
    cells = [*all_cells()]
    assert len(cells) == len(set(cells)) == (7 + 4) * len(WAYS) * len(GRACES_S)
