"""The signature of a dynamic webhook as a token: an RS256 JWT; every other JWT is refused.

A token names its key but never brings it, and no claim leads to a request. Pure.
Sources: RFC 7515, 7519 and 8725; Gemini documents RS256, `kid` and `aud` only.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from receiver.errors import SignatureError, UnknownKeyError

MAX_TOKEN_CHARS = 8 * 1024
TOLERANCE_S = 300  # the replay window that Standard Webhooks and Gemini's guide name
# For the drift between two synchronised clocks; the lifetime itself is the sender's choice.
EXPIRY_LEEWAY_S = 60
MAX_INSTANT = 10**12  # Unix seconds, past the year 30,000

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# They bring or name keys of the sender's choice, or change what is signed.
_REFUSED_HEADERS = frozenset({"b64", "crit", "jku", "jwk", "x5c", "x5u"})
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, RecursionError)


def is_token(text: str) -> bool:
    """Whether the text has the compact form: three base64url segments; the last may be empty."""
    return _FORM.fullmatch(text) is not None


def verify_token(
    token: str,
    rsa: Mapping[str, RSAPublicKey],
    *,
    now: float,
    audience: str | None,
) -> dict[str, Any]:
    """The claims of a token that one of the keys signed, for this audience and at this time.

    `rsa` are the keys by `kid`, `now` is in Unix seconds. Raises SignatureError otherwise, and its
    UnknownKeyError when `kid` is not among the keys.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise SignatureError(f"the token is longer than {MAX_TOKEN_CHARS} characters")
    if not audience:
        raise SignatureError(
            "a token came and no audience is configured: set GEMINI_WEBHOOK_AUDIENCE to accept it"
        )
    claims = _signed_claims(token, _choose_key(token, rsa), audience)
    _require_current(claims, now)
    return claims


def digest(token: str) -> str:
    """SHA-256 in hex of the token's signed part.

    The signature is left out: some decoders accept several spellings of one.
    """
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()


def _choose_key(token: str, rsa: Mapping[str, RSAPublicKey]) -> RSAPublicKey:
    try:
        header = jwt.get_unverified_header(token)
    except _MALFORMED:
        raise SignatureError("the token's header is malformed") from None
    if header.get("alg") != "RS256":
        raise SignatureError("the token's alg is not RS256")
    if not _REFUSED_HEADERS.isdisjoint(header):
        raise SignatureError("the token's header brings its own key or extension")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise SignatureError("the token's header has no kid")
    if kid not in rsa:
        raise UnknownKeyError(
            "no signature matches: the key set has no RSA key with the token's kid"
        )
    return rsa[kid]


def _signed_claims(token: str, key: RSAPublicKey, audience: str) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=audience,
            # PyJWT reads the machine's clock, so times are judged here; sub and jti decide nothing.
            options={
                "require": ["aud"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except jwt.InvalidSignatureError:
        raise SignatureError(
            "no signature matches: the token is not signed by the key that it names"
        ) from None
    except jwt.InvalidAudienceError:
        raise SignatureError("the token's aud is not GEMINI_WEBHOOK_AUDIENCE") from None
    except jwt.MissingRequiredClaimError as error:
        raise SignatureError(f"the token has no {error.claim}") from None
    except _MALFORMED:
        raise SignatureError("the token is malformed") from None


def _require_current(claims: Mapping[str, Any], now: float) -> None:
    expires, issued, starts = (_instant(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None and issued is None:
        raise SignatureError("the token has neither exp nor iat")
    if expires is not None and now >= expires + EXPIRY_LEEWAY_S:
        raise SignatureError(
            f"the token expired {math.ceil(now - expires)} s ago: check the clock of this machine"
        )
    if starts is not None and now < starts - EXPIRY_LEEWAY_S:
        raise SignatureError(
            f"the token starts in {math.ceil(starts - now)} s: check the clock of this machine"
        )
    if issued is not None and (expires is None or issued > now):
        require_fresh("the token's iat", issued, now)


def require_fresh(what: str, instant: float, now: float) -> None:
    """Raise SignatureError when `instant` is more than 300 s from `now`, both in Unix seconds."""
    off_s = math.ceil(abs(now - instant))
    if off_s > TOLERANCE_S:
        side = "past" if instant < now else "future"
        raise SignatureError(f"{what} is {off_s} s in the {side}: check the clock of this machine")


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value < MAX_INSTANT
    ):
        raise SignatureError(f"the token's {name} is not a number of seconds")
    return value
