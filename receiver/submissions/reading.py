"""Reads where submissions stand, for the commands that show it."""

import time

import msgspec
import redis

from receiver.batch_names import SubmissionName
from receiver.errors import GeminiError
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.entries import State
from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import SUBMISSIONS
from receiver.storage import Storage
from receiver.submissions.loading import StateLoader
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.state import Room
from receiver.submissions.submission import Submission
from receiver.submissions.view import PartView, SubmissionView, view_submission

MAX_ASKED = 100  # batches that Gemini is asked about at a time


class SubmissionReader:
    """Reads submissions again and again. Every call raises StorageError, SubmissionError,
    ManifestError or InboxUnavailableError.
    """

    def __init__(self, storage: Storage, client: "redis.Redis") -> None:
        self._storage, self._batches = storage, Inbox(client)
        self._ledger = Inbox(client, ledger=SUBMISSIONS)
        self._loaders = dict[str, StateLoader]()

    def read(self, submission: Submission) -> SubmissionView:
        """Where it stands now."""
        name = str(SubmissionName(submission.spec.project, submission.id))
        if submission.id not in self._loaders:
            loader = StateLoader(self._storage, self._batches, submission.id)
            self._loaders[submission.id] = loader
        # The manifest is read after the state, so that a finished one has it.
        entry = self._ledger.entries([name]).get(name)
        state = self._loaders[submission.id].load(Room(), time.time())
        manifest = SubmissionRecords(self._storage, submission.id).read_manifest()
        return view_submission(state, entry, manifest if state.is_finished else None)


def find_pending(client: "redis.Redis", storage: Storage, project: str | None) -> list[Submission]:
    """The submissions that the inbox says are under way, those that are due first.

    Raises InboxUnavailableError, StorageError and SubmissionError.
    """
    queries = InboxQueries(client, SUBMISSIONS)
    states: tuple[State, ...] = ("leased", "open", "buried")
    names = (name for state in states for name in queries.names(state, project))
    ids = dict.fromkeys(name.rpartition("/")[2] for name in names)
    plans = (SubmissionRecords(storage, one).read_plan() for one in ids)
    return [plan for plan in plans if plan is not None]


def ask_gemini(view: SubmissionView, batches: ProjectClient) -> SubmissionView:
    """The view with what Gemini says of its batches, as far as it does."""
    asked = [one for one in view.parts if one.state == "at Gemini"][:MAX_ASKED]
    said = {one.number: _ask(one, batches) for one in asked}
    parts = [said.get(one.number, one) for one in view.parts]
    return msgspec.structs.replace(view, parts=parts)


def _ask(part: PartView, batches: ProjectClient) -> PartView:
    try:
        batch = batches.get(part.batch or "")
    except GeminiError:
        return part
    done = batch.stats.succeeded + batch.stats.failed
    return msgspec.structs.replace(part, gemini=batch.state, done=done)
