"""The Procfile's commands, started as a Procfile platform starts them: by a shell, with PORT set."""

import os
import shlex
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from deploy.sandbox.processes import start, stop
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of
from tests.deploy.reading import ROOT, check_command
from tests.running import answers, submit_inline
from tests.waiting import eventually

COMMANDS = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
STOP_S = {"web": 10, "worker": 8}


def environment(world: World) -> dict[str, str]:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    return os.environ | world.settings | {"PATH": path, "PYTHONPATH": str(ROOT)}


@contextmanager
def running(world: World, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (world.folder / f"{name}.log").open("ab") as log:
        process = start(["sh", "-c", COMMANDS[name]], env=environment(world), cwd=world.folder, stdout=log)
    try:
        yield process
    finally:
        stop(process)


def seconds_to_stop(process: "subprocess.Popen[bytes]") -> float:
    """SIGTERM to all processes at once, as Heroku sends it."""
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)
    return time.monotonic() - began


def test_procfile_has_our_commands() -> None:
    commands = {name: shlex.split(command) for name, command in COMMANDS.items()}
    told = {name: check_command([word for word in words if "=" not in word]) for name, words in commands.items()}
    assert told == {"web": "serve", "worker": "worker", "release": "doctor"}
    assert "HOST=0.0.0.0" in commands["web"]


def test_procfile_takes_a_batch_to_its_manifest(world: World) -> None:
    with ExitStack() as stack:
        env = environment(world)
        release = subprocess.run(
            ["sh", "-c", COMMANDS["release"]], env=env, capture_output=True, timeout=60, check=False
        )
        assert release.returncode == 0, release.stdout.decode()
        web, worker = (stack.enter_context(running(world, name)) for name in ("web", "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        batch = submit_inline(world.gemini_url, {"one": "Hello"})
        assert manifest_of(world, batch)["outcomes"]["ok"] == 1
        assert seconds_to_stop(worker) < STOP_S["worker"]
        assert seconds_to_stop(web) < STOP_S["web"]


def test_release_fails_on_a_wrong_setting(world: World) -> None:
    env = environment(world) | {"STORAGE_URL": "nowhere"}
    release = subprocess.run(["sh", "-c", COMMANDS["release"]], env=env, capture_output=True, timeout=60, check=False)
    assert release.returncode != 0
    assert b"STORAGE_URL" in release.stderr
