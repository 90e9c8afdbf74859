"""The options of a submission, as the parameters of its address."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from receiver.api.parameters import refuse_parameter
from receiver.api.queries import Label, choose_project
from receiver.settings.settings import Settings
from receiver.settings.web_urls import parse_web_url
from receiver.submissions.planning import SubmitRequest
from receiver.submissions.policy import (
    DAY_S,
    DEFAULT_ROUNDS,
    MAX_OUTPUT_TOKENS,
    MAX_ROUNDS,
    OUTPUT_TOKENS_LIMIT,
    Policy,
    RescueWay,
)

LEAST_DOLLARS, MOST_DOLLARS = Decimal("1e-9"), Decimal("1e9")
MOST_S = 10_000 * DAY_S


class SubmitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `batches submit`."""

    model: Annotated[
        str, Meta(min_length=1, description="Model that answers, such as gemini-3.8-flash.")
    ]
    project: Label | None = None
    display_name: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="Name of the batches at Gemini. The same requests under another name"
                " are sent once more.",
            ),
        ]
        | None
    ) = None
    embeddings: Annotated[
        bool,
        Meta(description="The requests ask for embeddings, though the model's name does not say."),
    ] = False
    inline: Annotated[
        bool, Meta(description="Send the requests in the call itself; up to 19 MB.")
    ] = False
    max_requests: (
        Annotated[int, Meta(ge=1, description="Split into batches of at most so many requests.")]
        | None
    ) = None
    webhook: (
        Annotated[
            str,
            Meta(description="Where Gemini reports on these batches, in place of the registered."),
        ]
        | None
    ) = None
    metadata: (
        Annotated[
            str, Meta(description="A JSON object that comes back with the deliveries to `webhook`.")
        ]
        | None
    ) = None
    allow_unknown_fields: Annotated[
        bool, Meta(description="Send fields that are not in the API's schema, as it is known here.")
    ] = False
    dry_run: Annotated[
        bool, Meta(description="Check every line, say what it may cost, and send nothing.")
    ] = False

    rounds: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MAX_ROUNDS,
                description="Send what has no answer again, so many times at most. Without it:"
                f" {DEFAULT_ROUNDS}.",
            ),
        ]
        | UnsetType
    ) = UNSET
    max_cost: (
        Annotated[
            Decimal | None,
            Meta(description="Most that all rounds may cost in US dollars; `none` lifts it."),
        ]
        | UnsetType
    ) = UNSET
    allow_unknown_cost: (
        Annotated[bool, Meta(description="Also send what nobody knows the price of.")] | UnsetType
    ) = UNSET
    overdue_s: (
        Annotated[
            float, Meta(gt=0, le=MOST_S, description="Seconds after which a batch is told of.")
        ]
        | UnsetType
    ) = UNSET
    rescue_after_s: (
        Annotated[
            Annotated[float, Meta(gt=0, le=MOST_S)] | None,
            Meta(
                description="Seconds after which a batch is cancelled, and its rest sent again;"
                " `none` waits."
            ),
        ]
        | UnsetType
    ) = UNSET
    rescue: Annotated[RescueWay, Meta(description="As a new batch, or one by one.")] | UnsetType = (
        UNSET
    )
    max_output_tokens: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=OUTPUT_TOKENS_LIMIT,
                description="How far the output budget of a truncated answer may grow. Without it:"
                f" {MAX_OUTPUT_TOKENS}.",
            ),
        ]
        | UnsetType
    ) = UNSET
    explain_invalid: (
        Annotated[
            bool, Meta(description="Tell the model why an answer did not fit RESPONSE_SCHEMA.")
        ]
        | UnsetType
    ) = UNSET

    @property
    def change(self) -> dict[str, Any]:
        """The fields of the policy that are stated."""
        names = [name for name in Policy.__struct_fields__ if hasattr(self, name)]
        stated = {name: getattr(self, name) for name in names}
        return {name: value for name, value in stated.items() if value is not UNSET}


def read_request(settings: Settings, query: SubmitQuery) -> SubmitRequest:
    """Raises ProblemError."""
    amount = query.max_cost
    if isinstance(amount, Decimal) and not (
        amount.is_finite() and LEAST_DOLLARS <= amount <= MOST_DOLLARS
    ):
        raise refuse_parameter("max_cost", "expected an amount of US dollars, such as 2.50")
    return SubmitRequest(
        project=choose_project(settings, query.project).name,
        model=query.model,
        is_embedding=query.embeddings,
        inline=query.inline,
        display_name=query.display_name,
        max_requests=query.max_requests,
        webhook=_read_url(query.webhook),
        metadata=_read_metadata(query),
        allow_unknown_fields=query.allow_unknown_fields,
    )


def _read_url(webhook: str | None) -> str | None:
    try:
        return webhook and parse_web_url(webhook)
    except ValueError as error:
        raise refuse_parameter("webhook", str(error)) from error


def _read_metadata(query: SubmitQuery) -> dict[str, Any]:
    if query.metadata is None:
        return {}
    if query.webhook is None:
        raise refuse_parameter("metadata", "it comes with the deliveries to `webhook`: give both")
    try:
        return msgspec.json.decode(query.metadata, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise refuse_parameter("metadata", f"expected a JSON object: {error}") from error
