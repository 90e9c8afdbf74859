"""The faults that the sandbox can show. All are off unless an option of `serve` turns them on."""

import math
import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from deploy.sandbox.config import Scheme
from deploy.sandbox.google_api import ApiError, Json

Times = int | Literal["all"]


class StatusFault(msgspec.Struct, forbid_unknown_fields=True, dict=True):
    """Answer `status` instead of doing the work."""

    status: int
    times: Times = 1
    retry_after: int | None = None  # seconds, sent as Retry-After
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0  # of the calls, spread evenly
    for_s: float | None = None  # seconds from when it is set

    def __post_init__(self) -> None:
        self._calls, self._set_at = 0, time.monotonic()

    def hits(self) -> bool:
        """Whether this call is one of the share, within the time."""
        self._calls += 1
        is_in_time = self.for_s is None or time.monotonic() < self._set_at + self.for_s
        before, now = (math.floor(calls * self.share) for calls in (self._calls - 1, self._calls))
        return is_in_time and now > before


class FailingRows(msgspec.Struct, forbid_unknown_fields=True):
    """Requests that have a passing fault at first."""

    share: Annotated[float, Meta(ge=0, le=1)]
    tries: int = 1  # how often each of them fails before it is answered


class CutFault(msgspec.Struct, forbid_unknown_fields=True):
    """Close the connection after this many bytes of the body."""

    bytes: int
    times: Times = 1


class DripFault(msgspec.Struct, forbid_unknown_fields=True):
    bytes_per_s: int
    times: Times = 1


