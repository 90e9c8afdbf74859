"""What may be called, as the routes and the OpenAPI description have it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from receiver.answers.index_rows import StoredRow
from receiver.api.queries import BatchQuery, DeliveryQuery, NoQuery, OfProject, SubmissionQuery
from receiver.api.submit_query import SubmitQuery
from receiver.api.submitting import Accepted, Trial
from receiver.inbox.delivery_log import Delivery
from receiver.inbox.json_views import JudgedEntry, ListedEntry
from receiver.submissions.json_views import DetailedView
from receiver.submissions.view import SubmissionView

ROOT = "/api"
REDIS_AWAY = "Redis is away, or too slow."
STORAGE_AWAY = "Redis or the storage is away, or too slow."
UNREADABLE = "What is stored can't be read."
Name = Literal[
    "batches",
    "batch",
    "result",
    "submissions",
    "submission",
    "submit",
    "deliveries",
    "description",
]


class StoredResult(StoredRow, frozen=True, kw_only=True):
    """One result: where it lies, and the line that Gemini sent."""

    result: dict[str, Any]


class Success(NamedTuple):
    """What is answered to a request that does not fail."""

    text: str
    kinds: tuple[Any, ...]  # types, of which it has one


@dataclass(frozen=True)
class Operation:
    """One method of one path, both as OpenAPI writes them."""

    name: Name
    method: Literal["GET", "POST"]
    path: str
    summary: str
    query: type[msgspec.Struct]
    answers: Mapping[int, Success]  # by status
    problems: Mapping[int, str] = field(default_factory=dict)  # beside those of every operation
    has_pages: bool = False  # a list whose `Link` names the next page


OPERATIONS = (
    Operation(
        "batches",
        "GET",
        f"{ROOT}/batches",
        "The batches of the inbox, as `inbox list --json` prints them. Those that are pending come"
        " first. A page may have fewer than `limit`: follow its `Link`.",
        BatchQuery,
        {200: Success("A page of them.", (list[ListedEntry],))},
        {503: REDIS_AWAY},
        has_pages=True,
    ),
    Operation(
        "batch",
        "GET",
        f"{ROOT}/batches/{{id}}",
        "One batch, as `inbox show --json` prints it.",
        OfProject,
        {200: Success("What the inbox knows of it.", (JudgedEntry,))},
        {404: "The inbox does not know it.", 503: REDIS_AWAY},
    ),
    Operation(
        "result",
        "GET",
        f"{ROOT}/batches/{{id}}/results/{{key}}",
        "The result of one key of a stored batch, as `batches results --json` prints it.",
        OfProject,
        {200: Success("Its line; `outcome` says whether it is an answer.", (StoredResult,))},
        {
            404: "The batch is not stored, or has no result for this key.",
            422: "The result is too large, or too far back in the batch.",
            503: STORAGE_AWAY,
        },
    ),
    Operation(
        "submissions",
        "GET",
        f"{ROOT}/submissions",
        "The submissions of the inbox, as `submissions list --json` prints them. Those under way"
        " come first. A page may have fewer than `limit`, even none: follow its `Link`.",
        SubmissionQuery,
        {200: Success("A page of them.", (list[SubmissionView],))},
        {503: STORAGE_AWAY},
        has_pages=True,
    ),
    Operation(
        "submit",
        "POST",
        f"{ROOT}/submissions",
        "Checks requests, keeps them, and has workers send them, as `batches submit --json` does."
        " The same requests to the same model under the same name are one submission: sent again,"
        " they are not sent to Gemini again, and options that are stated hold from then on.",
        SubmitQuery,
        {
            200: Success("Handed in before; or of a dry run, what it found.", (Accepted, Trial)),
            201: Success("They are kept, and workers send them.", (Accepted,)),
        },
        {
            413: "The body is too large.",
            415: "The body is no JSONL.",
            422: "Nothing was sent: lines are no requests, or a limit can't be kept.",
            503: "Redis or the storage is away, or too many bodies are being taken in.",
            507: "The scratch disk is full.",
        },
    ),
    Operation(
        "submission",
        "GET",
        f"{ROOT}/submissions/{{id}}",
        "One submission, as `submissions show --json` prints it, but Gemini is not asked.",
        NoQuery,
        {200: Success("Where it stands.", (DetailedView,))},
        {404: "The storage does not have it.", 503: STORAGE_AWAY},
    ),
    Operation(
        "deliveries",
        "GET",
        f"{ROOT}/deliveries",
        "The last deliveries, as `inbox deliveries --json` prints them.",
        DeliveryQuery,
        {200: Success("Newest first.", (list[Delivery],))},
        {503: REDIS_AWAY},
    ),
    Operation(
        "description",
        "GET",
        f"{ROOT}/openapi.json",
        "This description.",
        NoQuery,
        {200: Success("OpenAPI 3.1.", (dict[str, Any],))},
    ),
)
