"""Which batches a person means: by id, by the name in the inbox, or by a unique display name."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import click
from click.shell_completion import CompletionItem

from receiver.batch_names import BatchName
from receiver.cli.output import printable
from receiver.cli.projects import choose_projects, project_of
from receiver.errors import (
    EventError,
    GeminiError,
    InboxUnavailableError,
    NotFoundError,
    ReceiverError,
    StorageError,
    SubmissionError,
    UnreadableBatchError,
)
from receiver.gemini.operations import Batch
from receiver.inbox.queries import STATES, InboxQueries
from receiver.inbox.redis import connect
from receiver.outputs.paths import manifest_name
from receiver.settings.settings import Settings, read_settings
from receiver.storage import open_storage
from receiver.submissions.records import SubmissionRecords, list_submissions

if TYPE_CHECKING:  # httpx takes 50 ms, and few commands ask Gemini
    from receiver.gemini.project_client import ProjectClient

AskGemini = Literal["always", "if unknown", "never"]  # unknown: to the inbox and the storage
MAX_NAMED = 10  # batches of one display name that an error lists
MAX_OFFERED = 200


def find_batches(
    settings: Settings,
    texts: Iterable[str],
    label: str | None = None,
    *,
    ask_gemini: AskGemini = "never",
) -> list[str]:
    """`find_batch` for several, each batch once."""
    found = [find_batch(settings, text, label, ask_gemini=ask_gemini) for text in texts]
    return list(dict.fromkeys(found))


def find_batch(
    settings: Settings,
    text: str,
    label: str | None = None,
    *,
    ask_gemini: AskGemini = "never",
) -> str:
    """The name in the inbox of a batch that a person names.

    An id without a project belongs to the project of `--project`, else to the only one, else to the
    default one. What is not the id of a batch in the inbox or the storage is looked for among the
    display names of the inbox and of the submissions, and as `ask_gemini` says in Gemini's lists.
    An unknown id is taken as it is. Raises UsageError where several batches have the display name,
    and ClickException where none has it and it can't be an id.
    """
    only = next(iter(settings.projects)) if len(settings.projects) == 1 else ""
    project = project_of(label)
    name, fault = "", ""
    try:
        name = str(BatchName.parse(text, only if project is None else project))
    except EventError as error:
        fault = str(error)
    if name and ("batches/" in text or _is_known(settings, name)):
        return name

    called = [
        *_called_in_inbox(settings, text, project),
        *_called_in_storage(settings, text, project),
    ]
    if ask_gemini == "always" or (ask_gemini == "if unknown" and not called):
        listed = _called_at_gemini(settings, text, label, name)
        if name in listed:
            return name
        called += listed

    match list(dict.fromkeys(called)):
        case [found]:
            return found
        case [] if name:
            return name
        case []:
            what = f"no batch here is called {printable(text)}, and it can't be an id"
            raise click.ClickException(f"{what}: {fault}")
        case several:
            raise click.UsageError(_explain_ambiguity(text, several))


def _is_known(settings: Settings, name: str) -> bool:
    """Whether the inbox or the storage has this batch, as far as they can be asked."""
    with suppress(InboxUnavailableError), connect(settings.redis_url) as client:
        if InboxQueries(client).knows(name):
            return True
    with suppress(StorageError):
        return open_storage(settings.storage_url).exists(manifest_name(name))
    return False


def _called_in_inbox(settings: Settings, text: str, project: str | None) -> list[str]:
    with suppress(InboxUnavailableError), connect(settings.redis_url) as client:
        return InboxQueries(client).called(text, project)
    return []


def _called_in_storage(settings: Settings, text: str, project: str | None) -> Iterator[str]:
    """The batches that `batches submit` created under this name, as a whole or as a part of it."""
    with suppress(StorageError, SubmissionError):
        storage = open_storage(settings.storage_url)
        for submission in list_submissions(storage):
            spec = submission.spec
            if project not in (None, spec.project):
                continue
            records = SubmissionRecords(storage, submission.id)
            rounds = (part for one in records.rounds() for part in one.parts)
            for part in (*submission.parts, *rounds):
                if text in (spec.display_name, submission.name_of(part)):
                    created = records.created(part)
                    if created is not None:
                        yield str(BatchName.read(created.batch, spec.project))


def _called_at_gemini(settings: Settings, text: str, label: str | None, name: str) -> list[str]:
    """The batches with this display name in Gemini's lists; only `name` if Gemini knows that id.

    Raises GeminiError where nobody can tell, and the text can't be an id.
    """
    from receiver.gemini.project_client import open_client  # noqa: PLC0415 - see above

    called = list[str]()
    try:
        for project in choose_projects(settings, label):
            with open_client(settings, project) as batches:
                if name and BatchName.read(name).project == project.name and _has(batches, name):
                    return [name]
                called += [
                    one.name
                    for one in batches.list()
                    if isinstance(one, Batch) and one.display_name == text
                ]
    except GeminiError:
        if not name:
            raise
    return called


def _has(batches: "ProjectClient", name: str) -> bool:
    try:
        batches.get(name)
    except UnreadableBatchError:
        return True
    except NotFoundError:
        return False
    return True


def _explain_ambiguity(text: str, names: list[str]) -> str:
    shown = ", ".join(BatchName.read(name).short for name in names[:MAX_NAMED])
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return f"{len(names)} batches are called {printable(text)}: give the id of one, {shown}{more}"


def complete_batch(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Batches of the inbox that begin with what is typed, with or without `batches/`."""
    try:
        with connect(read_settings(os.environ).redis_url) as client:
            queries = InboxQueries(client)
            names = [name for state in STATES for name in queries.names(state)]
    except ReceiverError:
        return []  # the inbox can't be asked
    spelled = (
        name if name.startswith(incomplete) else BatchName.read(name).short for name in names
    )
    return [CompletionItem(name) for name in spelled if name.startswith(incomplete)][:MAX_OFFERED]
