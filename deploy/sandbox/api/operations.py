"""Shows a batch as a long-running operation, as Gemini does. Pure."""

from typing import Literal

from deploy.sandbox.google_api import Json, utc_text
from deploy.sandbox.ledger import Batch, State

TYPE_PREFIX = "type.googleapis.com/google.ai.generativelanguage.v1main."
TYPE_NAMES = {"generate": "GenerateContentBatch", "embed": "EmbedContentBatch"}

OutputPlace = Literal["both", "metadata", "response"]


def operation_of(
    batch: Batch,
    *,
    output: Json | None,
    output_in: OutputPlace = "both",
    state_prefix: str = "BATCH_STATE_",
) -> Json:
    """The operation; `output` is the part of the batch's output that this answer shows."""
    metadata = metadata_of(batch, output if output_in != "response" else None, state_prefix)
    shown: Json = {"name": batch.name, "metadata": metadata}
    if not batch.state.is_terminal:
        return shown
    shown["done"] = True
    if batch.error is not None:
        shown["error"] = batch.error
    elif output is not None and output_in != "metadata":
        shown["response"] = {"@type": f"{TYPE_PREFIX}{TYPE_NAMES[batch.kind]}Output", **output}
    return shown


def metadata_of(batch: Batch, output: Json | None, state_prefix: str) -> Json:
    members: Json = {
        "@type": TYPE_PREFIX + TYPE_NAMES[batch.kind],
        "model": batch.model,
        "displayName": batch.display_name,
        "inputConfig": {"fileName": batch.input_file} if batch.input_file else None,
        "output": output,
        "createTime": utc_text(batch.created_ns),
        "endTime": None if batch.ended_ns is None else utc_text(batch.ended_ns),
        "updateTime": utc_text(batch.updated_ns),
        "batchStats": stats_of(batch),
        "state": f"{state_prefix}{batch.state}",
        "name": batch.name,
        "priority": batch.priority,
    }
    return {name: value for name, value in members.items() if value is not None}


def stats_of(batch: Batch) -> Json:
    """Counts as strings without zeros. While a job runs, all of its requests are pending."""
    open_requests = (
        0
        if batch.state is State.SUCCEEDED
        else batch.request_count - batch.successful - batch.failed
    )
    counts = {
        "requestCount": batch.request_count,
        "pendingRequestCount": open_requests,
        "successfulRequestCount": batch.successful,
        "failedRequestCount": batch.failed,
    }
    return {name: str(count) for name, count in counts.items() if count > 0}
