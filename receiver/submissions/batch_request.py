"""What is asked of Gemini to create the batch of a part."""

from typing import Any

import msgspec

from receiver.submissions.part_copy import PartCopy
from receiver.submissions.submission import SubmissionSpec


def describe_batch(
    spec: SubmissionSpec, content: PartCopy, display_name: str, file: str | None
) -> dict[str, Any]:
    """The batch in the form of the API; its requests are inline where there is no file."""
    if file is None:
        config: dict[str, Any] = {"requests": {"requests": _inlined(content)}}
    else:
        config = {_file_field(spec.kind): file}
    batch: dict[str, Any] = {"displayName": display_name, "inputConfig": config}

    if spec.webhook is not None:
        metadata = {"userMetadata": spec.metadata} if spec.metadata else {}
        batch["webhookConfig"] = {"uris": [spec.webhook], **metadata}
    return batch


def _inlined(content: PartCopy) -> list[dict[str, Any]]:
    rows = [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in content.lines()]
    return [{"request": row["request"], "metadata": {"key": row["key"]}} for row in rows]


def _file_field(kind: str) -> str:
    """Both SDKs write the two kinds differently, and the service expects just that."""
    return "fileName" if kind == "generate" else "file_name"
