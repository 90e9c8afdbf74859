"""`POST /api/submissions`: what `batches submit` does, with requests that come in the body."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from receiver.api.parameters import read_parameters, refuse_parameter
from receiver.api.problems import ProblemError, in_words_of_the_api, problem_of
from receiver.api.queries import Label, choose_project
from receiver.api.responses import respond
from receiver.api.uploads import AT_ONCE, Upload, Uploads
from receiver.errors import ReceiverError
from receiver.settings.settings import Settings
from receiver.settings.web_urls import parse_web_url
from receiver.status.threads import Threads
from receiver.submissions.intake import take_in, try_out
from receiver.submissions.json_views import Receipt, TrialRun
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

DEADLINE_S = 840.0  # below the time that an answer to an upload may take
TOO_SLOW = (
    f"it took longer than {DEADLINE_S / 60:.0f} minutes, and may still go on: send the same again,"
    " which sends nothing twice"
)
MEDIA_TYPES = ("application/jsonl", "application/x-ndjson", "application/jsonlines")
BODY = "the body"
LEAST_DOLLARS, MOST_DOLLARS = Decimal("1e-9"), Decimal("1e9")
MOST_S = 10_000 * DAY_S
log = logging.getLogger(__name__)


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


class Accepted(Receipt, frozen=True, kw_only=True):
    """What became of the requests, and what is worth knowing."""

    notes: list[str]


class Trial(TrialRun, frozen=True, kw_only=True):
    """What would be sent, and what is worth knowing."""

    notes: list[str]


class _Notes:
    """Gathers what is said while requests are taken in."""

    def __init__(self) -> None:
        self.lines = list[str]()

    def say(self, line: str) -> None:
        self.lines.append(line.strip())

    @contextmanager
    def progress(self, label: str, size_bytes: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _: None


class Submitting:
    """Takes requests in. One for a process: it limits how many bodies there are at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._uploads = settings, Uploads(settings.scratch_dir)
        self._threads = Threads(AT_ONCE, DEADLINE_S)

    async def post(self, request: Request) -> Response:
        """Raises ProblemError, ReceiverError and OSError."""
        query = read_parameters(SubmitQuery, request.query_params.multi_items())
        wanted = _read_request(self._settings, query)
        _require_jsonl(request)
        upload = self._uploads.open()
        try:
            await upload.read(request)
        except BaseException:
            upload.close()
            raise
        try:
            return await self._threads.run(partial(self._take_in, upload, wanted, query))
        except TimeoutError as error:
            raise ProblemError(503, TOO_SLOW) from error

    def _take_in(self, upload: Upload, wanted: SubmitRequest, query: SubmitQuery) -> Response:
        """In a thread of its own, which goes on where the sender gives up."""
        notes = _Notes()
        try:
            if query.dry_run:
                return self._try_out(upload, wanted, query, notes)
            return self._submit(upload, wanted, query, notes)
        except Exception as error:
            raise _translate(error, upload) from error
        finally:
            upload.close()

    def _try_out(
        self, upload: Upload, wanted: SubmitRequest, query: SubmitQuery, notes: _Notes
    ) -> Response:
        trial = try_out(self._settings, upload.path, wanted, query.change, notes)
        return respond(Trial(**msgspec.structs.asdict(trial), notes=notes.lines))

    def _submit(
        self, upload: Upload, wanted: SubmitRequest, query: SubmitQuery, notes: _Notes
    ) -> Response:
        taken = take_in(self._settings, upload.path, wanted, query.change, notes)
        receipt = taken.receipt(self._settings)
        known = {"submission": receipt.submission, "requests": receipt.requests}
        log.info("api.submitted", extra=known | {"known": receipt.known})
        if taken.obstacle is not None:
            raise ProblemError(503, taken.obstacle)
        if taken.absent is not None:
            notes.say(taken.absent)
        answer = Accepted(**msgspec.structs.asdict(receipt), notes=notes.lines)
        location = {"location": f"/api/submissions/{receipt.id}"}
        return respond(answer, 200 if receipt.known else 201, **location)


def _translate(error: Exception, upload: Upload) -> Exception:
    """The error in words of the API: its parameters, and no path of this machine."""
    if not isinstance(error, ReceiverError):
        return error
    problem = problem_of(error)
    detail = problem.problem.detail.replace(str(upload.path), BODY)
    detail = in_words_of_the_api(detail, SubmitQuery.__struct_fields__)
    return ProblemError(problem.problem.status, detail, problem.problem.errors)


def _require_jsonl(request: Request) -> None:
    """Raises ProblemError. A body that says nothing of itself is taken for JSONL."""
    given = request.headers.get("content-type", MEDIA_TYPES[0]).partition(";")[0].strip().lower()
    if given not in MEDIA_TYPES:
        raise ProblemError(415, f"expected {MEDIA_TYPES[0]}: one request per line")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(415, "expected a body without a content coding")


def _read_request(settings: Settings, query: SubmitQuery) -> SubmitRequest:
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


def _is_amount(dollars: Decimal) -> bool:
    return dollars.is_finite() and LEAST_DOLLARS <= dollars <= MOST_DOLLARS


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
    except msgspec.MsgspecError as error:
        raise refuse_parameter("metadata", f"expected a JSON object: {error}") from error
