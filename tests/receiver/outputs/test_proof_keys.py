import base64
import json

import pytest

from receiver.errors import SettingsError
from receiver.outputs.proof_keys import ProofKey, PublicKey, read_signature
from receiver.settings.settings import read_settings

# RFC 8032, section 7.1, test 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_published_vector_is_signed() -> None:
    key = ProofKey.parse(text(SEED))
    assert key.public_key == text(PUBLIC)
    assert json.loads(key.sign(b"r")) == {
        "algorithm": "Ed25519",
        "public_key": text(PUBLIC),
        "signature": text(SIGNATURE),
    }


def test_signature_proves_one_content_by_one_key() -> None:
    key = ProofKey.parse(text(SEED))
    signature = read_signature(key.sign(b"manifest"))
    public = PublicKey.parse(f" {key.public_key}\n")
    assert public.has_signed(b"manifest", signature)
    assert not public.has_signed(b"manifesT", signature)
    assert not PublicKey.parse(text(SEED)).has_signed(b"manifest", signature)
    assert not public.has_signed(
        b"manifest", read_signature(b'{"algorithm":"Ed25519","public_key":"","signature":"?"}')
    )


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"algorithm":"none","public_key":"","signature":""}', b"\xff"]
)
def test_what_is_no_signature_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_signature(data)


@pytest.mark.parametrize(
    "wrong", [text(b"x" * 31), text(b"x" * 33), "x" * 44, text(b"x" * 32), text(SEED).rstrip("=")]
)
def test_wrong_key_stops_the_start_unquoted(wrong: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings({"GEMINI_API_KEY": "k", "PROOF_KEY": wrong})
    assert "PROOF_KEY: " in str(told.value)
    assert "openssl rand -base64 32" in str(told.value)
    assert wrong not in str(told.value)


def test_key_stays_out_of_repr() -> None:
    settings = read_settings({"GEMINI_API_KEY": "k", "PROOF_KEY": text(SEED)})
    assert settings.proof_key == ProofKey(SEED)
    assert not any(form in repr(settings) for form in (text(SEED), SEED.hex(), repr(SEED)))


@pytest.mark.parametrize("wrong", ["", "x", text(b"x" * 33)])
def test_wrong_public_key_is_said_in_words(wrong: str) -> None:
    with pytest.raises(ValueError, match="proof-key"):
        PublicKey.parse(wrong)
