"""Signs deliveries. Shares no code with the receiver's verifier: a common bug would hide itself."""

import base64
import functools
import hashlib
import hmac
import secrets
import string
import time
from collections.abc import Iterable

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from deploy.sandbox.google_api import Json

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of every secret
SECRET_LETTERS = string.ascii_letters + string.digits
ED25519_KEYS = 3  # as many as in the real key set
JWT_LIFETIME_S = 300
ISSUER = "https://generativelanguage.googleapis.com"


def new_secret() -> str:
    """`whsec_` and the base64 of 32 letters and digits."""
    return SECRET_PREFIX + _b64("".join(secrets.choice(SECRET_LETTERS) for _ in range(32)).encode())


def is_secret(text: str) -> bool:
    """Whether it is `whsec_` and the base64 of at least one byte."""
    try:
        return (
            text.startswith(SECRET_PREFIX)
            and base64.b64decode(text[len(SECRET_PREFIX) :], validate=True) != b""
        )
    except ValueError:
        return False


def sign_v1(whsec: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of Standard Webhooks: an HMAC-SHA256 entry per valid secret."""
    signed = _signed_bytes(message_id, timestamp, body)
    keys = (base64.b64decode(text.removeprefix(SECRET_PREFIX)) for text in whsec)
    return " ".join(f"v1,{_b64(hmac.new(key, signed, hashlib.sha256).digest())}" for key in keys)


class DynamicKeys:
    """The service's own keys: Ed25519 for `v1a`, RSA for the JWT form, published as one JWKS."""

    def __init__(self, kids: Iterable[str] | None = None, *, publishes_rsa: bool = True) -> None:
        """`kids` are those of the Ed25519 keys, of which there are as many, and of the RSA key."""
        self._kids = list(kids or (secrets.token_hex(20) for _ in range(ED25519_KEYS + 1)))
        self._ed25519 = [Ed25519PrivateKey.generate() for _ in self._kids[:-1]]
        self._publishes_rsa = publishes_rsa

    @functools.cached_property
    def _rsa(self) -> RSAPrivateKey:
        return generate_private_key(public_exponent=65537, key_size=2048)

    def impostor(self) -> "DynamicKeys":
        """New keys with the same key ids."""
        return DynamicKeys(self._kids, publishes_rsa=self._publishes_rsa)

    def jwks(self) -> Json:
        keys: list[Json] = [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "use": "sig",
                "alg": "EdDSA",
                "kid": kid,
                "x": _b64url(_raw_public(key)),
            }
            for kid, key in zip(self._kids, self._ed25519, strict=False)
        ]
        if not self._publishes_rsa:
            return {"keys": keys}
        numbers = self._rsa.public_key().public_numbers()
        members = {"n": _b64url(_big_endian(numbers.n)), "e": _b64url(_big_endian(numbers.e))}
        keys.append({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._kids[-1], **members})
        return {"keys": keys}

    def sign_v1a(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Standard Webhooks' `v1a`: Ed25519 over the same bytes as `v1`, with any published key."""
        signature = secrets.choice(self._ed25519).sign(_signed_bytes(message_id, timestamp, body))
        return f"v1a,{_b64(signature)}"

    def sign_jwt(self, audience: str, event: Json) -> str:
        """A compact RS256 token. Google documents no claims; these are our assumption."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": audience, "iat": now, "exp": now + JWT_LIFETIME_S}
        claims |= {name: event[name] for name in ("type", "data")}
        return jwt.encode(claims, self._rsa, algorithm="RS256", headers={"kid": self._kids[-1]})


def _signed_bytes(message_id: str, timestamp: int, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _raw_public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
