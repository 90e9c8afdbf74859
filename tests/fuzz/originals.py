"""Genuine deliveries of every scheme, signed by the stand-in's code: what the mutations start from."""

import base64
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from deploy.sandbox.delivery.signing import DynamicKeys, sign_v1

PATH, OTHER_PATH = "/webhooks/gemini", "/webhooks/gemini/other"
SCHEMES = ("v1", "v1a", "jwt")
SIGNED = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
Headers = tuple[tuple[bytes, bytes], ...]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Delivery:
    """A request as it reaches the application."""

    headers: Headers
    body: bytes
    method: str = "POST"
    path: str = PATH

    def get(self, name: bytes) -> bytes:
        """The first value of a header, or nothing."""
        return next((value for other, value in self.headers if other == name), b"")

    def with_header(self, name: bytes, value: bytes) -> "Delivery":
        """In the place of all headers of that name."""
        others = tuple(pair for pair in self.headers if pair[0] != name)
        return replace(self, headers=(*others, (name, value)))

    def without(self, name: bytes) -> "Delivery":
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] != name))

    @property
    def wire(self) -> bytes:
        """The bytes of the whole request, to be looked at and sent again."""
        head = [
            f"{self.method} {self.path} HTTP/1.1".encode(),
            b"host: x",
            b"content-length: %d" % len(self.body),
        ]
        return b"\r\n".join([*head, *(b"%b: %b" % pair for pair in self.headers), b"", self.body])


@dataclass(frozen=True)
class Signer:
    """Everything that can make a delivery genuine, and what looks like it and can't."""

    secrets: Sequence[str]  # both are good
    foreign_secret: str  # opens the other project's door only
    keys: DynamicKeys
    audience: str

    def sign(self, scheme: str, delivery_id: str, timestamp: int, body: bytes, rng: Random) -> str:
        """The `webhook-signature` for a body; a token takes its claims from a body that is an object."""
        if scheme == "v1":
            return sign_v1([rng.choice(self.secrets)], delivery_id, timestamp, body)
        if scheme == "v1a":
            return self.keys.sign_v1a(delivery_id, timestamp, body)
        return self.keys.sign_jwt(self.audience, json.loads(body))


def make_event(rng: Random) -> dict[str, Any]:
    kind = rng.choice(("succeeded", "failed", "cancelled", "expired"))
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = {
        "id": f"batches/{rng.randbytes(8).hex()}",
        "output_file_uri": f"files/batch-{rng.randbytes(4).hex()}",
    }
    return {"type": f"batch.{kind}", "version": "v1", "timestamp": moment, "data": data}


def make_original(signer: Signer, scheme: str, rng: Random) -> Delivery:
    """A delivery that must be accepted while it is fresh."""
    body = json.dumps(make_event(rng)).encode()
    return signed(signer, scheme, body, rng)


def signed(signer: Signer, scheme: str, body: bytes, rng: Random) -> Delivery:
    delivery_id, timestamp = f"msg_{rng.randbytes(12).hex()}", int(time.time())
    texts = (delivery_id, str(timestamp), signer.sign(scheme, delivery_id, timestamp, body, rng))
    signature = zip(SIGNED, (text.encode() for text in texts), strict=True)
    return Delivery(((b"content-type", b"application/json"), *signature), body)


def is_genuine(original: Delivery, mutant: Delivery) -> bool:
    """Whether a mutant says what the original says, with the original's proof: it may be accepted then.

    Judged by plain comparison, so that nothing of the receiver's own reading slips in.
    """
    names = [name for name, _ in mutant.headers]
    kind = mutant.get(b"content-type").decode("latin-1").partition(";")[0].strip().lower()
    if (mutant.method, mutant.path, kind) != (original.method, original.path, "application/json"):
        return False
    if any(names.count(name) > 1 for name in SIGNED):
        return False
    signature = original.get(SIGNED[2])
    if signature.count(b".") == 2:  # a token signs neither the other headers nor the whole body
        return mutant.get(SIGNED[2]) == signature and _essence(mutant.body) == _essence(
            original.body
        )
    same = all(mutant.get(name) == original.get(name) for name in SIGNED[:2])
    return same and mutant.body == original.body and signature in mutant.get(SIGNED[2]).split(b" ")


def _essence(body: bytes) -> object:
    """What a token can vouch for: the event's type, and the batch by any of its spellings."""
    try:
        document = json.loads(body)
        return document["type"], re.sub(r"\A(batches/|batch_)", "", document["data"]["id"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return body
