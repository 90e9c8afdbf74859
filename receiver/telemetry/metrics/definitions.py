"""Every metric, defined once for the code that counts, reads and shows it. Pure.

A value is kept under a field, `<name>:<label>:<label>`; counters are the fields of a hash in Redis.
A histogram has a field for each bucket and one for the sum: `<name>:<label>:2.5`,
`<name>:<label>:sum`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import Literal, Self

from receiver.outputs.outcomes import OUTCOMES

BEYOND, SUM = "+Inf", "sum"
SLOT_S, TREND_S, DAY_S = 1800, 3 * 3600, 86400  # what charts are made of
PICODOLLARS = 10**12  # in a dollar; a token costs no less, so the sums of costs stay exact
MAX_PICODOLLARS = 10**18  # one batch costs less, and Redis adds up 64 bits
MAX_MODEL = 100  # characters
OTHER = "other"  # models that had no more room in their hash
COST, BATCHES, UNPRICED = "gbr_cost:", "gbr_batches:", "gbr_unpriced:"  # and a model


@dataclass(frozen=True)
class Metric:
    """One name. Labels have few values, all known to us: never a batch's name or a key."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()  # of the only label, where all are known; shown from 0 on
    buckets: tuple[float, ...] = ()

    def field(self, *labels: str) -> str:
        """Where a value is kept."""
        assert len(labels) == len(self.labels), f"{self.name} has {self.labels}"  # noqa: S101 - a bug
        return ":".join((self.name, *labels))

    def observed(self, seconds: float, *labels: str) -> dict[str, float]:
        """What one observation adds to the fields of a histogram."""
        place = bisect_left(self.buckets, seconds)
        bound = str(self.buckets[place]) if place < len(self.buckets) else BEYOND
        field = self.field(*labels)
        return {f"{field}:{bound}": 1, f"{field}:{SUM}": seconds}

    def from_zero(self) -> list[str]:
        """Fields that are shown though nothing has happened: a rate needs the step from 0 to 1."""
        if self.kind == "gauge" or len(self.labels) > (1 if self.values else 0):
            return []
        fields = [
            self.field(*labels) for labels in product(*([self.values] if self.labels else []))
        ]
        return fields if self.kind == "counter" else [f"{field}:{SUM}" for field in fields]


@dataclass(frozen=True)
class ModelCost:
    """What the batches of one model cost."""

    dollars: Decimal = Decimal(0)  # of those whose cost is known
    batches: int = 0  # all that were stored
    unpriced: int = 0  # of these: nobody knows what they cost

    def __add__(self, other: Self) -> "ModelCost":
        return ModelCost(
            self.dollars + other.dollars,
            self.batches + other.batches,
            self.unpriced + other.unpriced,
        )


def encode_cost(model: str | None, dollars: Decimal | None) -> str:
    """A batch's cost as the scripts count it; None where it is not known.

    >>> encode_cost("models/gemini-3.5-flash", Decimal("0.25"))
    'gemini-3.5-flash 250000000000'
    >>> encode_cost(None, None)
    'unknown unknown'
    """
    text = (model or "unknown").removeprefix("models/")[:MAX_MODEL]
    name = "".join(one if "!" <= one <= "~" else "_" for one in text) or "unknown"
    picodollars = None if dollars is None else round(dollars * PICODOLLARS)
    if picodollars is None or not 0 <= picodollars <= MAX_PICODOLLARS:
        return f"{name} unknown"
    return f"{name} {picodollars}"


@dataclass(frozen=True)
class Slot:
    """A piece of time, and what was counted in it."""

    began_s: int  # Unix time
    counts: Mapping[str, float]  # by field
    costs: Mapping[str, ModelCost] = field(default_factory=dict)  # by model
    length_s: int = SLOT_S

    def total(self, *fields: str) -> float:
        """The sum of these fields; a field that ends with `:` stands for all that begin with it."""
        prefixes = tuple(field for field in fields if field.endswith(":"))
        chosen = (
            count
            for name, count in self.counts.items()
            if name in fields or name.startswith(prefixes)
        )
        return sum(chosen)


