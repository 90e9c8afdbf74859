import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from receiver.verification.keys import (
    MAX_KEY_SET_BYTES,
    KeySet,
    Secret,
    decode_base64,
    parse_key_set,
)
from tests.receiver.forging import (
    ED25519_PRIVATE,
    KID,
    SECRET,
    SECRET_TEXT,
    base64url,
    ed25519_jwk,
    jwks,
    rsa_jwk,
    rsa_key,
)


def whsec(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def test_published_secret_is_read() -> None:
    assert SECRET.key == b"0123456789abcdefghijklmnopqrstuv"


@pytest.mark.parametrize("size", [24, 32, 64])
def test_allowed_secret_sizes_are_read(size: int) -> None:
    assert Secret.parse(whsec(bytes(range(size)))).key == bytes(range(size))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "starts with whsec_"),
        (SECRET_TEXT[6:], "starts with whsec_"),
        ("WHSEC_" + SECRET_TEXT[6:], "starts with whsec_"),
        (" " + SECRET_TEXT, "starts with whsec_"),
        (SECRET_TEXT + "\n", "cut or changed"),
        (SECRET_TEXT[:-1], "cut or changed"),
        (SECRET_TEXT + "=", "cut or changed"),
        (SECRET_TEXT[:-2] + "Z=", "cut or changed"),
        ("whsec_" + base64.urlsafe_b64encode(b"\xff" * 31 + b"a").decode(), "cut or changed"),
        ("whsec_é" + SECRET_TEXT[7:], "cut or changed"),
        ("whsec_", "24 to 64 bytes, not 0"),
        (whsec(bytes(range(23))), "24 to 64 bytes, not 23"),
        (whsec(bytes(range(65))), "24 to 64 bytes, not 65"),
        (whsec(bytes(32)), "can be guessed"),
        (whsec(b"a" * 32), "can be guessed"),
    ],
)
def test_bad_secret_is_named_silently(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        Secret.parse(text)
    encoded = text.strip()[6:]
    assert not encoded or encoded not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_secrets_stay_out_of_reprs() -> None:
    shown = repr(SECRET) + repr([SECRET]) + str(SECRET)
    assert "0123456789" not in shown
    assert SECRET_TEXT[6:] not in shown


def ed25519_bytes(keys: KeySet) -> list[bytes]:
    return [key.public_bytes_raw() for key in keys.ed25519]


def test_both_kinds_are_kept() -> None:
    keys = parse_key_set(
        jwks(ed25519_jwk(kid="a", use="sig", alg="EdDSA"), rsa_jwk(use="sig", alg="RS256"))
    )
    assert ed25519_bytes(keys) == [ED25519_PRIVATE.public_key().public_bytes_raw()]
    assert keys.rsa[KID].public_numbers() == rsa_key().public_key().public_numbers()


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        [],
        {},
        {"kty": "oct", "k": "AAAA", "kid": "a"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "a"},
        ed25519_jwk(use="enc"),
        ed25519_jwk(use=None),
        ed25519_jwk(key_ops=["sign"]),
        ed25519_jwk(key_ops="verify"),
        ed25519_jwk(alg="RS256"),
        ed25519_jwk(alg=None),
        ed25519_jwk(crv="X25519"),
        ed25519_jwk(kty="RSA"),
        ed25519_jwk(x="AAAA"),
        ed25519_jwk(x="!" * 43),
        ed25519_jwk(x="é" * 43),
        ed25519_jwk(x=7),
        ed25519_jwk(x=None),
        rsa_jwk(alg="RS512"),
        rsa_jwk(alg=["RS256"]),
        rsa_jwk(use="enc"),
        rsa_jwk(kty="OKP"),
        rsa_jwk(kid=None),
        rsa_jwk(kid=7),
        rsa_jwk(n=""),
        rsa_jwk(n="AQAB"),
        rsa_jwk(n=7),
        rsa_jwk(n=base64url(b"\xff" * 1025)),
        rsa_jwk(e=""),
        rsa_jwk(e=base64url(b"\x01")),
        rsa_jwk(e=base64url(b"\x02")),
        rsa_jwk(e=base64url(b"\x01\x00\x00\x00\x01")),
        rsa_jwk(rsa_key("short", 1024)),
    ],
)
def test_unusable_entry_is_skipped(entry: Any) -> None:
    keys = parse_key_set(jwks(entry, ed25519_jwk(), entry))
    assert (len(keys.ed25519), dict(keys.rsa)) == (1, {})


def test_first_of_twin_kids_stays() -> None:
    keys = parse_key_set(jwks(rsa_jwk(), rsa_jwk(rsa_key("other"))))
    assert keys.rsa[KID].public_numbers() == rsa_key().public_key().public_numbers()


def test_number_of_keys_is_capped() -> None:
    ours = [
        base64url(Ed25519PrivateKey.generate().public_key().public_bytes_raw()) for _ in range(20)
    ]
    assert len(parse_key_set(jwks(*(ed25519_jwk(x=x) for x in ours))).ed25519) == 16
    assert parse_key_set(jwks(*[{}] * 64, ed25519_jwk())) == KeySet()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b"null",
        b'"keys"',
        b"{}",
        b'{"keys": {}}',
        b'{"keys": null}',
        b'{"keys": []',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"keys":' + b"[" * 100_000,
        jwks(ed25519_jwk()) + b" " * MAX_KEY_SET_BYTES,
    ],
)
def test_other_documents_are_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"key set|Key Set|keys"):
        parse_key_set(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=4
)
FIELDS = ["kty", "crv", "x", "n", "e", "kid", "alg", "use", "key_ops"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.booleans())
def test_fuzzed_entry_costs_no_others(fuzzed: dict[str, Any], is_rsa: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    entry = (rsa_jwk() if is_rsa else ed25519_jwk()) | fuzzed
    assert (
        ed25519_bytes(parse_key_set(jwks(entry, ed25519_jwk())))[-1]
        == ED25519_PRIVATE.public_key().public_bytes_raw()
    )


@given(st.binary())
def test_fuzzed_document_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"Key Set|keys"):
        parse_key_set(document)


@given(st.binary())
def test_canonical_base64_comes_back(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data


@given(st.text())
def test_any_text_decodes_calmly(text: str) -> None:
    decoded = decode_base64(text)
    assert decoded is None or base64.b64encode(decoded).decode() == text
