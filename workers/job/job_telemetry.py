"""What one attempt reports: counters of its stages, its progress, and a log line of its end."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Self

import redis

from receiver.errors import InboxUnavailableError
from receiver.gemini.operations import Batch
from receiver.inbox.entry_fields import JobProgress, Stage
from receiver.inbox.ledger import Inbox
from receiver.outputs.judgement import judge_manifest
from receiver.outputs.manifest import Manifest
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import Counters
from workers.download.download import ResultSource
from workers.job.lease import clock_s
from workers.results.result_counts import ResultCounts

log = logging.getLogger(__name__)

NEXT: Mapping[Stage, Stage] = {"ask": "split", "split": "store", "store": "store"}


class JobTelemetry:
    """A context manager that writes its counts once, at its end, whatever became of the attempt."""

    def __init__(self, client: "redis.Redis", started_s: float) -> None:
        """`started_s` is what `clock_s` said before the claim."""
        self._counters = Counters(client)
        self._started_s = self._stage_started_s = started_s
        self._read_bytes = 0
        self._stage: Stage = "ask"
        self._batch: Batch | None = None
        self._source: ResultSource | None = None
        self._counts: ResultCounts | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._read_bytes:
            self._counters.add(definitions.DOWNLOADED, amount=self._read_bytes)
        self._counters.flush()

    def follow(self, batch: Batch, source: ResultSource, counts: ResultCounts) -> None:
        """Set what `progress` reports from now on."""
        self._batch, self._source, self._counts = batch, source, counts

    def progress(self) -> JobProgress:
        """How far the attempt is; from any thread."""
        return JobProgress(
            stage=self._stage,
            bytes=self._read_bytes,
            total_bytes=self._source.total_bytes if self._source else None,
            lines=self._counts.lines if self._counts else 0,
            requests=self._batch.requests if self._batch else None,
            display_name=self._batch.display_name if self._batch else None,
        )

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, counted; the first one ends the stage `ask`."""
        for chunk in chunks:
            if not self._read_bytes:
                self.end_stage("ask")
            self._read_bytes += len(chunk)
            yield chunk

    def end_stage(self, stage: Stage) -> None:
        now_s = clock_s()
        self._counters.observe(definitions.STAGES, now_s - self._stage_started_s, stage)
        self._stage_started_s, self._stage = now_s, NEXT[stage]

    def end_whole(self, manifest: Manifest) -> None:
        """The batch is stored: this attempt wrote its manifest."""
        counters = self._counters
        counters.observe(definitions.STAGES, clock_s() - self._started_s, "whole")
        if not judge_manifest(manifest).is_well:
            counters.add(definitions.INCOMPLETE)
        for outcome, count in manifest.outcomes.items():
            counters.add(definitions.RESULTS, outcome, amount=count)
        counters.add(definitions.MISSING, amount=manifest.missing or 0)
        counters.add(definitions.STORED_OBJECTS, amount=manifest.objects.count)
        counters.add(definitions.STORED_BYTES, amount=manifest.objects.bytes)


def announce(inbox: Inbox, manifest: Manifest) -> None:
    """Log that the batch is stored, and what is wrong with it.

    It is an error when a batch that succeeded lacks results or has no answer, and when the results
    don't balance with the requests.
    """
    unbalanced, judgement = manifest.balanced is False, judge_manifest(manifest)
    lacks_results = bool(manifest.missing) or not judgement.answered
    is_error = unbalanced or (manifest.state == "SUCCEEDED" and lacks_results)
    bad_level = logging.ERROR if is_error else logging.WARNING
    level = logging.INFO if judgement.is_well else bad_level
    about: dict[str, object] = {
        "state": manifest.state,
        "judgement": judgement.text,
        "requests": manifest.requests,
        "balanced": manifest.balanced,
        "missing": manifest.missing,
    }
    log.log(level, "batch.stored", extra=about | manifest.outcomes)

    if unbalanced:
        try:
            inbox.increment("unbalanced_batches")
        except (
            InboxUnavailableError
        ) as error:  # the manifest says it for good; the counter is a convenience
            log.warning("batch.not_counted", extra={"cause": str(error)})
