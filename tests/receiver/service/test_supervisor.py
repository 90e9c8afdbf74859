"""Programs that end, hang and talk, kept by the supervisor in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.sandbox.processes import start, stop
from tests.chaos.system import is_running
from tests.waiting import eventually

SUPERVISE = """
import asyncio, json, os, sys
from receiver.telemetry.logs import set_up_logs
from receiver.errors import ServiceError
from receiver.service.output import choose_output
from receiver.service.program import Program
from receiver.service.supervisor import supervise

set_up_logs("INFO", "json")
layers = [[Program(name, ["sh", "-c", script], os.environ) for name, script in layer.items()]
          for layer in json.loads(sys.argv[1])]
lock = os.open("lock", os.O_CREAT)
try:
    asyncio.run(supervise(layers, lock, choose_output("json"), asyncio.sleep(0)))
except ServiceError as error:
    sys.exit(str(error))
"""
STAY = "trap 'echo bye >> said; exit 0' TERM; echo up >> said; while :; do sleep 0.02; done"
DEAF = "trap '' TERM; echo up >> said; while :; do sleep 0.02; done"


class Supervised:
    def __init__(self, folder: Path, *layers: dict[str, str]) -> None:
        self.folder = folder
        with (folder / "log").open("wb") as log:
            # Whoever runs the tests under nohup hands on that hangups are ignored.
            argv = ["env", "--default-signal=HUP"]
            argv += [sys.executable, "-c", SUPERVISE, json.dumps(layers)]
            self.process: subprocess.Popen[bytes] = start(argv, cwd=folder, stdout=log)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def said(self) -> list[str]:
        file = self.folder / "said"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def supervise(tmp_path: Path) -> "Iterator[Callable[..., Supervised]]":
    """Starts a supervisor of these layers in the test's folder, which ends with the test."""
    with ExitStack() as stack:

        def begin(*layers: dict[str, str]) -> Supervised:
            service = Supervised(tmp_path, *layers)
            stack.callback(stop, service.process)
            return service

        yield begin


Supervise = Callable[..., Supervised]


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_layers_stop_in_the_opposite_order(supervise: Supervise, which: signal.Signals) -> None:
    first = STAY.replace("echo bye", "echo first")
    second = STAY.replace("echo bye", "sleep 0.3; echo second")
    service = supervise({"first": first}, {"second": second})
    eventually(lambda: service.said() == ["up", "up"])
    service.process.send_signal(which)
    assert service.process.wait(10) == 0
    assert service.said() == ["up", "up", "second", "first"]


def test_hangup_does_not_reach_what_nohup_started(tmp_path: Path) -> None:
    layers = json.dumps([{"one": STAY}])
    argv = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", SUPERVISE, layers]
    with (tmp_path / "log").open("wb") as log:
        process = start(argv, cwd=tmp_path, stdout=log)
    try:
        eventually((tmp_path / "said").exists)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
    finally:
        assert stop(process) == 0


def test_program_that_ends_is_started_again(supervise: Supervise) -> None:
    service = supervise({"one": STAY})
    eventually(lambda: service.said() == ["up"])
    (begun,) = eventually(lambda: service.events("service.started"))
    os.kill(int(str(begun["pid"])), signal.SIGKILL)
    eventually(lambda: service.said() == ["up", "up"])
    (ended,) = service.events("service.ended")
    assert (ended["program"], ended["cause"]) == ("one", "killed by SIGKILL: out of memory?")


def test_program_that_always_ends_takes_all_down(supervise: Supervise) -> None:
    service = supervise({"good": STAY}, {"bad": "echo the disk is full >&2; exit 3"})
    assert service.process.wait(30) == 1
    ended = "bad ended 5 times in a row within 30 s of its start (exit code 3)"
    assert f"{ended}; it last said:\n  the disk is full" in service.log()
    assert service.said() == ["up", "bye"]
    assert len(service.events("service.ended")) == 4


def test_program_that_can_not_be_started_takes_all_down(tmp_path: Path) -> None:
    script = SUPERVISE.replace('"sh", "-c", script', "script")
    with (tmp_path / "log").open("wb") as log:
        argv = [sys.executable, "-c", script, json.dumps([{"one": "no-such-program"}])]
        process = start(argv, cwd=tmp_path, stdout=log)
    assert process.wait(10) == 1
    assert "one can't be started: No such file or directory" in (tmp_path / "log").read_text()


def test_deaf_program_is_killed_at_the_second_signal(supervise: Supervise) -> None:
    service = supervise({"deaf": DEAF})
    eventually(lambda: service.said() == ["up"])
    (begun,) = eventually(lambda: service.events("service.started"))
    service.process.send_signal(signal.SIGINT)
    service.process.send_signal(signal.SIGTERM)  # of the same moment: one wish, passed on twice
    eventually(lambda: service.events("service.stopping"))
    with pytest.raises(subprocess.TimeoutExpired):
        service.process.wait(1.2)
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(5) == 0
    assert [one["program"] for one in service.events("service.killed")] == ["deaf"]
    assert not is_running(int(str(begun["pid"])))


def test_deaf_layers_share_one_deadline(supervise: Supervise) -> None:
    """A unit or a container that gives `up` 15 seconds never kills it."""
    service = supervise({"first": DEAF}, {"second": DEAF})
    eventually(lambda: service.said() == ["up", "up"])
    began = time.monotonic()
    service.process.terminate()
    assert service.process.wait(20) == 0
    assert time.monotonic() - began < 14
    assert [one["program"] for one in service.events("service.killed")] == ["second", "first"]


def test_programs_die_with_a_killed_parent(supervise: Supervise) -> None:
    service = supervise({"one": DEAF, "two": STAY})
    eventually(lambda: service.said() == ["up", "up"])
    eventually(lambda: len(service.events("service.started")) == 2)
    pids = [int(str(one["pid"])) for one in service.events("service.started")]
    service.process.kill()
    service.process.wait()
    eventually(lambda: not any(map(is_running, pids)), what="the end of both")


def test_lock_is_held_by_each_program(supervise: Supervise) -> None:
    """So that a next start finds it taken for as long as one of them lives."""
    service = supervise({"one": "readlink /proc/$$/fd/* > fds; echo up >> said; exec sleep 60"})
    eventually(lambda: service.said() == ["up"])
    assert str(service.folder / "lock") in (service.folder / "fds").read_text().split()


def test_every_line_is_passed_on(supervise: Supervise) -> None:
    long = "head -c 3000000 /dev/zero | tr '\\0' x"
    talk = f"printf 'a\\303\\274\\nb'; {long}; echo; echo '{{\"event\": \"e\"}}'; exec sleep 60"
    service = supervise({"one": talk})
    (line,) = eventually(lambda: service.events("e"))
    assert line == {"program": "one", "event": "e"}
    said = service.events("service.said")
    assert said[0]["text"] == "aü"
    assert str(said[1]["text"]).startswith("bxxx")
    assert len(said) > 3  # what has no end is not waited for
    assert {one["program"] for one in said} == {"one"}


def test_reader_that_went_away_stops_nothing(tmp_path: Path) -> None:
    line = "line=$(head -c 5000 /dev/zero | tr '\\0' x)"
    talk = f"{line}; while :; do echo x >> said; echo $line; sleep 0.01; done"
    layers = json.dumps([{"one": talk}])
    process = start([sys.executable, "-c", SUPERVISE, layers], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    said = tmp_path / "said"
    eventually(said.exists)
    before = said.stat().st_size
    eventually(lambda: said.stat().st_size > before + 100)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) in {0, 120}  # 120: Python could not flush its own stderr
