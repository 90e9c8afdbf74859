"""Which submissions a person means: by id, the beginning of one, display name or file."""

import os
from collections.abc import Iterable, Iterator

import click
from click.shell_completion import CompletionItem

from receiver.batch_names import SUBMISSION_ID, SubmissionName
from receiver.cli.output import printable
from receiver.cli.projects import project_of
from receiver.errors import ReceiverError
from receiver.inbox.queries import STATES, InboxQueries
from receiver.inbox.redis import SUBMISSIONS, connect
from receiver.settings.settings import read_settings
from receiver.storage import Storage
from receiver.submissions.records import SubmissionRecords, list_submissions
from receiver.submissions.submission import Submission

MAX_NAMED = 10  # submissions that an error lists
MAX_OFFERED = 200
PREFIX = "submissions/"


def find_submissions(
    storage: Storage, texts: Iterable[str], label: str | None = None
) -> list[Submission]:
    """`find_submission` for several, each once."""
    found = (find_submission(storage, text, label) for text in texts)
    return list({one.id: one for one in found}.values())


def find_submission(storage: Storage, text: str, label: str | None = None) -> Submission:
    """The submission in the storage that a person names.

    Raises UsageError where several are meant, ClickException where none is, and StorageError.
    """
    name, project = SubmissionName.read(text), project_of(label)
    if name is not None and name.project:
        project = name.project
    found = list(_find(storage, name.id if name else text.removeprefix(PREFIX), project))
    match found:
        case [one]:
            return one
        case []:
            raise click.ClickException(
                f"no submission {printable(text)} is known to the storage:"
                " `gemini-batch-receiver submissions list` shows which there are"
            )
    raise click.UsageError(_explain_ambiguity(text, found))


def _find(storage: Storage, text: str, project: str | None) -> Iterator[Submission]:
    """The one of this id, else all whose id begins so, or whose display name or file this is."""
    if SUBMISSION_ID.fullmatch(text):
        one = SubmissionRecords(storage, text).read_plan()
        if one is not None and project in (None, one.spec.project):
            yield one
            return
    for one in list_submissions(storage):
        is_named = text in {one.spec.display_name, one.file}
        is_meant = text and (is_named or one.id.startswith(text))
        if is_meant and project in (None, one.spec.project):
            yield one


def _explain_ambiguity(text: str, found: list[Submission]) -> str:
    shown = ", ".join(one.id for one in found[:MAX_NAMED])
    more = f" and {len(found) - MAX_NAMED:,} more" if len(found) > MAX_NAMED else ""
    return f"{len(found)} submissions may be {printable(text)}: give the id of one, {shown}{more}"


def complete_submission(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Submissions of the inbox whose id begins with what is typed."""
    try:
        with connect(read_settings(os.environ).redis_url) as client:
            queries = InboxQueries(client, SUBMISSIONS)
            names = [name for state in STATES for name in queries.names(state)]
    except ReceiverError:
        return []  # the inbox can't be asked
    ids = [name.rpartition("/")[2] for name in names]
    return [CompletionItem(one) for one in ids if one.startswith(incomplete)][:MAX_OFFERED]
