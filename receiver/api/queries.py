"""The parameters of the lists."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from receiver.api.parameters import refuse_parameter
from receiver.inbox.entries import State
from receiver.inbox.finding import FIRST_MS, LAST_MS, WANTED_OUTCOMES, BatchFilter, Order
from receiver.settings.projects import DEFAULT, Project
from receiver.settings.settings import Settings
from receiver.submissions.view import Phase

MAX_ROWS = 500
MAX_VIEWS = 50  # each is read from the storage
MAX_TEXT = 200
Label = Annotated[str, Meta(description="A Gemini project; `default` is the one without a suffix.")]
Limit = Annotated[int, Meta(ge=1, le=MAX_ROWS, description="How many at most.")]
Cursor = Annotated[str, Meta(description="Goes on behind a page: its `Link` has the address.")]
Moment = Annotated[
    datetime, Meta(description="RFC 3339.", extra_json_schema={"format": "date-time"})
]


class NoQuery(msgspec.Struct, frozen=True):
    """An address without parameters."""


class OfProject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose batch it is: of the only project, else of the default one, unless it is said."""

    project: Label | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    project: Label | None = None
    limit: Limit = 50


class SubmissionQuery(msgspec.Struct, frozen=True, kw_only=True):
    project: Label | None = None
    state: Annotated[Phase, Meta(description="Only submissions in this state.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_VIEWS, description="How many are read at most.")] = 20
    cursor: Cursor = ""


class BatchQuery(msgspec.Struct, frozen=True, kw_only=True):
    text: Annotated[
        str,
        Meta(
            max_length=MAX_TEXT,
            description="Only those with this in the name, the display name or the cause.",
        ),
    ] = ""
    state: Annotated[State, Meta(description="Only batches in this state.")] | None = None
    outcome: Annotated[
        str,
        Meta(
            description="Only stored ones, that are well or not, or with such a result.",
            extra_json_schema={"enum": list(WANTED_OUTCOMES)},
        ),
    ] = ""
    project: Label | None = None
    model: Annotated[
        str, Meta(max_length=MAX_TEXT, description="Only stored ones of such a model.")
    ] = ""
    since: Moment | None = None
    until: Moment | None = None
    order: Annotated[Order, Meta(description="Of those that have ended.")] = "newest"
    limit: Limit = 50
    cursor: Cursor = ""

    def filter(self) -> BatchFilter:
        """Raises ProblemError."""
        if self.outcome and self.outcome not in WANTED_OUTCOMES:
            raise refuse_parameter("outcome", f"expected one of {', '.join(WANTED_OUTCOMES)}")
        return BatchFilter(
            text=self.text,
            state=self.state,
            outcome=self.outcome,
            project=project_of(self.project),
            model=self.model,
            since_ms=_to_ms(self.since, FIRST_MS),
            until_ms=_to_ms(self.until, LAST_MS),
            order=self.order,
        )


def _to_ms(moment: datetime | None, otherwise: int) -> int:
    """Unix time; a moment without a time zone is in UTC."""
    if moment is None:
        return otherwise
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(FIRST_MS, int(zoned.timestamp() * 1000))


def project_of(label: str | None) -> str | None:
    """The name of the project that is asked for; None for all of them."""
    return "" if label == DEFAULT else label


def choose_project(settings: Settings, label: str | None) -> Project:
    """The project that is asked for, else the only one, else the default one.

    Raises ProblemError where there is none of this name.
    """
    if label is None and len(settings.projects) == 1:
        return next(iter(settings.projects.values()))
    chosen = settings.projects.get(project_of(label or DEFAULT) or "")
    if chosen is None:
        known = ", ".join(project.label for project in settings.projects.values())
        raise refuse_parameter("project", f"it is unknown: expected one of {known}")
    return chosen
