"""A runner of Procfiles, as deploy/README.md says: settings in `.env`, and five seconds to stop."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from deploy.sandbox.processes import start, stop
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of
from tests.chaos.stop_ways import family
from tests.chaos.system import is_running
from tests.deploy.reading import LONGEST_STOP_S
from tests.procfile import ROOT, with_path
from tests.programs import find
from tests.running import answers, ready_batch, set_faults, submit_inline
from tests.waiting import eventually

ROWS = 200


@pytest.fixture
def honcho(world: World) -> "Iterator[subprocess.Popen[bytes]]":
    """The runner, in a folder with nothing but what a newcomer puts there."""
    program = find("honcho", "pip install honcho")
    shutil.copy(ROOT / "Procfile", world.folder)
    (world.folder / ".env").write_text(
        "".join(f"{name}={value}\n" for name, value in world.settings.items())
    )
    with (world.folder / "honcho.log").open("ab") as log:
        argv = [program, "start", "web", "worker"]
        process = start(argv, env=with_path(os.environ), cwd=world.folder, stdout=log)
    yield process
    set_faults(world.gemini_url, drip_downloads=None)
    stop(process)


def test_honcho_takes_a_batch_to_its_manifest(
    world: World, honcho: "subprocess.Popen[bytes]"
) -> None:
    eventually(lambda: answers(f"{world.web_url}/ready"), 20)
    batch = submit_inline(world.gemini_url, {"one": "Hello"})
    assert manifest_of(world, batch)["outcomes"]["ok"] == 1
    assert honcho.poll() is None


def test_honcho_stops_a_job_in_time(world: World, honcho: "subprocess.Popen[bytes]") -> None:
    set_faults(world.gemini_url, drip_downloads={"bytes_per_s": 2000, "times": "all"})
    source = world.folder / "results.jsonl"
    source.write_text(
        "".join(f'{{"key":"k{n}","response":{{"pad":"{"x" * 2000}"}}}}\n' for n in range(ROWS))
    )
    eventually(lambda: answers(f"{world.web_url}/ready"), 20)
    name = ready_batch(world.gemini_url, result_path=str(source), request_count=ROWS)
    eventually(lambda: list((world.outputs / ".tmp").glob("gbr-*")), 20, "the download")
    all_of_it = [*family(honcho.pid)]
    began = time.monotonic()
    honcho.send_signal(signal.SIGINT)
    honcho.wait(30)
    assert time.monotonic() - began < LONGEST_STOP_S
    assert [
        pid for pid in all_of_it if is_running(pid)
    ] == []  # a container would end with its runner, and kill them
    assert "SIGKILL" not in (world.folder / "honcho.log").read_text()
    with connect(world.redis_url) as client:
        entry = Inbox(client).entries([name])[name]
    assert (entry.state, entry.attempts) == ("open", 0)