class RedirectFault(msgspec.Struct, forbid_unknown_fields=True):
    """Answer 302 to the same path at another origin."""

    to: str
    times: Times = 1


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """A count is how many of the next calls are affected; "all" affects every call until 0."""

    # deliveries
    drop_deliveries: Annotated[Times, Meta(description="deliveries that are never sent")] = 0
    duplicate_deliveries: Annotated[
        Times, Meta(description="deliveries sent again, same id, once accepted")
    ] = 0
    reorder_deliveries: Annotated[
        Times, Meta(description="deliveries held back until the next one was sent")
    ] = 0
    delay_deliveries_s: Annotated[
        float, Meta(description="seconds that every delivery comes late")
    ] = 0
    wrong_signature: Annotated[
        Times, Meta(description="attempts signed with a key that nobody published")
    ] = 0
    disable_webhooks: Annotated[
        Times, Meta(description="webhooks switched off instead of told")
    ] = 0
    event_id: Annotated[
        Literal["batches/", "batch_", ""],
        Meta(description="what stands before the id in an event's `data.id`"),
    ] = "batches/"
    user_metadata_in: Annotated[
        Literal["top", "data"], Meta(description="where an event has the job's user metadata")
    ] = "top"
    dynamic_scheme: Annotated[
        Scheme, Meta(description="how deliveries to a job's own `webhook_config.uris` are signed")
    ] = "v1a"
    jwt_audience: Annotated[
        str | None, Meta(description="`aud` of a JWT; the webhook's URI when unset")
    ] = None
    # jobs
    fail_jobs: Annotated[Times, Meta(description="new jobs that end FAILED")] = 0
    expire_jobs: Annotated[Times, Meta(description="new jobs that end EXPIRED")] = 0
    cancel_jobs: Annotated[
        Times, Meta(description="new jobs that end CANCELLED with half of their output")
    ] = 0
    pending_jobs: Annotated[
        Times, Meta(description="new jobs that stay PENDING until somebody cancels them")
    ] = 0
    stuck_jobs: Annotated[
        Times, Meta(description="new jobs that stay RUNNING until somebody cancels them")
    ] = 0
    error_jobs: Annotated[
        Times, Meta(description="new jobs that end SUCCEEDED with an error in every row")
    ] = 0
    error_details: Annotated[
        Times, Meta(description="new jobs whose errors hold objects in `details`")
    ] = 0
    shuffle_rows: Annotated[Times, Meta(description="new jobs whose rows come out of order")] = 0
    drop_metadata: Annotated[
        Times, Meta(description="new inline jobs whose rows lack their `metadata`")
    ] = 0
    inline_answers: Annotated[Times, Meta(description="new file jobs that answer inline")] = 0
    failing_rows: Annotated[
        FailingRows | None,
        Meta(description="share of requests that fail, or come empty or cut, when first seen"),
    ] = None
    # quotas
    enqueued_tokens: Annotated[
        int | None, Meta(description="tokens that one model's active batches may have; else 429")
    ] = None
    active_batches: Annotated[
        int | None, Meta(description="batches that may be active at a time; else 429")
    ] = None
    # calls about batches
    create_status: Annotated[
        StatusFault | None, Meta(description="status instead of creating a batch")
    ] = None
    lost_creates: Annotated[
        StatusFault | None, Meta(description="status though the batch was created")
    ] = None
    get_status: Annotated[
        StatusFault | None, Meta(description="status instead of showing a batch")
    ] = None
    list_status: Annotated[
        StatusFault | None, Meta(description="status instead of listing batches")
    ] = None
    model_status: Annotated[
        StatusFault | None, Meta(description="status instead of showing a model")
    ] = None
    generate_status: Annotated[
        StatusFault | None, Meta(description="status instead of an answer of generateContent")
    ] = None
    delay_answers_s: Annotated[
        float, Meta(description="seconds that an answer of generateContent takes")
    ] = 0
    count_status: Annotated[
        StatusFault | None, Meta(description="status instead of counting tokens")
    ] = None
    unknown_batch: Annotated[
        int, Meta(description="status for a batch that does not exist", ge=400, le=599)
    ] = 404
    late_output: Annotated[Times, Meta(description="gets that show SUCCEEDED without output")] = 0
    output_in: Annotated[
        Literal["both", "metadata", "response"],
        Meta(description="where an operation has its output"),
    ] = "both"
    state_prefix: Annotated[
        Literal["BATCH_STATE_", "JOB_STATE_"],
        Meta(description="the service says the first, its guide the second"),
    ] = "BATCH_STATE_"
    # files
    upload_status: Annotated[
        StatusFault | None, Meta(description="status instead of taking an upload's request")
    ] = None
    refuse_uploads: Annotated[
        Times, Meta(description="whole uploads refused with an error under status 200")
    ] = 0
    unknown_file: Annotated[
        int, Meta(description="status for a file that does not exist", ge=400, le=599)
    ] = 403
    download_status: Annotated[
        StatusFault | None, Meta(description="status instead of a result file")
    ] = None
    cut_download_after: Annotated[
        CutFault | None, Meta(description="bytes after which a download is cut")
    ] = None
    drip_downloads: Annotated[
        DripFault | None, Meta(description="bytes of a download in a second")
    ] = None
    redirect_downloads: Annotated[
        RedirectFault | None, Meta(description="origin that downloads are sent to")
    ] = None
    gzip_downloads: Annotated[
        Times, Meta(description="downloads packed for clients that accept it")
    ] = 0
    chunked_downloads: Annotated[Times, Meta(description="downloads without Content-Length")] = 0
    ignore_range: Annotated[
        Times, Meta(description="Range requests answered with 200 and the whole file")
    ] = 0
    wrong_range: Annotated[
        Times, Meta(description="Range requests whose 206 claims to start one byte late")
    ] = 0

    def set(self, changes: Json) -> None:
        """Set the faults in `changes`. Raises ApiError 400, and sets none, if one is wrong."""
        try:
            checked = msgspec.convert(changes, Faults)
        except msgspec.ValidationError as error:
            raise ApiError(400, f"These faults cannot be set: {error}") from error
        for name in changes:
            setattr(self, name, getattr(checked, name))

    def take(self, name: str) -> bool:
        """Whether the fault `name` applies now; uses up one count of it."""
        left: Times = getattr(self, name)
        if isinstance(left, int):
            setattr(self, name, max(0, left - 1))
            return left > 0
        return True

    def take_fault(self, name: str) -> Any:
        """The fault `name` if it applies now, else None; uses up one of its times."""
        fault = getattr(self, name)
        if fault is None or fault.times == 0:
            return None
        if isinstance(fault.times, int):
            fault.times -= 1
        return fault

    def raise_status(self, name: str) -> None:
        """Raise the ApiError of the status fault `name` if it applies now."""
        fault: StatusFault | None = getattr(self, name)
        if fault is not None and fault.hits() and self.take_fault(name):
            headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            raise ApiError(
                fault.status, f"The sandbox was told to answer {fault.status}.", headers=headers
            )
