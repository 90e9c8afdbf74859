"""How many files a newcomer opens who follows one delivery from its POST to its manifest."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.sandbox.processes import start
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of
from tests.running import answers, submit_file
from tests.waiting import eventually

MAX_FILES = 64  # the aim is 30: lower it with every file less
ROWS = b"".join(
    b'{"key":"k%d","request":{"contents":[{"parts":[{"text":"Say %d"}]}]}}\n' % (number, number)
    for number in range(3)
)


@contextmanager
def noting(notes: Path, settings: dict[str, str], command: str) -> Iterator[None]:
    """The command as a process that notes which of our files a delivery runs through."""
    argv = [sys.executable, "-m", "tests.called_files", str(notes), command]
    with notes.with_suffix(".log").open("ab") as log:
        process = start(argv, env={**os.environ, **settings}, stdout=log)
    try:
        yield
    finally:
        process.kill()  # an orderly end is no step of a delivery
        process.wait()


def is_done(world: World, batch: str) -> bool:
    with connect(world.redis_url) as client:
        return Inbox(client).entries([batch])[batch].state == "done"


def test_delivery_takes_few_files(world: World, tmp_path: Path) -> None:
    settings = world.settings
    web, job = tmp_path / "web", tmp_path / "job"
    with ExitStack() as stack:
        stack.enter_context(noting(web, settings, "serve"))
        stack.enter_context(noting(job, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        batch = submit_file(world.gemini_url, ROWS)
        assert manifest_of(world, batch)["outcomes"]["ok"] == 3
        eventually(lambda: is_done(world, batch), 20, "the end of the job")
    of_web, of_job = (set(notes.read_text().split()) for notes in (web, job))
    assert "receiver/verification/signatures.py" in of_web
    assert "workers/store/manifest.py" in of_job
    files = of_web | of_job
    listing = "\n".join(sorted(files))
    assert len(files) <= MAX_FILES, f"{len(of_web)} + {len(of_job)} files:\n{listing}"
