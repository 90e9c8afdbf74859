"""Who was charged for which request, so that a test can prove that none was paid for twice."""

import hashlib
from typing import Any

from deploy.sandbox.faults.markers import Marker, marked_text
from deploy.sandbox.google_api import encode_compact, pick
from deploy.sandbox.jobs.tokens import text_of
from deploy.sandbox.ledger import Payment

SHOWN_LETTERS = 200


def payment_for(by: str, key: Any, request: Any, marker: Marker | None) -> Payment:
    """`request` is one that was answered; for `by` see Payment."""
    plain = {name: value for name, value in request.items() if name not in ("serviceTier", "model")}
    text = text_of(pick(plain, "contents") or pick(plain, "content"))
    return Payment(
        by,
        None if key is None else str(key),
        hashlib.sha256(encode_compact(plain)).hexdigest(),
        marked_text(text)[:SHOWN_LETTERS],
        "ok" if marker is None else marker.name,
    )
