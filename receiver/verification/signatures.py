"""Decide whether a delivery really comes from Gemini. Pure: the clock and the keys are given.

Three schemes reach one URL: HMAC entries (`v1,`) of static webhooks, Ed25519 entries (`v1a,`) and
RS256 tokens of dynamic ones. Each is judged with its own kind of key, so none can stand in for
another. Sources: the Standard Webhooks specification, and what was seen of Gemini's deliveries.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from receiver.errors import SignatureError, UnknownKeyError
from receiver.verification import jwts
from receiver.verification.keys import KeySet, Secret, decode_base64

MAX_HEADER_CHARS = 16 * 1024
# Each v1a entry costs a check against every Ed25519 key, before the sender is known.
MAX_ENTRIES = 16

_ID, _TIMESTAMP, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
# The signed bytes are id.timestamp.body: with a dot in the id, two deliveries could share one
# signature.
_ID_FORM = re.compile(r"[!-\-/-~]{1,256}")
_TIMESTAMP_FORM = re.compile(r"0|[1-9][0-9]{0,11}")


class Scheme(StrEnum):
    STATIC = "v1"
    ED25519 = "v1a"
    JWT = "jwt"


class Verified(msgspec.Struct, frozen=True):
    """A delivery that is proven to come from Gemini."""

    scheme: Scheme
    delivery_id: str  # webhook-id; for a token without one its jti, else a digest of it
    # Of a token, whose signature does not cover the body: see `events.check_claims`.
    claims: Mapping[str, Any] | None


def detect_scheme(headers: Mapping[str, str]) -> Scheme:
    """Which scheme the headers claim, unproven; STATIC when `v1` and `v1a` entries stand together.

    Raises SignatureError when there is none that we know.
    """
    signature = _require(_webhook_headers(headers), _SIGNATURE)
    if jwts.is_token(signature):
        return Scheme.JWT
    versions = {version for version, _ in _known_entries(signature)}
    return Scheme.STATIC if Scheme.STATIC in versions else Scheme.ED25519


def verify(  # noqa: PLR0913 - the parts of one decision, all but two given by name
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    secrets: Sequence[Secret],
    keys: KeySet,
    audience: str | None,
) -> Verified:
    """Judge a delivery by its headers (names in any case) and its raw body.

    `now` is in Unix seconds. Raises SignatureError for everything that is not proven, and its
    UnknownKeyError when a fresher key set could change the verdict; nothing else, whatever the
    headers and the body hold.
    """
    found = _webhook_headers(headers)
    signature = _require(found, _SIGNATURE)
    if jwts.is_token(signature):
        claims = jwts.verify_token(signature, keys.rsa, now=now, audience=audience)
        return Verified(Scheme.JWT, _token_delivery_id(found, claims, signature), claims)
    return _verify_entries(found, body, now, secrets, keys)


def _verify_entries(
    found: Mapping[str, str], body: bytes, now: float, secrets: Sequence[Secret], keys: KeySet
) -> Verified:
    delivery_id, timestamp = _require(found, _ID), _require(found, _TIMESTAMP)
    if not _ID_FORM.fullmatch(delivery_id):
        raise SignatureError(
            "webhook-id is not 1 to 256 printable ASCII characters without spaces and dots"
        )
    if not _TIMESTAMP_FORM.fullmatch(timestamp):
        raise SignatureError("webhook-timestamp is not a plain number of seconds")
    message = b"%b.%b.%b" % (delivery_id.encode(), timestamp.encode(), body)
    scheme = _matching_scheme(_known_entries(found[_SIGNATURE]), message, secrets, keys)
    # After the signature: only a genuine delivery says that a clock is wrong.
    jwts.require_fresh("timestamp", int(timestamp), now)
    return Verified(scheme, delivery_id, None)


def _webhook_headers(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in (_ID, _TIMESTAMP, _SIGNATURE):
            if lowered in found:
                raise SignatureError(f"{lowered} is given twice")
            found[lowered] = value
    return found


def _require(found: Mapping[str, str], name: str) -> str:
    value = found.get(name)
    if not value:
        raise SignatureError(f"missing {name}")
    if len(value) > MAX_HEADER_CHARS or not value.isascii():
        raise SignatureError(f"{name} is longer than {MAX_HEADER_CHARS} characters or not ASCII")
    return value


def _known_entries(signature: str) -> list[tuple[str, str]]:
    """The (version, base64 text) pairs of known versions.

    The specification says to skip the others.
    """
    entries = signature.split(" ", MAX_ENTRIES)
    if len(entries) > MAX_ENTRIES:
        raise SignatureError(f"webhook-signature has more than {MAX_ENTRIES} entries")
    if any(jwts.is_token(entry) for entry in entries):
        raise SignatureError("webhook-signature mixes a token with other signatures")
    pairs = [(version, text) for version, _, text in (entry.partition(",") for entry in entries)]
    known = [
        (version, text) for version, text in pairs if version in (Scheme.STATIC, Scheme.ED25519)
    ]
    if not known:
        raise SignatureError("webhook-signature has no version that is known here")
    return known


def _sign(key: bytes, message: bytes) -> bytes:
    # Not hmac.digest: it releases the GIL, and may wait milliseconds to get it back.
    return hmac.new(key, message, "sha256").digest()


def _matching_scheme(
    entries: Sequence[tuple[str, str]], message: bytes, secrets: Sequence[Secret], keys: KeySet
) -> Scheme:
    static = [text.encode() for version, text in entries if version == Scheme.STATIC]
    # Comparing texts instead of bytes accepts only the canonical spelling of a signature.
    expected = [base64.b64encode(_sign(secret.key, message)) for secret in secrets if static]
    if any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in static):
        return Scheme.STATIC
    if len(static) == len(entries):
        hint = "" if secrets else ": no webhook secret is known here, set GEMINI_WEBHOOK_SECRET"
        raise SignatureError(f"no signature matches{hint}")
    for signature in {
        decode_base64(text) for version, text in entries if version == Scheme.ED25519
    }:
        if signature and any(_is_signed_by(key, signature, message) for key in keys.ed25519):
            return Scheme.ED25519
    raise UnknownKeyError("no signature matches any Ed25519 key of the key set")


def _is_signed_by(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _token_delivery_id(found: Mapping[str, str], claims: Mapping[str, Any], token: str) -> str:
    for candidate in (found.get(_ID), claims.get("jti")):
        if isinstance(candidate, str) and _ID_FORM.fullmatch(candidate):
            return candidate
    return jwts.digest(token)
