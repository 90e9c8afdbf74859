"""Which batches have not ended at Gemini: each reconcile run records them, and what is overdue."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import redis

from receiver.batch_names import BatchName, SubmissionName
from receiver.gemini.operations import Batch, Unread
from receiver.inbox.redis import DONE, ENTRY, RUNNING, Scripts, project_key, translate_redis_errors
from receiver.notices.overdue import (
    MAX_TEXT,
    RunningBatch,
    describe_overdue,
    find_threshold_h,
    is_overdue,
    sort_by_age,
)
from receiver.notices.payloads import encode_data
from receiver.tolerant_json import tolerant_reader

MAX_NOTED = 100  # the oldest ones; Gemini runs no more than so many of a project at once
# How long a record is kept: nobody knows what still runs after so many intervals without a run.
KEEP_INTERVALS, KEEP_LEAST_S = 3, 2 * 3600
NOTIFIED_TTL_S = 30 * 86400


class RunningNote(msgspec.Struct, frozen=True):
    """What one reconcile run saw of one project."""

    seen_ms: int  # Unix time by Redis' clock
    count: int
    batches: list[RunningBatch]  # the oldest first, MAX_NOTED at most


class RunningRow(msgspec.Struct, frozen=True):
    """One of them now."""

    batch: str
    state: str
    age_s: int | None  # by Gemini's createTime; None where that is unknown
    is_overdue: bool
    display_name: str | None
    model: str | None = None
    requests: int | None = None
    done: int | None = None  # of these; None where Gemini does not say
    failed: int = 0  # of these
    submission: str | None = None  # that sent it, by its name in the inbox
    inbox: str | None = None  # its state there, where its end was told since: open, leased, buried


class RunningNow(msgspec.Struct, frozen=True):
    """Those of one project, as of its last reconcile run."""

    project: str
    seen_s: int  # seconds ago
    count: int
    overdue: int
    batches: list[RunningRow]  # the oldest first

    @property
    def oldest_s(self) -> int | None:
        """None where none runs, or none says since when."""
        return self.batches[0].age_s if self.batches else None


_decode = tolerant_reader(RunningNote)


class RunningWatch:
    """Gathers in one reconcile run what has not ended, as it was listed or asked for last."""

    def __init__(self) -> None:
        self._found: dict[str, RunningBatch] = {}

    def watch(self, listed: Iterable[Batch | Unread]) -> Iterator[Batch | Unread]:
        for batch in listed:
            yield self.see(batch) if isinstance(batch, Batch) else batch

    def see(self, batch: Batch) -> Batch:
        if batch.is_terminal:
            self._found.pop(batch.name, None)
        else:
            self._found[batch.name] = describe_running(batch)
        return batch

    def note(
        self,
        client: "redis.Redis",
        project: str,
        now_ms: int,
        interval_s: float,
        targets: Sequence[str] = (),
    ) -> None:
        """Record it, and enqueue a notice of what is overdue for each target (a digest).

        Raises InboxUnavailableError.
        """
        batches = sort_by_age(self._found.values(), now_ms)
        kept = RunningNote(now_ms, len(batches), batches[:MAX_NOTED])
        ttl_s = int(max(KEEP_INTERVALS * interval_s, KEEP_LEAST_S))
        with translate_redis_errors("take what runs at Gemini"):
            client.set(project_key(RUNNING, project), msgspec.json.encode(kept), ex=ttl_s)

        ages = [(batch, find_threshold_h(batch.age_ms(now_ms))) for batch in kept.batches]
        tell_overdue(client, targets, [(batch, hours) for batch, hours in ages if hours])


def describe_running(batch: Batch) -> RunningBatch:
    """What is kept of a batch that has not ended; its name is taken as it is."""
    project = BatchName.read(batch.name).project
    submission = SubmissionName.of_batch(BatchName(project, ""), batch.tag)
    return RunningBatch(
        batch=batch.name,
        state=batch.state,
        created=batch.created,
        display_name=_cut(batch.display_name),
        model=_cut(batch.model),
        requests=batch.requests,
        succeeded=batch.stats.succeeded,
        failed=batch.stats.failed,
        pending=batch.stats.pending,
        submission=None if submission is None else str(submission),
    )


def tell_overdue(
    client: "redis.Redis", targets: Sequence[str], batches: Sequence[tuple[RunningBatch, int]]
) -> None:
    """Enqueue a notice for each target that a batch has been running for so many hours.

    However often it is asked: one notice per target, batch and hours. Raises
    InboxUnavailableError.
    """
    args: list[str | int] = []
    for batch, hours in batches:
        args += [batch.batch, hours, encode_data(describe_overdue(batch, hours))]
    if args and targets:
        name = "enqueue_overdue_notices"
        Scripts(client, (name,), targets=targets).run(name, NOTIFIED_TTL_S, *args)


def _cut(text: str | None) -> str | None:
    """As UTF-8 and Redis take it."""
    return None if text is None else text[:MAX_TEXT].encode(errors="replace").decode()


@translate_redis_errors()
def read_running(client: "redis.Redis", projects: Sequence[str], now_ms: int) -> list[RunningNow]:
    """What runs of each project that was reconciled lately, without what is stored by now.

    Raises InboxUnavailableError.
    """
    pipeline = client.pipeline(transaction=False)
    for project in projects:
        pipeline.get(project_key(RUNNING, project))
    rows = pipeline.execute(raise_on_error=False)
    notes = [(project, _read_note(row)) for project, row in zip(projects, rows, strict=True)]
    return [_read_now(client, project, note, now_ms) for project, note in notes if note is not None]


def _read_note(data: object) -> RunningNote | None:
    """Undo its encoding; None for what is none, whoever wrote it."""
    try:
        return _decode(data) if isinstance(data, bytes) else None
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None


def _read_now(client: "redis.Redis", project: str, note: RunningNote, now_ms: int) -> RunningNow:
    stored, states = _ask_inbox(client, [batch.batch for batch in note.batches])
    left = [batch for batch in note.batches if batch.batch not in stored]
    rows = [_make_row(one, now_ms, states.get(one.batch)) for one in left]
    return RunningNow(
        project=project,
        seen_s=max(0, now_ms - note.seen_ms) // 1000,
        count=max(len(left), note.count - len(stored)),
        overdue=sum(row.is_overdue for row in rows),
        batches=rows,
    )


def _ask_inbox(client: "redis.Redis", names: Sequence[str]) -> tuple[set[str], dict[str, str]]:
    """Which of these batches are stored, and the state of the others that the inbox knows."""
    if not names:
        return set(), {}
    pipeline = client.pipeline(transaction=False)
    pipeline.zmscore(DONE, list(names))
    for name in names:
        pipeline.hget(ENTRY + name, "state")
    scores, *found = pipeline.execute(raise_on_error=False)
    ended = scores if isinstance(scores, list) else [None] * len(names)
    stored = {name for name, score in zip(names, ended, strict=True) if score is not None}
    texts = ((name, state) for name, state in zip(names, found, strict=True) if name not in stored)
    return stored, {
        name: state.decode(errors="replace") for name, state in texts if isinstance(state, bytes)
    }


def _make_row(one: RunningBatch, now_ms: int, inbox: str | None) -> RunningRow:
    age_ms = one.age_ms(now_ms)
    return RunningRow(
        one.batch,
        one.state,
        None if age_ms is None else age_ms // 1000,
        is_overdue(age_ms),
        one.display_name,
        model=one.model,
        requests=one.requests,
        done=one.done,
        failed=one.failed,
        submission=one.submission,
        inbox=inbox,
    )


def find_overdue(running: Sequence[RunningNow]) -> list[str]:
    """In words for a person, one for each project."""
    return [_describe_overdue_of(one) for one in running if one.overdue]


def _describe_overdue_of(running: RunningNow) -> str:
    oldest = running.batches[0]
    of_project = f" of project {running.project}" if running.project else ""
    which = f"{oldest.batch}, {oldest.state} for {(oldest.age_s or 0) // 3600} hours"
    limit = "at Gemini within 24 hours"
    if running.overdue == 1:
        problem = f"1 batch{of_project} has not ended {limit} ({which})"
    else:
        count = f"{running.overdue:,} batches{of_project}"
        problem = f"{count} have not ended {limit} (the oldest is {which})"
    show = f"`gemini-batch-receiver batches show {oldest.batch}`"
    return (
        f"{problem}: {show} shows how far it is, `batches cancel` and `batches submit` start over"
    )
