"""Tab completion of batches, from the inbox."""

import os

import click
from click.shell_completion import CompletionItem

from receiver.batch_names import BatchName
from receiver.errors import ReceiverError
from receiver.inbox.entries import State
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import connect
from receiver.settings.settings import read_settings

MAX_OFFERED = 200
STATES: tuple[State, ...] = ("leased", "open", "buried", "done")


def complete_batch(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Batches that begin with what is typed, with or without `batches/`; nothing where the inbox can't be asked."""
    try:
        with connect(read_settings(os.environ).redis_url) as client:
            backlog = InboxQueries(client)
            names = [name for state in STATES for name in backlog.names(state)]
    except ReceiverError:
        return []
    spelled = (
        name if name.startswith(incomplete) else BatchName.read(name).short for name in names
    )
    return [CompletionItem(name) for name in spelled if name.startswith(incomplete)][:MAX_OFFERED]
