"""The processes of the product, as tasks: web, workers, upkeep, and who submits."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from receiver.batch_names import SubmissionName
from receiver.errors import InboxUnavailableError, ReceiverError
from receiver.http import httpx
from receiver.inbox.delivery_log import DeliveryLog
from receiver.inbox.job_queue import JobQueue, open_queue
from receiver.inbox.ledgers import open_ledgers
from receiver.inbox.redis import DUE, NOTICE_QUEUE, SUBMISSIONS, connect
from receiver.inbox.redispatch import sweep
from receiver.notices.dispatcher import TargetDispatcher
from receiver.recovery.scheduler import reconcile_due_projects
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.policy import Policy
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.stored_requests import store_requests
from receiver.telemetry.metrics.counters import Counters
from receiver.verification.jwks import KeySetCache
from receiver.web import accept_batcher
from receiver.web.accept_batcher import AcceptBatcher, AsyncInbox
from receiver.web.app import create_app
from receiver.web.health import Readiness
from receiver.web.metrics_endpoint import MetricsReader
from receiver.web.webhook_endpoint import AppState
from tests.simulation.loop import Loop, run_loop
from tests.simulation.scheduler import Process, Task, scheduler
from tests.simulation.state import State
from workers.advance import advance_submission
from workers.process import process_batch

SWEEP_EVERY_S, LONGEST_SWEEP_PAUSE_S = 2.0, 30.0
RECONCILE_ASK_S, IDLE_S = 100.0, 600.0
# Of the log of refused deliveries, which nobody reads here.
_batcher: Any = accept_batcher
_batcher.FLUSH_EVERY_S = 60.0


def start_web(state: State, process: Process) -> Task:
    """The webhook endpoint with its group commit, in an event loop.

    It only ever ends by being killed, so nothing here is closed.
    """
    loop = Loop()

    async def run() -> None:
        settings = state.settings
        project, client = settings.projects[""], connect(settings.redis_url)
        app = create_app(settings)  # without its lifespan, which starts what runs beside
        counters = Counters(client)
        inbox = AsyncInbox(settings.redis_url)
        batcher = AcceptBatcher(inbox, JobQueue(client), DeliveryLog(client))
        app.state.parts = AppState(
            batcher=batcher,
            keys=KeySetCache(settings.jwks_url, client=httpx.AsyncClient()),
            counters=counters,
            metrics=MetricsReader(client, counters, [project]),
            readiness=Readiness(client),
            redis=client,
        )
        batcher.start()
        state.network.web = (app, loop)
        await asyncio.Event().wait()

    return run_loop(process, loop, run)


def run_job(name: str) -> None:
    """What RQ would call, by the name that the job has."""
    if SubmissionName.read(name) is None:
        process_batch(name)
    else:
        advance_submission(name)


class Worker:
    """Takes jobs from RQ's queue as its worker does, and runs them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def run(self) -> None:
        now, state = scheduler(), self._state
        with connect(state.settings.redis_url) as client:
            while not state.is_over:
                try:
                    batch = self._take(client)
                except redis.RedisError:
                    now.sleep(2)
                    continue
                if batch is None:
                    state.idle.append(now.current)
                    now.wait(now.after_ns(IDLE_S))
                    continue
                try:
                    run_job(batch)
                except InboxUnavailableError:
                    now.sleep(1)

    @staticmethod
    def _take(client: "redis.Redis") -> str | None:
        taken = client.lpop(open_queue(client).key)
        if not isinstance(taken, bytes):
            return None
        try:
            job = Job.fetch(taken.decode(), client, JSONSerializer)
        except NoSuchJobError:
            return None
        client.delete(job.key)
        name: str = job.args[0]
        return name


def keep_sweeping(state: State) -> None:
    """The sweep. Sweeps that would find nothing are left out."""
    now = scheduler()
    with connect(state.settings.redis_url) as client:
        ledgers, jobs = open_ledgers(client), JobQueue(client)
        while not state.is_over:
            with suppress(InboxUnavailableError):
                sweep(ledgers, jobs)
            pauses = (_pause_s(state, key, SWEEP_EVERY_S) for key in (DUE, SUBMISSIONS.due))
            now.sleep(min(pauses))


def _pause_s(state: State, key: str, least_s: float) -> float:
    """Until the first member of a sorted set is due."""
    first = state.wire.ask("ZRANGE", key, 0, 0, "WITHSCORES")
    if not first:
        return LONGEST_SWEEP_PAUSE_S
    flat = first[0] if isinstance(first[0], list) else first
    left_s = float(flat[1]) / 1000 - scheduler().now_s
    return min(max(left_s, least_s), LONGEST_SWEEP_PAUSE_S)


def keep_reconciling(state: State) -> None:
    """Ask every now and then whether a run is due."""
    with connect(state.settings.redis_url) as client:
        while not state.is_over:
            scheduler().sleep(RECONCILE_ASK_S)
            reconcile_due_projects(state.settings, client)


def keep_telling(state: State) -> None:
    """Send the notices that are due."""
    now, settings = scheduler(), state.settings
    (target,) = settings.notices.targets
    with connect(settings.redis_url) as client:
        dispatcher = TargetDispatcher(settings.notices, target, client)
        while not state.is_over:
            try:
                while dispatcher.send_next() is not None:
                    pass
            except InboxUnavailableError:
                now.sleep(5)
            now.sleep(_pause_s(state, NOTICE_QUEUE + target.digest, 1.0))


def submit(state: State, file: Path, request: SubmitRequest) -> None:
    """What `batches submit` does, once; the caller runs it again after an error."""
    storage = state.storage
    plan = check_input(file, request)
    draft = draft_submission(file, request, plan)
    submission, _ = settle_submission(storage, file, draft)
    store_requests(storage, file, submission)
    SubmissionRecords(storage, submission.id).write_policy(Policy(rounds=0))
    with connect(state.settings.redis_url) as client:
        accept_submission(client, SubmissionName("", submission.id))


def keep_submitting(state: State, file: Path, request: SubmitRequest) -> None:
    """A person who runs the command again until it ends well."""
    while True:
        try:
            submit(state, file, request)
        except ReceiverError as error:
            state.effects.note(f"submission failed: {error}")
            scheduler().sleep(state.generator.uniform(10, 150))
        else:
            state.submitted.add(file.name)
            return
