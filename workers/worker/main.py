"""A worker process: our RQ worker, and what runs beside it."""

import logging
import time
from collections.abc import Sequence

from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Inbox
from receiver.inbox.ledgers import open_ledgers
from receiver.inbox.redis import connect
from receiver.inbox.redis_health import check_at_start
from receiver.inbox.redispatch import Sweeper, sweep
from receiver.outputs.forms import warn_of_missing_parquet
from receiver.settings.settings import Settings
from receiver.storage import open_storage
from workers.job.context import clear_old_scratch
from workers.worker.background import send_due_notices, start_notices, start_reconcile_runs
from workers.worker.child_process import prepare_forks
from workers.worker.rq_worker import RECONNECT_S, BatchWorker

log = logging.getLogger(__name__)


def _burst(worker: BatchWorker, ledgers: Sequence[Inbox], job_queue: JobQueue) -> None:
    """Work until nothing is due; postponed batches stay for the next run."""
    while _has_due(ledgers) and not worker.stop_sequence.is_requested:
        sweep(ledgers, job_queue)
        worker.run(burst=True)
        if _has_due(ledgers) and not worker.stop_sequence.is_requested:
            time.sleep(RECONNECT_S)


def _has_due(ledgers: Sequence[Inbox]) -> bool:
    return any(ledger.has_due() for ledger in ledgers)


def run_worker(settings: Settings, *, burst: bool = False) -> None:
    """Work until SIGTERM, or in a burst until nothing is due.

    Raises ReceiverError at the start, when Redis or the storage can't be used.
    """
    with connect(settings.redis_url) as client:
        ledgers, job_queue = open_ledgers(client), JobQueue(client)
        check_at_start(client)
        storage = open_storage(settings.storage_url)  # one that can't be used stops the start
        template = settings.template
        log.info("worker.started", extra={"template": template.text, "example": template.example()})
        if (warning := warn_of_missing_parquet(settings.forms)) is not None:
            log.warning("worker.parquet_missing", extra={"cause": warning})
        clear_old_scratch(settings, storage)
        worker = BatchWorker(settings.redis_url, settings.patience.base_s, settings.notices.digests)
        prepare_forks()
        if burst:
            _burst(worker, ledgers, job_queue)
            send_due_notices(settings)
        else:
            Sweeper(ledgers, job_queue).start()
            start_reconcile_runs(settings, client)
            start_notices(settings, client)
            worker.run()
        log.info("worker.stopped")
