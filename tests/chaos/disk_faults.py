"""A disk that fails, or a kill, at one call to the kernel of a whole batch's job."""

import errno
import logging
import os
import random
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from deploy.sandbox.valkey import running_valkey
from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from tests.chaos.checker import MANIFEST, files_of, is_torn
from tests.chaos.report import Options, Report
from tests.nasty import answer, failure
from tests.running import ready_batch, running_sandbox
from tests.system_calls import Call, Run, calls_below, folder_in_memory, run_alone, run_traced
from workers.process import process_batch

BATCH = "batches/faulty"
ROWS = (  # enough answers to be flushed together
    failure("en-one", 8),
    *(answer(f"{group}-{number}") for group in ("en", "de") for number in range(3)),
)
CODES = (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EROFS, errno.EMFILE)
TEMPLATES = {
    "per_key": {},
    "grouped": {"OUTPUT_TEMPLATE": "{batch}/{group}.jsonl", "KEY_PATTERN": "(?P<group>[a-z]+)-.*"},
}
TIDYING = re.compile(
    r'gbr-\w+", O_RDONLY'
)  # a job that can't remove its scratch folder leaves it for the next day


def run_job(settings: dict[str, str]) -> None:
    """What a work-horse does."""
    logging.basicConfig(handlers=[logging.NullHandler()])
    os.environ.update(settings)
    process_batch(BATCH)


def is_tidying(call: Call) -> bool:
    return call.name.startswith(("unlink", "rmdir")) or TIDYING.search(call.what) is not None


def add_batch(folder: Path, gemini_url: str) -> None:
    """BATCH at the stand-in, with its result file in the folder."""
    results = folder / "results.jsonl"
    results.write_bytes(b"\n".join(ROWS))
    ready_batch(
        gemini_url, id="faulty", result_path=str(results), request_count=len(ROWS), notify=False
    )


class Place:
    """A storage and an inbox that owes it one batch; `calls` and `clean` are of a run without faults."""

    def __init__(self, folder: Path, gemini_url: str, redis_url: str, template: str) -> None:
        self.outputs, self._redis_url = folder / template, redis_url
        about = {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": gemini_url,
            "REDIS_URL": redis_url,
        }
        self.settings = (
            about
            | {"STORAGE_URL": self.outputs.as_uri(), "RETRY_BASE_S": "0"}
            | TEMPLATES[template]
        )
        self.calls = calls_below(self._run(), self.outputs)
        self.clean = self._objects()
        assert self._entry().state == "done"
        assert not is_torn(self.outputs, self.outputs / "faulty")

    def _owe(self) -> None:
        """As after a lease has run out, without the wait."""
        with connect(self._redis_url) as client:
            client.flushall()
            Inbox(client).accept([Arrival(BATCH, "batch.succeeded", "replay")])

    def _entry(self) -> Entry:
        with connect(self._redis_url) as client:
            return Inbox(client).entries([BATCH])[BATCH]

    def _run(self, *inject: str) -> Run:
        shutil.rmtree(self.outputs, ignore_errors=True)
        self._owe()
        return run_traced(run_job, self.settings, inject=inject)

    def _objects(self) -> dict[str, bytes]:
        return {
            name: data
            for name, data in files_of(self.outputs).items()
            if not name.startswith(".tmp/")
        }

    def _harm(self) -> Iterator[str]:
        """Each object is there as in the run without faults, or not at all; with the manifest all are."""
        found, folder = self._objects(), self.outputs / "faulty"
        yield from (f"{name} is not whole" for name in found.keys() - self.clean.keys())
        yield from (
            f"{name} is not whole"
            for name, data in self.clean.items()
            if found.get(name, data) != data
        )
        if (folder / MANIFEST).exists() and (is_torn(self.outputs, folder) or found != self.clean):
            yield "the manifest came too early"

    def _after_second_try(self) -> Iterator[str]:
        if self._entry().state != "done":
            run_alone(run_job, self.settings)
        if self._entry().state != "done" or self._objects() != self.clean:
            yield "the second try did not store the batch"

    def fail(self, call: Call, code: int) -> list[str]:
        """Let the call fail once. Gives what went wrong because of that."""
        run = self._run(f"{call.name}:error={errno.errorcode[code]}:when={call.number}")
        problems = [*self._harm()]
        if run.injected != 1 or run.error is not None:
            problems.append(f"hit {run.injected} times: {run.error}")
        if not is_tidying(call) and [*(self.outputs / ".tmp").glob("*")]:
            problems.append("a temporary is left")
        entry = self._entry()
        if entry.state != "done" and (entry.state, entry.attempts, entry.outages) != ("open", 0, 1):
            problems.append(
                f"the batch is {entry.state} after {entry.attempts} attempts, {entry.outages} outages"
            )
        if entry.state != "done" and (
            "unexpected" in entry.cause or os.strerror(code) not in entry.cause
        ):
            problems.append(f"the cause is unclear: {entry.cause}")
        problems += self._after_second_try()
        return [f"{problem}, after {errno.errorcode[code]} at {call}" for problem in problems]

    def kill(self, call: Call) -> list[str]:
        """Kill the job at the call. Gives what went wrong because of that."""
        run = self._run(f"{call.name}:signal=SIGKILL:when={call.number}")
        problems = [*self._harm()]
        if run.exit_code != -signal.SIGKILL:
            problems.append("it was not killed")
        self._owe()
        problems += self._after_second_try()
        return [f"{problem}, after a kill at {call}" for problem in problems]


def _try_all(place: Place, options: Options) -> tuple[list[str], int, int]:
    """Gives what went wrong, and how many failures and kills there were."""
    cases = [(call, code) for call in place.calls for code in (*CODES, None)]
    if options.short:
        random.Random(options.seed).shuffle(cases)
        cases = cases[: len(place.calls) // 5]
    problems = list[str]()
    for call, code in cases:
        problems += place.kill(call) if code is None else place.fail(call, code)
    kills = sum(code is None for _, code in cases)
    return problems, len(cases) - kills, kills


def disk_faults(options: Options) -> Report:
    """Every call of a job that touches the storage fails in every way, or is where it is killed."""
    report, failures, kills = Report("disk faults", options.seed), 0, 0
    (options.folder / "valkey").mkdir(parents=True)
    with (
        running_valkey(options.folder / "valkey") as redis_url,
        running_sandbox(options.folder) as gemini_url,
        folder_in_memory() as outputs,
    ):
        add_batch(options.folder, gemini_url)
        for template in TEMPLATES:
            place = Place(outputs, gemini_url, redis_url, template)
            problems, failed, killed = _try_all(place, options)
            report.misses += problems
            failures, kills = failures + failed, kills + killed
            report.note(**{f"{template}_calls": len(place.calls)})
    report.note(failures=failures, kills=kills, misses=len(report.misses))
    return report
