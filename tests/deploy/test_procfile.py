"""The Procfile's commands, started as a Procfile platform starts them: by a shell, with PORT set."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.sandbox.processes import start, stop
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of
from tests.deploy.reading import LONGEST_STOP_S, check_command
from tests.procfile import COMMANDS, procfile_argv, with_path
from tests.running import answers, submit_inline
from tests.waiting import eventually


def environment(world: World) -> dict[str, str]:
    return with_path(os.environ | world.settings)


@contextmanager
def running(world: World, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (world.folder / f"{name}.log").open("ab") as log:
        process = start(procfile_argv(name), env=environment(world), cwd=world.folder, stdout=log)
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


def is_ours(process: "subprocess.Popen[bytes]") -> bool:
    """Whether no shell stands between the platform and us: it would end at a signal, and pass nothing on."""
    words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    return any(word.endswith(b"/gemini-batch-receiver") for word in words)


def test_procfile_has_our_commands() -> None:
    commands = {name: shlex.split(command) for name, command in COMMANDS.items()}
    ours = {name: words[words.index("gemini-batch-receiver") :] for name, words in commands.items()}
    told = {name: check_command(words) for name, words in ours.items()}
    assert told == {"web": "serve", "worker": "worker", "release": "doctor"}
    assert "HOST=0.0.0.0" in commands["web"]


def test_procfile_takes_a_batch_to_its_manifest(world: World) -> None:
    with ExitStack() as stack:
        env = environment(world)
        release = subprocess.run(
            procfile_argv("release"), env=env, capture_output=True, timeout=60, check=False
        )
        assert release.returncode == 0, release.stdout.decode()
        web, worker = (stack.enter_context(running(world, name)) for name in ("web", "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        assert [is_ours(process) for process in (web, worker)] == [True, True]
        batch = submit_inline(world.gemini_url, {"one": "Hello"})
        assert manifest_of(world, batch)["outcomes"]["ok"] == 1
        assert seconds_to_stop(worker) < LONGEST_STOP_S
        assert seconds_to_stop(web) < LONGEST_STOP_S


def test_release_fails_on_a_wrong_setting(world: World) -> None:
    env = environment(world) | {"STORAGE_URL": "nowhere"}
    release = subprocess.run(
        procfile_argv("release"), env=env, capture_output=True, timeout=60, check=False
    )
    assert release.returncode != 0
    assert b"STORAGE_URL" in release.stderr
