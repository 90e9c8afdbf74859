"""The keys that verify deliveries: our webhook secrets and Gemini's public keys. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # workers have secrets, but verify nothing: cryptography takes 6 MiB
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)  # the lengths that Standard Webhooks allows
MAX_KEY_SET_BYTES = 256 * 1024
MAX_KEYS = 64
MAX_ED25519_KEYS = 16  # all are tried on a delivery before its sender is known
ED25519_KEY_BYTES = 32
RSA_BITS = range(2048, 8193)  # shorter ones can be broken, longer ones cost ms per check
RSA_MAX_EXPONENT_BITS = 32
_ED25519_NAMES = ("EdDSA", "Ed25519")  # RFC 8037, and RFC 9864 which replaces it


@dataclass(frozen=True)
class Secret:
    """A signing secret of a static webhook."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Secret":
        """Read `whsec_<padded base64>`. Raises ValueError, whose words never repeat the secret."""
        encoded = text.removeprefix(PREFIX)
        if encoded == text:
            raise ValueError(
                "a webhook secret starts with whsec_: copy all of it as it was shown on creation"
            )
        key = decode_base64(encoded)
        if key is None:
            raise ValueError(
                "a webhook secret is whsec_ and padded base64: it was cut or changed when it was"
                " copied, so copy it again"
            )
        if len(key) not in SECRET_BYTES:
            raise ValueError(
                f"a webhook secret holds {SECRET_BYTES[0]} to {SECRET_BYTES[-1]} bytes, not"
                f" {len(key)}: copy it again"
            )
        if len(set(key)) == 1:
            raise ValueError(
                "a webhook secret of one repeated byte can be guessed: rotate it and use the new"
                " one"
            )
        return cls(key)

    def show(self) -> str:
        """The secret itself, as a setting holds it."""
        return f"{PREFIX}{base64.b64encode(self.key).decode()}"


@dataclass(frozen=True)
class KeySet:
    """The public keys that Gemini signs with; either kind may be absent."""

    ed25519: "tuple[Ed25519PublicKey, ...]" = ()
    rsa: "Mapping[str, RSAPublicKey]" = field(default_factory=dict)  # by kid


def parse_key_set(document: bytes) -> KeySet:
    """Keep the keys of a JWKS document (RFC 7517) that can verify deliveries, and skip the others.

    Raises ValueError when the document is no key set at all.
    """
    if len(document) > MAX_KEY_SET_BYTES:
        raise ValueError(f"a key set of more than {MAX_KEY_SET_BYTES} bytes is not read")
    try:
        keys = msgspec.json.decode(document)["keys"]
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError):
        raise ValueError("the document is not a JSON Web Key Set") from None
    if not isinstance(keys, list):
        raise ValueError("the keys are not a list")  # noqa: TRY004 - bad content
    entries = [
        entry for entry in keys[:MAX_KEYS] if isinstance(entry, dict) and _is_for_signatures(entry)
    ]
    ed25519 = [key for key in map(_ed25519_key, entries) if key]
    rsa: dict[str, RSAPublicKey] = {}
    for entry in entries:
        kid = entry.get("kid")
        if isinstance(kid, str) and kid not in rsa and (key := _rsa_key(entry)):
            rsa[kid] = key
    return KeySet(tuple(ed25519[:MAX_ED25519_KEYS]), rsa)


def decode_base64(text: str) -> bytes | None:
    """The bytes of canonical, padded base64 text; None for any other spelling."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def _ed25519_key(entry: Mapping[str, Any]) -> "Ed25519PublicKey | None":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - see above
        Ed25519PublicKey,
    )

    if (
        entry.get("kty") != "OKP"
        or entry.get("crv") != "Ed25519"
        or entry.get("alg", "EdDSA") not in _ED25519_NAMES
    ):
        return None
    x = _decode_base64url(entry.get("x"))
    return Ed25519PublicKey.from_public_bytes(x) if len(x) == ED25519_KEY_BYTES else None


def _rsa_key(entry: Mapping[str, Any]) -> "RSAPublicKey | None":
    from cryptography.hazmat.primitives.asymmetric.rsa import (  # noqa: PLC0415 - see above
        RSAPublicNumbers,
    )

    if entry.get("kty") != "RSA" or entry.get("alg", "RS256") != "RS256":
        return None
    modulus, exponent = (
        int.from_bytes(_decode_base64url(entry.get(name)), "big") for name in ("n", "e")
    )
    if modulus.bit_length() not in RSA_BITS or exponent.bit_length() > RSA_MAX_EXPONENT_BITS:
        return None
    try:
        return RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        return None


def _decode_base64url(value: object) -> bytes:
    """The bytes of unpadded base64url text; none at all for anything else."""
    if not isinstance(value, str):
        return b""
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
