"""Deliveries and tokens made without the code under test, by plain hmac and cryptography."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from receiver.verification.keys import KeySet, Secret

NOW = 1769083200
ID = "msg_0b6f1b1e-0000-4000-8000-000000000001"
BODY = (
    b'{"type":"batch.succeeded","version":"v1","timestamp":"2026-01-22T12:00:00Z",'
    b'"data":{"id":"batches/abc","output_file_uri":"files/batch-abc"}}'
)
SECRET_TEXT = "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
SECRET = Secret.parse(SECRET_TEXT)
STATIC_ENTRY = "v1,0EEgxH8QUW5vw3W+CIkU8iIsBZ5fRoLegpaHlV+hKbI="
ED25519_X = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
ED25519_ENTRY = (
    "v1a,FozMu/dJpyoFVf0BhpKTNA8/aEBJj/zEDZupdNxP6HkPbyku/Aq/P4x3ntjIyRToCQfbvwNQw7lCZvKP8aCdAw=="
)
ED25519_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
AUDIENCE = "https://receiver.example/webhooks/gemini"
KID = "key-1"


@cache
def rsa_key(name: str = KID, bits: int = 2048) -> RSAPrivateKey:
    """One private key a name."""
    assert name
    return generate_private_key(65537, bits)


@cache
def key_set() -> KeySet:
    return KeySet((ED25519_PRIVATE.public_key(),), {KID: rsa_key().public_key()})


def headers(signature: str, timestamp: int | str = NOW, delivery_id: str = ID) -> dict[str, str]:
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }


def signed_bytes(body: bytes = BODY, timestamp: int | str = NOW, delivery_id: str = ID) -> bytes:
    return f"{delivery_id}.{timestamp}.".encode() + body


def static_entry(key: bytes, message: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def ed25519_entry(key: Ed25519PrivateKey, message: bytes) -> str:
    return "v1a," + base64.b64encode(key.sign(message)).decode()


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(header: object, claims: object) -> str:
    """The signed part of a token; bytes go in as they are, anything else as JSON."""
    parts = (
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)
    )
    return ".".join(base64url(part) for part in parts)


def rs256(signing_input: str, key: RSAPrivateKey | None = None) -> str:
    signature = (key or rsa_key()).sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signing_input}.{base64url(signature)}"


def token(header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A token that is good unless an argument spoils it; a claim of `...` is left out."""
    merged = {"aud": AUDIENCE, "iat": NOW, "exp": NOW + 300, **claims}
    kept = {name: value for name, value in merged.items() if value is not ...}
    return rs256(unsigned({"alg": "RS256", "kid": KID, **(header or {})}, kept))


def rsa_jwk(key: RSAPrivateKey | None = None, **extra: Any) -> dict[str, Any]:
    numbers = (key or rsa_key()).public_key().public_numbers()
    n, e = (
        base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))
        for value in (numbers.n, numbers.e)
    )
    return {"kty": "RSA", "kid": KID, "n": n, "e": e, **extra}


def ed25519_jwk(**extra: Any) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": ED25519_X, **extra}


def jwks(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()
