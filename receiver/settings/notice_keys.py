"""What notices are signed with: secrets that sender and receiver share, and private keys. Pure.

A private key is Ed25519's (RFC 8032), as Standard Webhooks has it: `whsk_…` signs, and whoever has
`whpk_…` can verify, but not sign.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from receiver.verification.keys import ED25519_KEY_BYTES, Secret, decode_base64

if TYPE_CHECKING:  # cryptography takes 6 MiB, and few installations sign with it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE, PUBLIC = "whsk_", "whpk_"
MAKE_ONE = "`gemini-batch-receiver notices keys --new` makes one"


@dataclass(frozen=True)
class NoticeKey:
    """A private key."""

    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "NoticeKey":
        """Read `whsk_<padded base64>` of the private key, or of it and the public key behind it.

        Raises ValueError, whose words never repeat it.
        """
        raw = decode_base64(text.removeprefix(PRIVATE)) or b""
        if len(raw) not in {ED25519_KEY_BYTES, 2 * ED25519_KEY_BYTES}:
            raise ValueError(
                "a private key is whsk_ and 32 or 64 bytes in padded base64: copy all of it again;"
                f" {MAKE_ONE}"
            )
        key, public = cls(raw[:ED25519_KEY_BYTES]), raw[ED25519_KEY_BYTES:]
        if len(set(key.seed)) == 1:
            raise ValueError(f"a private key of one repeated byte can be guessed: {MAKE_ONE}")
        if public and public != key.public_bytes:
            raise ValueError("the public key in a whsk_ of 64 bytes is that of another private key")
        return key

    @property
    def public_bytes(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    @property
    def public_key(self) -> str:
        """For whoever verifies: `whpk_…`."""
        return f"{PUBLIC}{base64.b64encode(self.public_bytes).decode()}"

    @property
    def _private(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - see above
            Ed25519PrivateKey,
        )

        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def show(self) -> str:
        """The key itself, as a setting holds it."""
        return f"{PRIVATE}{base64.b64encode(self.seed).decode()}"

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)


SigningKey = Secret | NoticeKey


def parse_signing_keys(words: Sequence[str]) -> tuple[SigningKey, ...]:
    """Secrets and private keys in any order."""
    return tuple(
        NoticeKey.parse(word) if word.startswith(PRIVATE) else Secret.parse(word) for word in words
    )
