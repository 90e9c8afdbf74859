"""Watches batches until they are done: at Gemini, and then in the storage.

Gemini is asked only for what has not ended, the storage only for what has.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from receiver.batch_names import BatchName
from receiver.errors import (
    InboxUnavailableError,
    ManifestError,
    NotFoundError,
    UnreadableBatchError,
)
from receiver.gemini.operations import Batch
from receiver.gemini.paging import PAGE_SIZE
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Inbox
from receiver.outputs.judgement import judge_manifest
from receiver.outputs.manifest import read_manifest
from receiver.outputs.paths import manifest_name
from receiver.recovery.replay import find_stored
from receiver.storage import Storage

UNKNOWN = "UNKNOWN"  # nobody was asked yet
Until = Literal["stored", "ended"]
GONE_AFTER = 3  # answers in a row that there is no such batch: one may be a passing fault
FEW = 3  # batches of a project that are asked for one by one; for more a page of the list is read


@dataclass(frozen=True)
class BatchStatus:
    """One batch as it was seen last."""

    batch: str  # its name in the inbox
    state: str = UNKNOWN  # as Gemini says
    display_name: str | None = None
    created: str | None = None
    requests: int | None = None
    succeeded: int = 0
    failed: int = 0
    has_ended: bool = False
    stored: bool = False
    is_done: bool = False  # nothing more is waited for
    wrong: tuple[str, ...] = ()  # why it did not end well; only of one that is done
    judgement: str | None = None  # of a stored one, in words
    advice: str | None = None  # what to do about one that is stored and not well
    is_queued: bool | None = None  # the inbox has it; None where that was not asked or not answered
    cause: str | None = None  # why it waits in the inbox
    next_run_ms: int | None = None  # due time of the reconcile run that will find it; Unix time
    unseen: int = 0  # how often in a row Gemini said that there is no such batch


@dataclass
class BatchWatch:
    """The batches that are watched. `poll` makes a round. Raises GeminiError and StorageError."""

    statuses: dict[str, BatchStatus]
    projects: Mapping[str, ProjectClient]
    storage: Storage
    inbox: Inbox
    until: Until = "stored"
    # When the next reconcile run of a project is due. Raises InboxUnavailableError.
    find_next_run: Callable[[str], int | None] = lambda _: None
    # What the last whole round found.
    previous: dict[str, BatchStatus] = field(default_factory=dict, init=False)

    def poll(self) -> list[BatchStatus]:
        """Ask about what is not done. Gives what has changed since the last round."""
        if self.until == "stored":  # of what is stored, Gemini may know nothing any more
            self._check_storage([status for status in self.open if status.state == UNKNOWN])
        self._ask_gemini([status for status in self.open if not status.has_ended])

        ended = [status for status in self.open if status.has_ended]
        if self.until == "ended":
            self._update(replace(one, is_done=True, wrong=_find_wrong(one)) for one in ended)
        else:
            self._check_storage(ended)
            self._check_inbox([one for one in ended if not self.statuses[one.batch].is_done])

        changed = [one for name, one in self.statuses.items() if one != self.previous.get(name)]
        self.previous = dict(self.statuses)
        return changed

    @property
    def open(self) -> list[BatchStatus]:
        """What is not done."""
        return [status for status in self.statuses.values() if not status.is_done]

    def _update(self, statuses: Iterable[BatchStatus]) -> None:
        self.statuses |= {status.batch: status for status in statuses}

    def _ask_gemini(self, statuses: Sequence[BatchStatus]) -> None:
        for project, batches in self.projects.items():
            own = [one for one in statuses if BatchName.read(one.batch).project == project]
            self._update(_ask_project(batches, own))

    def _check_storage(self, statuses: Sequence[BatchStatus]) -> None:
        stored = find_stored(self.storage, [status.batch for status in statuses])
        self._update(self._judge(status) for status in statuses if status.batch in stored)

    def _judge(self, status: BatchStatus) -> BatchStatus:
        """The status of a stored batch, by its manifest."""
        stored = replace(status, stored=True, is_done=True, has_ended=True)
        try:
            manifest = read_manifest(self.storage.read(manifest_name(status.batch)) or b"")
        except ManifestError as error:
            return replace(stored, wrong=(f"its manifest can't be read: {error}",))

        judgement = judge_manifest(manifest)
        return replace(
            stored,
            state=manifest.state,
            display_name=manifest.display_name,
            created=manifest.created,
            requests=manifest.requests,
            succeeded=judgement.answered,
            failed=judgement.unanswered,
            wrong=judgement.problems,
            judgement=judgement.text,
            advice=judgement.advice,
        )

    def _check_inbox(self, statuses: Sequence[BatchStatus]) -> None:
        """Why they are not stored yet. A buried or expired one will not be, so nobody waits for it.

        Nothing is known of that while Redis is away.
        """
        try:
            entries = self.inbox.entries(status.batch for status in statuses)
            self._update([self._explain(one, entries.get(one.batch)) for one in statuses])
        except InboxUnavailableError:
            return

    def _explain(self, status: BatchStatus, entry: Entry | None) -> BatchStatus:
        if entry is None:
            due_ms = self.find_next_run(BatchName.read(status.batch).project)
            return replace(status, is_queued=False, next_run_ms=due_ms)
        if why := _why_never_stored(entry):
            return replace(status, is_done=True, wrong=(why,))
        return replace(status, is_queued=True, cause=entry.cause or None, next_run_ms=None)


def _why_never_stored(entry: Entry) -> str | None:
    if entry.state == "buried":
        hint = f"`gemini-batch-receiver inbox retry {entry.batch}` tries again"
        return f"it is buried: {entry.cause}; {hint}"
    if entry.summary.expired:
        return f"it is not stored: {entry.summary.expired}"
    return None


def _ask_project(batches: ProjectClient, statuses: Sequence[BatchStatus]) -> Iterator[BatchStatus]:
    wanted = {status.batch for status in statuses}
    listed = islice(batches.list(), PAGE_SIZE) if len(wanted) > FEW else ()
    found = {
        one.name: _seen(one) for one in listed if isinstance(one, Batch) and one.name in wanted
    }
    for status in statuses:
        yield found.get(status.batch) or _ask(batches, status)


def _ask(batches: ProjectClient, status: BatchStatus) -> BatchStatus:
    try:
        return _seen(batches.get(status.batch))
    except UnreadableBatchError as error:
        return replace(status, state="UNREADABLE", is_done=True, wrong=(str(error),))
    except NotFoundError as error:
        unseen = status.unseen + 1
        if unseen < GONE_AFTER:
            return replace(status, unseen=unseen)
        return replace(status, state="GONE", is_done=True, wrong=(str(error),))


def _seen(batch: Batch) -> BatchStatus:
    return BatchStatus(
        batch=batch.name,
        state=batch.state,
        display_name=batch.display_name,
        created=batch.created,
        requests=batch.requests,
        succeeded=batch.stats.succeeded,
        failed=batch.stats.failed,
        has_ended=batch.is_terminal,
    )


def _find_wrong(status: BatchStatus) -> tuple[str, ...]:
    """Why a batch did not end well at Gemini, by Gemini's own counts, where it gives any."""
    if status.state != "SUCCEEDED":
        return (f"the batch did not succeed: Gemini says {status.state}",)
    if status.failed or (status.requests is not None and status.succeeded < status.requests):
        asked = "an unknown number of" if status.requests is None else status.requests
        counts = f"{status.succeeded} of {asked} requests succeeded, and {status.failed} failed"
        return (f"Gemini says that {counts}",)
    return ()
