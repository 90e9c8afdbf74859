"""The key that signs manifests (PROOF_KEY), and its public half that verifies them. Pure.

Ed25519, RFC 8032.
"""

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from receiver.verification.keys import ED25519_KEY_BYTES, decode_base64

if TYPE_CHECKING:  # cryptography takes 6 MiB, and few installations sign
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Signature(msgspec.Struct, frozen=True):
    """The JSON beside a signed manifest. Verify it with a public key of yours, not with its own."""

    algorithm: Literal["Ed25519"]
    public_key: str  # base64
    signature: str  # base64, of the bytes of the manifest


@dataclass(frozen=True)
class ProofKey:
    """A private key. It stays out of `repr`."""

    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "ProofKey":
        """Read PROOF_KEY. Raises ValueError, whose words never repeat it."""
        seed = decode_base64(text)
        if seed is None or len(seed) != ED25519_KEY_BYTES:
            raise ValueError(
                "expected 32 bytes in padded base64, such as `openssl rand -base64 32` gives"
            )
        if len(set(seed)) == 1:
            raise ValueError(
                "a key of one repeated byte can be guessed: make one with `openssl rand -base64 32`"
            )
        return cls(seed)

    @property
    def public_key(self) -> str:
        """In base64, for everybody who verifies."""
        return _encode(self._private.public_key().public_bytes_raw())

    @property
    def _private(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - see above
            Ed25519PrivateKey,
        )

        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, data: bytes) -> bytes:
        """The signature of `data` as an object; the same for the same bytes."""
        signature = Signature("Ed25519", self.public_key, _encode(self._private.sign(data)))
        return msgspec.json.encode(signature) + b"\n"


@dataclass(frozen=True)
class PublicKey:
    """The public half of a PROOF_KEY."""

    text: str  # base64

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Raises ValueError with what was expected."""
        raw = decode_base64(text.strip())
        if raw is None or len(raw) != ED25519_KEY_BYTES:
            raise ValueError(
                "expected 32 bytes in padded base64, as `gemini-batch-receiver proof-key` prints"
                " them"
            )
        return cls(text.strip())

    def has_signed(self, data: bytes, signature: Signature) -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PublicKey,
        )

        raw = decode_base64(signature.signature)
        try:
            Ed25519PublicKey.from_public_bytes(decode_base64(self.text) or b"").verify(
                raw or b"", data
            )
        except (InvalidSignature, ValueError):
            return False
        return True


def read_signature(data: bytes) -> Signature:
    """The signature in an object. Raises ValueError where there is none."""
    return msgspec.json.decode(data, type=Signature)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
