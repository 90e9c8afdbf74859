"""What the web process received of a probe's deliveries, read from the inbox."""

import time
from collections.abc import Mapping

import redis

from receiver.batch_names import BatchName
from receiver.inbox.delivery_log import MAX_LOGGED, Delivery, fetch_deliveries
from receiver.inbox.delivery_shapes import LOOK_EVERY_S, DeliveryShape, fetch_shapes
from receiver.inbox.ledger import Inbox
from receiver.inbox.live_workers import find_workers
from receiver.inbox.redis import now_ms
from receiver.probe.gemini_steps import Job
from receiver.probe.report import DeliverySeen, Report

POLL_S = 0.25
SHAPES_WITHIN_S = 3.0  # the web process writes them once a second
EVENTS = ("batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired", "ping")


class DeliveryWatch:
    """Deliveries from its creation on. Every method raises InboxUnavailableError."""

    def __init__(self, client: "redis.Redis", project: str, elapsed_s: float) -> None:
        """`elapsed_s` is since the probe began."""
        self._client, self._project = client, project
        self._zero_ms = now_ms(client) - int(elapsed_s * 1000)
        self._began_ms = now_ms(client)

    def wait(self, expected: set[str], jobs: Mapping[str, Job], patience_s: float) -> set[str]:
        """Wait for a delivery of each of these batches ("" for the ping). Gives what came."""
        deadline = time.monotonic() + patience_s
        while not (expected <= (came := self._labels(jobs))) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return came

    def report_to(self, report: Report, jobs: Mapping[str, Job]) -> None:
        """Add what was seen: by batch, then by time."""
        deliveries = sorted(self._ours(jobs), key=lambda pair: (pair[0], pair[1].time_ms))
        kinds = {(one.scheme, one.event) for _, one in deliveries}
        shapes = self._wait_for_shapes(kinds)
        for label, one in deliveries:
            seen = self._describe(label, one, jobs.get(label))
            if shape := shapes.get((one.scheme, one.event)):
                seen.headers, seen.body, seen.kid = dict(shape.headers), shape.body, shape.kid
            report.deliveries.append(seen)
        recent = [one for one in self._recent() if one.verdict in ("refused", "malformed")]
        report.refused_deliveries = len(recent)
        self._add_sources(jobs)

    def await_worker(self, jobs: Mapping[str, Job], patience_s: float) -> None:
        """Wait until the worker, if there is one, is done with the batches."""
        names = [self._name(job) for job in jobs.values()]
        inbox, deadline = Inbox(self._client), time.monotonic() + patience_s
        while find_workers(self._client, now_ms(self._client)) and time.monotonic() < deadline:
            states = {entry.state for entry in inbox.entries(names).values()}
            if not states & {"open", "leased"}:
                return
            time.sleep(POLL_S)

    def forget(self, jobs: Mapping[str, Job]) -> None:
        """Take the batches out of the inbox. What a worker has stored stays."""
        Inbox(self._client).purge([self._name(job) for job in jobs.values()])

    def _add_sources(self, jobs: Mapping[str, Job]) -> None:
        entries = Inbox(self._client).entries([self._name(job) for job in jobs.values()])
        for job in jobs.values():
            if entry := entries.get(self._name(job)):
                job.seen.source = entry.source

    def _describe(self, label: str, one: Delivery, job: Job | None) -> DeliverySeen:
        at_s = round((one.time_ms - self._zero_ms) / 1000, 3)
        after_end_s = None
        if job is not None and job.seen.ran_s is not None:
            after_end_s = round(max(0.0, at_s - job.created_at_s - job.seen.ran_s), 3)
        return DeliverySeen(
            batch=label,
            event=one.event,
            verdict=one.verdict,
            scheme=one.scheme,
            at_s=at_s,
            after_end_s=after_end_s,
        )

    def _labels(self, jobs: Mapping[str, Job]) -> set[str]:
        return {label for label, _ in self._ours(jobs)}

    def _ours(self, jobs: Mapping[str, Job]) -> list[tuple[str, Delivery]]:
        """Deliveries about the probe's batches, and pings."""
        labels = {self._name(job): label for label, job in jobs.items()}
        return [
            (labels.get(one.batch, ""), one)
            for one in self._recent()
            if one.event in EVENTS and (one.batch in labels or one.event == "ping")
        ]

    def _recent(self) -> list[Delivery]:
        found = fetch_deliveries(self._client, MAX_LOGGED, self._project)
        return [one for one in found if one.time_ms >= self._began_ms]

    def _wait_for_shapes(self, kinds: set[tuple[str, str]]) -> dict[tuple[str, str], DeliveryShape]:
        deadline = time.monotonic() + SHAPES_WITHIN_S
        oldest_ms = self._began_ms - int(LOOK_EVERY_S * 1000)
        while True:
            found = {
                (one.scheme, one.event): one
                for one in fetch_shapes(self._client, self._project)
                if one.time_ms >= oldest_ms
            }
            if kinds <= found.keys() or time.monotonic() > deadline:
                return found
            time.sleep(POLL_S)

    def _name(self, job: Job) -> str:
        return str(BatchName.read(job.name, self._project))
