import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from receiver.settings.notice_keys import NoticeKey, parse_signing_keys
from tests.receiver.forging import SECRET, SECRET_TEXT

# RFC 8032, section 7.1, TEST 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def encode(prefix: str, raw: bytes) -> str:
    return f"{prefix}{base64.b64encode(raw).decode()}"


@pytest.mark.parametrize("raw", [SEED, SEED + PUBLIC])
def test_key_signs_as_the_standard_has_it(raw: bytes) -> None:
    key = NoticeKey.parse(encode("whsk_", raw))
    assert key.public_key == encode("whpk_", PUBLIC)
    assert key.sign(b"\x72") == SIGNATURE
    Ed25519PublicKey.from_public_bytes(PUBLIC).verify(SIGNATURE, b"\x72")
    assert key.show() == encode("whsk_", SEED)
    assert "TM0I" not in repr(key)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (SEED[:31], "32 or 64 bytes"),
        (SEED + PUBLIC[:31], "32 or 64 bytes"),
        (SEED + SEED, "that of another private key"),
        (bytes(32), "can be guessed"),
    ],
)
def test_wrong_key_is_not_repeated(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words) as told:
        NoticeKey.parse(encode("whsk_", raw))
    assert base64.b64encode(raw)[:8].decode() not in str(told.value)


def test_both_kinds_stand_in_one_list() -> None:
    assert parse_signing_keys([SECRET_TEXT, encode("whsk_", SEED)]) == (SECRET, NoticeKey(SEED))
