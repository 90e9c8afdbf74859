"""Watches batches until they are done: at Gemini, and then in the storage.

Gemini is asked only for what has not ended, the storage only for what has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from receiver.gemini.batches import PAGE_SIZE
from receiver.gemini.operations import Batch
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.ledger import Inbox
from receiver.outputs.judgement import judge_manifest
from receiver.outputs.manifest import read_manifest
from receiver.outputs.paths import manifest_name
from receiver.recovery.replay import find_stored
from receiver.storage import Storage

UNKNOWN = "UNKNOWN"  # nobody was asked yet
Until = Literal["stored", "ended"]
GONE_AFTER = 3  # answers in a row that there is no such batch: one may be a passing fault
FEW = (
    3  # batches of a project that are asked for one by one; for more a page of the list comes first
)


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
    unseen: int = 0  # how often in a row Gemini said that there is no such batch


@dataclass
class BatchWatch:
    """The batches that are watched. `look` makes a round; it raises GeminiError and StorageError."""

    sights: dict[str, BatchStatus]
    projects: Mapping[str, ProjectClient]
    storage: Storage
    inbox: Inbox
    until: Until = "stored"
    told: dict[str, BatchStatus] = field(
        default_factory=dict, init=False
    )  # what the last whole round gave

    def look(self) -> list[BatchStatus]:
        """Look at what is not done. Gives what has changed since the last round; in the first one everything."""
        if self.until == "stored":  # of what is stored, Gemini may know nothing any more
            self._look_into_storage([sight for sight in self.open if sight.state == UNKNOWN])
        self._ask_gemini([sight for sight in self.open if not sight.has_ended])
        ended = [sight for sight in self.open if sight.has_ended]
        if self.until == "ended":
            self._note(replace(one, is_done=True, wrong=_find_wrong(one)) for one in ended)
        else:
            self._look_into_storage(ended)
            self._look_into_inbox(
                [sight for sight in ended if not self.sights[sight.batch].is_done]
            )
        changed = [sight for name, sight in self.sights.items() if sight != self.told.get(name)]
        self.told = dict(self.sights)
        return changed

    @property
    def open(self) -> list[BatchStatus]:
        """What is not done."""
        return [sight for sight in self.sights.values() if not sight.is_done]

    def _note(self, sights: Iterable[BatchStatus]) -> None:
        self.sights |= {sight.batch: sight for sight in sights}

    def _ask_gemini(self, sights: Sequence[BatchStatus]) -> None:
        for project, batches in self.projects.items():
            own = [sight for sight in sights if BatchName.read(sight.batch).project == project]
            self._note(_ask_project(batches, own))

    def _look_into_storage(self, sights: Sequence[BatchStatus]) -> None:
        stored = find_stored(self.storage, [sight.batch for sight in sights])
        self._note(self._read(sight) for sight in sights if sight.batch in stored)

    def _read(self, sight: BatchStatus) -> BatchStatus:
        """A stored batch, judged by its manifest."""
        stored = replace(sight, stored=True, is_done=True, has_ended=True)
        data = self.storage.read(manifest_name(sight.batch))
        try:
            manifest = read_manifest(data or b"")
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

    def _look_into_inbox(self, sights: Sequence[BatchStatus]) -> None:
        """A buried or expired batch will not be stored, so nobody waits for it. Redis may be away."""
        try:
            entries = self.inbox.entries(sight.batch for sight in sights)
        except InboxUnavailableError:
            return
        for sight in sights:
            entry = entries.get(sight.batch)
            if entry is not None and entry.summary.expired:
                self._note(
                    [
                        replace(
                            sight,
                            is_done=True,
                            wrong=(f"it is not stored: {entry.summary.expired}",),
                        )
                    ]
                )
            if entry is not None and entry.state == "buried":
                hint = f"`gemini-batch-receiver events retry {sight.batch}` tries again"
                self._note(
                    [replace(sight, is_done=True, wrong=(f"it is buried: {entry.cause}; {hint}",))]
                )


def _ask_project(batches: ProjectClient, sights: Sequence[BatchStatus]) -> Iterator[BatchStatus]:
    wanted = {sight.batch for sight in sights}
    listed = islice(batches.list(), PAGE_SIZE) if len(wanted) > FEW else ()
    found = {
        one.name: _seen(one) for one in listed if isinstance(one, Batch) and one.name in wanted
    }
    for sight in sights:
        yield found.get(sight.batch) or _ask(batches, sight)


def _ask(batches: ProjectClient, sight: BatchStatus) -> BatchStatus:
    try:
        return _seen(batches.get(sight.batch))
    except UnreadableBatchError as error:
        return replace(sight, state="UNREADABLE", is_done=True, wrong=(str(error),))
    except NotFoundError as error:
        unseen = sight.unseen + 1
        if unseen < GONE_AFTER:
            return replace(sight, unseen=unseen)
        return replace(sight, state="GONE", is_done=True, wrong=(str(error),))


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


def _find_wrong(sight: BatchStatus) -> tuple[str, ...]:
    """Why a batch did not end well at Gemini, by Gemini's own counts, where it gives any."""
    if sight.state != "SUCCEEDED":
        return (f"the batch did not succeed: Gemini says {sight.state}",)
    if sight.failed or (sight.requests is not None and sight.succeeded < sight.requests):
        asked = "an unknown number of" if sight.requests is None else sight.requests
        return (
            f"Gemini says that {sight.succeeded} of {asked} requests succeeded, and {sight.failed} failed",
        )
    return ()
