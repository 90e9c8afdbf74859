"""What programs are told of submissions: the JSON of the commands, and of the HTTP API."""

import msgspec

from receiver.settings.locations import describe_storage
from receiver.settings.settings import Settings
from receiver.submissions.policy import Command, Policy
from receiver.submissions.proof import RowsProof
from receiver.submissions.records import answers_name
from receiver.submissions.submission import Estimate, Part
from receiver.submissions.view import SubmissionView


class TrialRun(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent; nothing was."""

    requests: int
    parts: tuple[Part, ...]
    estimate: Estimate | None
    policy: Policy


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of requests that were handed in."""

    submission: str  # its name in the inbox
    id: str
    display_name: str
    known: bool  # the same requests were handed in before
    ended: bool
    command: Command  # what a person said of it last
    requests: int
    parts: tuple[Part, ...]
    estimate: Estimate | None  # before it is sent
    policy: Policy
    answers: str  # where the outcome of each request lies once it has ended


class LocatedView(SubmissionView, frozen=True, kw_only=True):
    """A submission, with where its answers lie."""

    answers: str


class DetailedView(LocatedView, frozen=True, kw_only=True):
    """The same, with the table that it was made of."""

    rows: RowsProof | None


def locate_rows(settings: Settings, submission_id: str) -> str:
    """Where the file with the final outcome of every request lies once the submission has ended."""
    return describe_storage(settings.storage_url, answers_name(submission_id))


def locate(view: SubmissionView, settings: Settings) -> LocatedView:
    return LocatedView(**msgspec.structs.asdict(view), answers=locate_rows(settings, view.id))


def detail(view: SubmissionView, settings: Settings, rows: RowsProof | None) -> DetailedView:
    return DetailedView(**msgspec.structs.asdict(locate(view, settings)), rows=rows)
