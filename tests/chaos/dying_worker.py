"""A worker whose batches decide where it dies: `python -m tests.chaos.dying_worker`.

A batch called `…-at-<point>-<who>` ends its worker at that point, the first time only; `…-poison` kills its work-horse
each time. `stop` instead of a who pauses the work-horse there until somebody sends SIGCONT. The production code knows
nothing of this: what it calls is wrapped here, in this process, before the worker starts. Each claim and each death
leaves a line with its time in CHAOS_FOLDER.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from receiver.cli import main
from receiver.inbox.ledger import Inbox, Lease
from receiver.outputs.paths import manifest_name
from receiver.storage.local import LocalStorage
from receiver.storage.local_lots import OpenFolder
from workers.download.download import Download
from workers.job.lease import LeaseKeeper
from workers.worker.rq_worker import BatchWorker

RENAMES = {"rename-1": 1, "rename-middle": 700}
PERCENTS = {"download-1": 1, "download-50": 50, "download-99": 99}
NAME = re.compile(r"at-(?P<point>.+)-(?P<who>horse|parent|both|stop)$")
FOLDER = Path(os.environ["CHAOS_FOLDER"])


def note(batch: str, what: str) -> None:
    with (FOLDER / f"{batch.removeprefix('batches/')}.{what}").open("a") as file:
        file.write(f"{time.time()}\n")


def die_at(point: str, batch: str) -> None:
    """End this process, its parent or both, if the batch asks for it here and has not done so before."""
    asked = NAME.search(batch)
    if asked is None or asked["point"] != point:
        return
    try:
        (FOLDER / f"{batch.removeprefix('batches/')}.once").touch(exist_ok=False)
    except FileExistsError:
        return
    note(batch, "died")
    if asked["who"] == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    if asked["who"] in {"parent", "both"} and point != "dequeue":
        os.kill(os.getppid(), signal.SIGKILL)
    if asked["who"] != "parent" or point == "dequeue":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(30)  # the parent's end ends us


def wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(owner, name, make(getattr(owner, name)))


def at_dequeue(execute: Callable[..., Any]) -> Callable[..., Any]:
    def execute_job(worker: BatchWorker, job: Any, queue: Any) -> None:
        die_at("dequeue", job.args[0])
        execute(worker, job, queue)

    return execute_job


def at_claim(claim: Callable[..., "Lease | None"]) -> Callable[..., "Lease | None"]:
    def claim_batch(inbox: Inbox, batch: str, **told: Any) -> "Lease | None":
        die_at("fork", batch)
        lease = claim(inbox, batch, **told)
        if lease is not None:
            note(batch, "claims")
            die_at("claim", batch)
        return lease

    return claim_batch


def at_download(chunks: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    def counted(download: Download) -> Iterator[bytes]:
        batch = download._name.removeprefix("files/batch-")  # noqa: SLF001 - it is told nowhere else
        seen, total = 0, int(os.environ["CHAOS_BYTES"])
        for chunk in chunks(download):
            for start in range(0, len(chunk), 1000):
                piece = chunk[start : start + 1000]
                seen += len(piece)
                for point, percent in PERCENTS.items():
                    if seen * 100 >= total * percent:
                        die_at(point, batch)
                yield piece

    return counted


def at_rename(rename: Callable[..., None]) -> Callable[..., None]:
    done = 0

    def counted(folder: OpenFolder, path: str, name: str) -> None:
        nonlocal done
        done += 1
        batch = next((part for part in name.split("/") if "-at-" in part), "")
        for point, number in RENAMES.items():
            if done == number:
                die_at(point, batch)
        if Path(name).name.startswith("_index"):
            die_at("index", batch)
        rename(folder, path, name)

    return counted


def at_manifest(create: Callable[..., None]) -> Callable[..., None]:
    def create_object(storage: LocalStorage, name: str, data: bytes) -> None:
        batch = name.partition("/")[0]
        commits = name == manifest_name(batch)
        if commits:
            die_at("manifest-before", batch)
        create(storage, name, data)
        if commits:
            die_at("manifest-after", batch)

    return create_object


def at_start(enter: Callable[..., LeaseKeeper]) -> Callable[..., LeaseKeeper]:
    def start_keeper(keeper: LeaseKeeper) -> LeaseKeeper:
        entered = enter(keeper)
        if keeper.lease.batch.endswith("-poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        return entered

    return start_keeper


def at_finish(finish: Callable[..., bool]) -> Callable[..., bool]:
    def finish_batch(keeper: LeaseKeeper, *told: Any) -> bool:
        die_at("done-before", keeper.lease.batch)
        done = finish(keeper, *told)
        die_at("done-after", keeper.lease.batch)
        return done

    return finish_batch


def wrap_all() -> None:
    wrap(BatchWorker, "execute_job", at_dequeue)
    wrap(Inbox, "claim", at_claim)
    wrap(Download, "chunks", at_download)
    wrap(OpenFolder, "rename", at_rename)
    wrap(LocalStorage, "create", at_manifest)
    wrap(LeaseKeeper, "__enter__", at_start)
    wrap(LeaseKeeper, "finish", at_finish)


if __name__ == "__main__":
    wrap_all()
    sys.argv[1:] = ["worker"]
    main(prog_name="gemini-batch-receiver")
