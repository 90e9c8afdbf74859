"""What the tab of the deliveries shows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import msgspec
import redis

from receiver.batch_names import INBOX_NAME
from receiver.inbox.delivery_contents import MAX_KEPT, DeliveryContent, fetch_content
from receiver.inbox.delivery_log import (
    MAX_LOGGED,
    Delivery,
    Verdict,
    fetch_deliveries,
    find_delivery,
)
from receiver.inbox.entries import fetch_entries
from receiver.inbox.queries import InboxQueries
from receiver.settings.projects import DEFAULT
from receiver.status.queries import read_batch
from receiver.status.view_models import BatchRow

PAGE_ROWS = 50
NEVER_KEPT = "Headers and body of a refused delivery are not kept: anybody can send one."
UNPROVEN = "It can't be judged again, since no signature is kept."
NOT_KEPT = (
    f"Headers and body are not kept any more: only those of the last {MAX_KEPT} deliveries are."
)


NOT_YET = "Headers and body are kept a moment later: open the page again."
MOMENT_MS = 3000  # the log is written once per second


@dataclass(frozen=True)
class DeliveryPage:
    """Some of the last deliveries, newest first."""

    now_ms: int
    rows: list[Delivery]
    names: Mapping[str, str]  # display names of their batches
    verdicts: Mapping[str, int]  # how many there are of each, in the project
    projects: Sequence[str]  # labels of those that got any
    verdict: str  # of the rows; empty for all
    project: str  # label; empty for all
    page: int  # from 1
    pages: int


def read_delivery_page(
    client: "redis.Redis", verdict: str, project: str, page: int
) -> DeliveryPage:
    """The page of that number, or the nearest one. Raises InboxUnavailableError."""
    found = fetch_deliveries(client, 2 * MAX_LOGGED)
    projects = sorted({label_of(one) for one in found})
    of_project = [one for one in found if project in ("", label_of(one))]
    wanted = [one for one in of_project if verdict in ("", one.verdict)]
    pages = max(1, -(-len(wanted) // PAGE_ROWS))
    page = min(max(1, page), pages)
    rows = wanted[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]

    counts = Counter(one.verdict for one in of_project)
    entries = fetch_entries(client, {one.batch for one in rows if one.batch})
    return DeliveryPage(
        now_ms=InboxQueries(client).now_ms(),
        rows=rows,
        names={name: entry.display_name for name, entry in entries.items()},
        verdicts={one: counts[one] for one in get_args(Verdict) if counts[one]},
        projects=projects,
        verdict=verdict,
        project=project,
        page=page,
        pages=pages,
    )


def label_of(delivery: Delivery) -> str:
    """Of its project."""
    return delivery.project or DEFAULT


@dataclass(frozen=True)
class DeliveryDetails:
    """One delivery, opened."""

    now_ms: int
    delivery: Delivery
    content: DeliveryContent | None
    absence: str  # why there is no content; empty where there is
    row: BatchRow | None  # its batch, where the inbox knows it

    @property
    def body(self) -> str:
        """As it is best read."""
        return "" if self.content is None else show_body(self.content.body)


def read_delivery_details(client: "redis.Redis", ref: str) -> DeliveryDetails | None:
    """The delivery that is called so in addresses. Raises InboxUnavailableError."""
    delivery = find_delivery(client, ref)
    if delivery is None:
        return None
    is_proven, now_ms = bool(delivery.scheme), InboxQueries(client).now_ms()
    content = fetch_content(client, delivery.name, delivery.time_ms) if is_proven else None
    has_batch = INBOX_NAME.fullmatch(delivery.batch) is not None
    _, row = read_batch(client, delivery.batch) if has_batch else (0, None)
    absence = "" if content else _explain_absence(now_ms - delivery.time_ms, is_proven=is_proven)
    return DeliveryDetails(now_ms, delivery, content, absence, row)


def _explain_absence(age_ms: int, *, is_proven: bool) -> str:
    if not is_proven:
        return f"{NEVER_KEPT} {UNPROVEN}"
    return NOT_YET if age_ms < MOMENT_MS else NOT_KEPT


def show_body(text: str) -> str:
    """JSON with line breaks; anything else as it is.

    >>> print(show_body('{"a":1}'))
    {
      "a": 1
    }
    """
    try:
        return msgspec.json.format(text, indent=2)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return text
