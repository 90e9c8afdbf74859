"""Signs notices as Standard Webhooks says. Pure: the clock and the secrets are given."""

import base64
import hmac
from collections.abc import Sequence

from receiver.verification.keys import Secret


def sign(secrets: Sequence[Secret], message_id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers that prove a body to whoever has one of the secrets; `now` is in Unix seconds."""
    timestamp = str(int(now))
    signed = b"%b.%b.%b" % (message_id.encode(), timestamp.encode(), body)
    entries = (
        base64.b64encode(hmac.digest(secret.key, signed, "sha256")).decode() for secret in secrets
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{entry}" for entry in entries),
    }
