"""Read the body of a delivery: which batch it names, and what it says happened.

An event is a hint: only the name of its batch is used, and Gemini is asked for the rest. Pure.
Envelope: Gemini's webhooks guide, which says neither where `user_metadata` stands nor what a ping
holds.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from receiver.batch_names import BatchName
from receiver.errors import EventError, SignatureError

MAX_TYPE_CHARS = 100  # the type goes into log lines
MAX_USER_METADATA_BYTES = 8 * 1024  # as compact JSON

_BATCH_TYPES = {
    "batch.succeeded": "batch.succeeded",
    "batch.completed": "batch.succeeded",  # its name in the first weeks of the API
    "batch.failed": "batch.failed",
    "batch.cancelled": "batch.cancelled",
    "batch.expired": "batch.expired",
}


class BatchEvent(msgspec.Struct, frozen=True):
    """A batch has reached an end."""

    type: str  # batch.succeeded, batch.failed, batch.cancelled or batch.expired
    batch: str  # batches/<id>
    user_metadata: Mapping[str, Any]  # as given when the batch was created; at most 8 KiB of JSON
    user_metadata_dropped: bool = False  # there was some, too large or not clean JSON


class OtherEvent(msgspec.Struct, frozen=True):
    """A ping, or a type that concerns no batch: acknowledged and ignored."""

    type: str  # at most 100 printable characters


def parse_event(body: bytes) -> BatchEvent | OtherEvent:
    """Read an envelope. Raises EventError with what is wrong, in words that the sender may read."""
    document, is_clean = _decode_object(body)
    raw_data = document.get("data")
    data = raw_data if isinstance(raw_data, dict) else {}
    # Nobody has published a ping: a body that names neither a type nor an object is taken for one.
    if "type" not in document and not raw_data:
        return OtherEvent("ping")
    event_type = _require_type(document.get("type"))
    if event_type not in _BATCH_TYPES:
        return OtherEvent(event_type)
    if not isinstance(data.get("id"), str):
        raise EventError(f"the body of {event_type} has no data.id")
    metadata, is_dropped = _user_metadata(document, data, is_clean=is_clean)
    return BatchEvent(
        type=_BATCH_TYPES[event_type],
        batch=BatchName.parse_gemini(data["id"]).gemini,
        user_metadata=metadata,
        user_metadata_dropped=is_dropped,
    )


def check_claims(claims: Mapping[str, Any] | None, event: BatchEvent | OtherEvent) -> None:
    """Compare a token's `type` and `data.id` claims with the body, which the token does not sign.

    Raises SignatureError where they differ.
    """
    if not claims:
        return
    if "type" in claims:
        claimed = claims["type"]
        if not isinstance(claimed, str) or _BATCH_TYPES.get(claimed, claimed) != event.type:
            raise SignatureError("the token's type is not the body's")
    data = claims.get("data")
    if isinstance(event, BatchEvent) and isinstance(data, dict) and "id" in data:
        try:
            is_same = BatchName.parse_gemini(str(data["id"])).gemini == event.batch
        except EventError:
            is_same = False
        if not is_same:
            raise SignatureError("the token's data.id is not the body's")


def _decode_object(body: bytes) -> tuple[dict[str, Any], bool]:
    """The body's object, and whether it is strict JSON.

    The second, tolerant decoder accepts half a surrogate pair and NaN: an odd display name must not
    cost an event.
    """
    is_clean = True
    try:
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            is_clean = False
            document = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise EventError("the body is not UTF-8") from None
    except RecursionError:
        raise EventError("the body is nested too deeply") from None
    except ValueError:
        raise EventError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise EventError("the body is not a JSON object")
    return document, is_clean


def _require_type(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise EventError("the body has no type")
    if len(value) > MAX_TYPE_CHARS or not value.isprintable():
        raise EventError(f"the body's type is not 1 to {MAX_TYPE_CHARS} printable characters")
    return value


def _user_metadata(
    document: Mapping[str, Any], data: Mapping[str, Any], *, is_clean: bool
) -> tuple[Mapping[str, Any], bool]:
    """The metadata at the top level or in `data`, and whether it had to be dropped."""
    candidates = (document.get("user_metadata"), data.get("user_metadata"))
    metadata = next((value for value in candidates if isinstance(value, dict) and value), {})
    if metadata and not (is_clean and _is_small(metadata)):
        return {}, True
    return metadata, False


def _is_small(metadata: Mapping[str, Any]) -> bool:
    try:
        return len(msgspec.json.encode(metadata)) <= MAX_USER_METADATA_BYTES
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return False