REDIS_UP = Metric(
    "gbr_redis_up",
    "gauge",
    "1 when Redis answered this scrape, else 0: all but `gbr_build_info` is left out then",
)
REDIS_WRITABLE = Metric(
    "gbr_redis_writable",
    "gauge",
    "1 when Redis took a trial write at this scrape; 0 when it is full or a replica, say",
)
BUILD = Metric("gbr_build_info", "gauge", "1; the label names the version", ("version",))
ENTRIES = Metric(
    "gbr_inbox_entries",
    "gauge",
    "batches in the inbox: pending (open or leased), done in the last 8 days, buried in the last"
    " 30",
    ("state",),
)
DUE_ENTRIES = Metric("gbr_inbox_due_entries", "gauge", "pending batches that a worker should be at")
OLDEST_DUE = Metric(
    "gbr_inbox_oldest_due_age_seconds",
    "gauge",
    "how long the oldest pending batch has been due; 0 when none is",
)
QUEUED_JOBS = Metric("gbr_queue_jobs", "gauge", "jobs that wait in RQ's queue")
WORKERS = Metric(
    "gbr_workers",
    "gauge",
    "workers with a heartbeat in the last 90 seconds: idle or busy",
    ("state",),
)
RECONCILED = Metric(
    "gbr_reconcile_timestamp_seconds",
    "gauge",
    "when the last reconcile run of the project began",
    ("project",),
)
RECONCILED_COMPLETELY = Metric(
    "gbr_reconcile_complete_timestamp_seconds",
    "gauge",
    "when the last complete reconcile run of the project began",
    ("project",),
)
RUNNING = Metric(
    "gbr_running_batches",
    "gauge",
    "batches of the project that had not ended at Gemini at the last reconcile run; left out"
    " without a recent run",
    ("project",),
)
OLDEST_RUNNING = Metric(
    "gbr_running_oldest_age_seconds",
    "gauge",
    "how long ago the oldest of them was created, by Gemini's clock; 0 when none runs or none says"
    " when",
    ("project",),
)
WEBHOOK_FAULTS = Metric(
    "gbr_webhook_faults",
    "gauge",
    "what the web processes find wrong with the project's webhooks now, as `webhooks doctor` names"
    " it; left out where none of them could check",
    ("project",),
)
SUBMISSIONS = Metric(
    "gbr_submissions",
    "gauge",
    "submissions: pending (they have not ended), buried (a person has to look), done in the last 8"
    " days",
    ("state",),
)
OLDEST_DUE_SUBMISSION = Metric(
    "gbr_submissions_oldest_due_age_seconds",
    "gauge",
    "how long the oldest pending submission has been due for a worker; 0 when none is",
)
DELIVERIES = Metric(
    "gbr_deliveries_total",
    "counter",
    "deliveries by verdict: accepted, known, ignored, refused, malformed, or unavailable (answered"
    " 503). Unverified ones have the scheme that they claim",
    ("project", "scheme", "verdict"),
)
EVENTS = Metric(
    "gbr_events_total",
    "counter",
    "events of verified deliveries, repeated ones included",
    ("project", "type"),
)
ATTEMPTS = Metric(
    "gbr_attempts_total",
    "counter",
    "attempts at a batch by their end: stored, not_ready (Gemini was not, or its results were"
    " doubted), outage (Gemini or the storage was away), refused (Gemini knew no such thing),"
    " expired (its results are gone for good), kept (a batch that should be stored again stays as"
    " it was), postponed (a crash, or a fault of the batch), buried, handed_back (the worker was"
    " stopped), lease_lost (its worker stopped renewing it)",
    ("result",),
    values=(
        "stored",
        "not_ready",
        "outage",
        "refused",
        "expired",
        "kept",
        "postponed",
        "buried",
        "handed_back",
        "lease_lost",
    ),
)
BURIED_BATCHES = Metric("gbr_buried_batches_total", "counter", "batches that were buried")
NOTICES = Metric(
    "gbr_notices_total",
    "counter",
    "tries to send a notice by their end: delivered, failed (it is sent again), dead (no more"
    " tries)",
    ("type", "result"),
)
OUTBOX = Metric(
    "gbr_outbox_notices",
    "gauge",
    "notices to be sent: waiting for a try, or dead (in the last 30 days)",
    ("state",),
)
OLDEST_NOTICE = Metric(
    "gbr_outbox_oldest_due_age_seconds",
    "gauge",
    "how long the oldest notice has been due; 0 when none is",
)
MISSED = Metric(
    "gbr_missed_webhooks_total",
    "counter",
    "finished batches that a reconcile run found and whose webhook never arrived",
)
UNBALANCED = Metric(
    "gbr_unbalanced_batches_total",
    "counter",
    "stored batches whose source says more than was asked",
)
INCOMPLETE = Metric(
    "gbr_incomplete_batches_total",
    "counter",
    "stored batches in which not every request is answered, for any reason",
)
RESULTS = Metric(
    "gbr_results_total", "counter", "results of stored batches", ("outcome",), values=OUTCOMES
)
MISSING = Metric(
    "gbr_missing_results_total", "counter", "requests of stored batches that have no result"
)
DOWNLOADED = Metric(
    "gbr_downloaded_bytes_total",
    "counter",
    "bytes of results that workers read, failed attempts included",
)
STORED_BYTES = Metric("gbr_stored_bytes_total", "counter", "bytes of the outputs of stored batches")
STORED_OBJECTS = Metric("gbr_stored_objects_total", "counter", "outputs of stored batches")
STAGES = Metric(
    "gbr_stage_duration_seconds",
    "histogram",
    "time that a stage of an attempt took: ask (claim to first byte), split (download and split),"
    " store (the rest of the outputs and the records), whole (claim to manifest)",
    ("stage",),
    values=("ask", "split", "store", "whole"),
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)
METRICS = tuple(one for one in list(globals().values()) if isinstance(one, Metric))


def zeros(metrics: Iterable[Metric] = METRICS) -> dict[str, float]:
    """The fields that are shown from the start."""
    return {field: 0.0 for metric in metrics for field in metric.from_zero()}
