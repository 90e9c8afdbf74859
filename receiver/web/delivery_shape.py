"""Takes down how a verified delivery looks, without its contents."""

import re
import time
from collections.abc import Mapping

import jwt

from receiver.inbox.delivery_shapes import DeliveryShape
from receiver.telemetry.shapes import header_shapes, shape_of
from receiver.tolerant_json import tolerant_reader
from receiver.verification.events import BatchEvent, OtherEvent
from receiver.verification.signatures import Scheme, Verified

_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_decode = tolerant_reader(object)


def take_shape(
    project: str,
    verified: Verified,
    event: BatchEvent | OtherEvent,
    fields: Mapping[bytes, bytes],
    body: bytes,
) -> DeliveryShape:
    """`fields` are the headers, their names in lower case."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields.items()]
    signature = fields.get(b"webhook-signature", b"").decode("latin-1")
    return DeliveryShape(
        project=project,
        scheme=str(verified.scheme),
        event=event.type,
        time_ms=int(time.time() * 1000),
        headers=header_shapes(headers),
        body=shape_of(_decode(body)),
        kid=_token_kid(signature) if verified.scheme is Scheme.JWT else "",
    )


def _token_kid(token: str) -> str:
    """The `kid` of a verified token, which is public; empty for one of another form."""
    kid = str(jwt.get_unverified_header(token).get("kid", ""))
    return kid if _KID.fullmatch(kid) else ""
