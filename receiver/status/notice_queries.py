"""What the tab of the notices shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import redis

from receiver.inbox.entries import fetch_entries
from receiver.inbox.queries import InboxQueries
from receiver.notices.outbox import Notice, Outbox, OutboxStatus, read_outbox_status
from receiver.outputs.wording import count_of
from receiver.status.next_steps import COMMAND
from receiver.status.offers import Offer

PAGE_ROWS = 50


@dataclass(frozen=True)
class NoticePage:
    """Some notices: the dead ones first, then those that wait."""

    now_ms: int
    rows: list[Notice]
    names: Mapping[str, str]  # display names of their batches
    status: OutboxStatus
    stale: int  # whose target left the settings
    state: str  # "dead", "waiting" or empty for both
    page: int  # from 1
    pages: int


def read_notice_page(
    client: "redis.Redis", hosts: Mapping[str, str], state: str, page: int
) -> NoticePage:
    """The page of that number, or the nearest one. Raises InboxUnavailableError."""
    outbox = Outbox(client)
    listed = outbox.names()
    dead = {name: due_ms for name, due_ms in listed.items() if due_ms is None}
    waiting = {name: due_ms for name, due_ms in listed.items() if due_ms is not None}
    wanted = {**(dead if state != "waiting" else {}), **(waiting if state != "dead" else {})}
    pages = max(1, -(-len(wanted) // PAGE_ROWS))
    page = min(max(1, page), pages)
    rows = outbox.read(dict(islice(wanted.items(), (page - 1) * PAGE_ROWS, page * PAGE_ROWS)))

    entries = fetch_entries(client, {one.batch for one in rows if one.batch})
    return NoticePage(
        now_ms=InboxQueries(client).now_ms(),
        rows=rows,
        names={name: entry.display_name for name, entry in entries.items()},
        status=read_outbox_status(client),
        stale=sum(name.partition("/")[0] not in hosts for name in listed),
        state=state,
        page=page,
        pages=pages,
    )


def read_notice(client: "redis.Redis", name: str) -> tuple[int, Notice | None]:
    """Redis' time in milliseconds, and the notice. Raises InboxUnavailableError."""
    outbox = Outbox(client)
    found = outbox.read({one: due_ms for one, due_ms in outbox.names().items() if one == name})
    return InboxQueries(client).now_ms(), found[0] if found else None


def offer_for_notices(page: NoticePage) -> list[Offer]:
    """What can be done with many at once."""
    offers = list[Offer]()
    if page.status.dead:
        notices = count_of(page.status.dead, "dead notice", "dead notices")
        text = "Each is sent now, with all its tries ahead. A target may get one that it has."
        command = f"{COMMAND} notices retry --all-dead"
        offers.append(Offer("retry-dead", f"Send {notices} again", text, command))
    if page.stale:
        notices = count_of(page.stale, "notice", "notices")
        text = "Their targets left the settings, so nobody sends them."
        command = f"{COMMAND} notices purge --stale --yes"
        offers.append(Offer("purge-stale", f"Remove {notices} without a target", text, command))
    return offers


def offer_for_notice(notice: Notice, hosts: Mapping[str, str]) -> list[Offer]:
    """What can be done with one."""
    offers = list[Offer]()
    if notice.state != "sending" and notice.target in hosts:
        text = "It is sent now, with all its tries ahead."
        offers.append(Offer("retry", "Send now", text, f"{COMMAND} notices retry {notice.name}"))
    text = "Nobody is told of it any more. `notices replay` makes those of a stored batch again."
    command = f"{COMMAND} notices purge {notice.name} --yes"
    offers.append(Offer("purge", "Remove", text, command))
    return offers
