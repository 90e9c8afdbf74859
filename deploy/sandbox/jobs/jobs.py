"""Runs jobs: PENDING, RUNNING, an end state, then the webhooks are told."""

import asyncio
import itertools
import logging
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.delivery.deliveries import Dispatcher
from deploy.sandbox.faults.markers import Plan
from deploy.sandbox.google_api import Json, now_ns
from deploy.sandbox.jobs.rows import Count, Recipe, file_rows, inline_rows, shuffled, write_rows
from deploy.sandbox.jobs.tries import Tries
from deploy.sandbox.ledger import Batch, Ledger, Payment, State

log = logging.getLogger(__name__)

UPDATE_LAG_NS = 26  # how far `updateTime` lies before `endTime` in recorded answers
ERRORS = {
    State.FAILED: {"code": 13, "message": "The batch failed inside the service."},
    State.EXPIRED: {
        "code": 4,
        "message": "The batch was not done within its time and has expired.",
    },
    # A probe of the service saw code 13 for a cancelled job; the reference promises 1.
    State.CANCELLED: {"code": 13, "message": "The batch failed without error."},
}


@dataclass
class _Run:
    task: "asyncio.Task[None] | None" = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    # tells the generating thread to stop
    halt: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class _Produced:
    count: Count
    output: Json
    path: Path | None
    paid: list[Payment]


class Jobs:
    def __init__(
        self, config: SandboxConfig, ledger: Ledger, dispatcher: Dispatcher, tries: Tries
    ) -> None:
        self._config = config
        self._tries = tries
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._runs: dict[str, _Run] = {}

    def start(self, batch: Batch, plan: Plan) -> None:
        run = _Run()
        self._runs[batch.id] = run
        run.task = asyncio.create_task(self._live(batch, run, plan), name=batch.name)
        run.task.add_done_callback(lambda _: self._runs.pop(batch.id, None))

    async def cancel(self, batch: Batch) -> None:
        """Cancel a running job and tell its webhooks. A job that has ended stays as it is."""
        run = self._runs.get(batch.id)
        if run is not None and run.task is not None:
            run.halt.set()
            run.cancelled.set()
            await asyncio.wait([run.task])

    async def close(self, batch_ids: list[str] | None = None) -> None:
        """Stop the named jobs, or all, without an end state and without telling webhooks."""
        runs = [
            run
            for batch_id, run in self._runs.items()
            if batch_ids is None or batch_id in batch_ids
        ]
        tasks = [run.task for run in runs if run.task is not None]
        for run in runs:
            run.halt.set()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def finish(self, batch: Batch, state: State) -> None:
        batch.state = state
        batch.error = batch.error or ERRORS.get(state)
        batch.ended_ns = now_ns()
        batch.updated_ns = batch.ended_ns - UPDATE_LAG_NS

    async def _live(self, batch: Batch, run: _Run, plan: Plan) -> None:
        state = await self._run_to_end(batch, run, plan)
        self.finish(batch, state)
        self._dispatcher.announce(batch)

    async def _run_to_end(self, batch: Batch, run: _Run, plan: Plan) -> State:
        if await _happens(run.cancelled, math.inf if plan.pending else self._config.pending_s):
            return State.CANCELLED
        batch.state = State.RUNNING
        batch.updated_ns = now_ns()
        done_at = asyncio.get_running_loop().time() + self._config.running_s
        produced = None
        if plan.end not in (State.FAILED, State.EXPIRED):
            produced = await self._produced(batch, run.halt, plan)
            if produced is None:
                return State.FAILED
        if plan.stuck or (produced is not None and produced.count.stuck):
            await run.cancelled.wait()
        cancelled = await _happens(run.cancelled, done_at - asyncio.get_running_loop().time())
        state = State.CANCELLED if cancelled else plan.end
        if produced is not None and (
            state is State.SUCCEEDED or plan.partial or produced.count.stuck
        ):
            self._adopt(batch, produced)
        if state is State.SUCCEEDED:
            batch.request_count = batch.successful + batch.failed
            batch.gets_without_output = plan.late_output
        return state

    async def _produced(self, batch: Batch, halt: threading.Event, plan: Plan) -> _Produced | None:
        try:
            return await asyncio.to_thread(self._produce, batch, halt, plan)
        except Exception as error:
            log.exception("the result of %s could not be made", batch.name)
            batch.error = {"code": 13, "message": f"The result could not be made: {error!r}"}
            return None

    def _produce(self, batch: Batch, halt: threading.Event, plan: Plan) -> _Produced:
        """The output of a job, on disk for a file job. A partial job makes half of the rows."""
        count, paid = Count(), list[Payment]()
        recipe = Recipe(
            batch.kind,
            batch.model,
            self._config.seed,
            plan,
            self._tries.find,
            paid if self._config.payments else None,
            batch.name,
        )
        rows = self._rows_of(batch, recipe, count, halt)
        if plan.partial:
            rows = itertools.islice(rows, (batch.request_count + 1) // 2)
        if plan.shuffle:
            rows = shuffled(rows, self._config.seed)
        if batch.input_file is None or plan.inline_answer:
            inlined = {"inlinedResponses": {"inlinedResponses": list(rows)}}
            return _Produced(count, inlined, None, paid)
        path = self._config.folder / f"{batch.result_id}.jsonl"
        write_rows(rows, path)
        return _Produced(count, {"responsesFile": f"files/{batch.result_id}"}, path, paid)

    def _rows_of(
        self, batch: Batch, recipe: Recipe, count: Count, halt: threading.Event
    ) -> Iterator[Json]:
        if batch.input_file is None:
            return inline_rows(batch.requests, recipe, count, halt)
        source = self._ledger.files.get(batch.input_file.removeprefix("files/"))
        if source is None:
            raise FileNotFoundError(f"{batch.input_file} was deleted before the job ran")
        return file_rows(source.path, recipe, count, halt)

    def _adopt(self, batch: Batch, produced: _Produced) -> None:
        batch.output = produced.output
        self._ledger.payments += produced.paid
        batch.successful, batch.failed = produced.count.successful, produced.count.failed
        if produced.path is not None:
            self._ledger.results[batch.result_id] = produced.path


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    """Whether the event is set within that time, which may be endless."""
    try:
        async with asyncio.timeout(None if math.isinf(within_s) else max(0, within_s)):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
